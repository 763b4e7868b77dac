"""Pictures that are read once, and the maps that embeddings get in them."""

import pytest
import torch

from tests.diffusion.joint.inputs import load, random_inputs, weighted


@pytest.mark.parametrize("heads", ["last_half", "all", [1, 0]])
@pytest.mark.parametrize("truncate", [True, False])
def test_with_the_same_embeddings_they_are_the_maps(folder, heads, truncate):
    model = load(folder, ("transformer_blocks.[01].attn",), truncate=truncate)
    noisy, timestep, embeddings = random_inputs(3)
    queries = model.attention_queries(noisy, timestep, embeddings, heads=heads)
    maps = model.attend(queries, embeddings, heads=heads, token=5)
    expected = model.attention_maps(noisy, timestep, embeddings, heads=heads, token=5)
    torch.testing.assert_close(maps, expected, rtol=0, atol=3e-7)


def test_at_every_layer(model):
    noisy, timestep, embeddings = random_inputs()
    queries = model.attention_queries(noisy, timestep, embeddings)
    assert all(len(part) == 2 and not part.requires_grad for part in queries)
    torch.testing.assert_close(
        model.attend(queries, embeddings),
        model.attention_maps(noisy, timestep, embeddings),
        rtol=0,
        atol=3e-7,
    )


def test_other_embeddings_are_an_approximation_but_in_the_first_layer(model):
    noisy, timestep, embeddings = random_inputs()
    queries = model.attention_queries(noisy, timestep, torch.zeros_like(embeddings))
    maps = model.attend(queries, embeddings)
    expected = model.attention_maps(noisy, timestep, embeddings)
    torch.testing.assert_close(maps[0], expected[0], rtol=0, atol=3e-7)
    assert (maps[-1] - expected[-1]).abs().max() > 1e-4


def test_one_picture_serves_many_embeddings(model):
    noisy, timestep, embeddings = random_inputs(3)
    queries = model.attention_queries(noisy[:1], timestep, embeddings[:1])
    together = model.attend(queries, embeddings)
    for row in range(3):
        alone = model.attend(queries, embeddings[row : row + 1])
        torch.testing.assert_close([m[row] for m in together], [m[0] for m in alone])


def test_gradient_is_that_of_the_model_with_the_image_held_still(folder, model):
    exact = load(folder).double()
    noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs())
    queries = exact.attention_queries(noisy, timestep, embeddings)
    embeddings.requires_grad_()
    (gradient,) = torch.autograd.grad(weighted(exact.attend(queries, embeddings)), embeddings)
    direction = torch.randn(embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        up, down = (weighted(exact.attend(queries, embeddings + step * direction)) for step in (1e-2, -1e-2))
    assert ((up - down) / 2e-2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-3)


def test_half_precision(folder):
    half = load(folder, ("transformer_blocks.1.attn",), precision="bf16")
    noisy, timestep, embeddings = random_inputs()
    maps = half.attend(half.attention_queries(noisy, timestep, embeddings), embeddings)
    assert {m.dtype for m in maps} == {torch.float32}
    torch.testing.assert_close(maps, half.attention_maps(noisy, timestep, embeddings), rtol=0.05, atol=1e-3)
