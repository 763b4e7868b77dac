"""Attention queries read from the UNet, and the maps that embeddings get for them without it."""

import pytest
import torch

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from tests.diffusion.test_backbone import LAYERS, random_inputs


@pytest.mark.parametrize("heads", ["last_half", "all", [1, 0]])
def test_with_the_same_embeddings_they_are_the_maps(small_backbone, heads):
    noisy, timestep, embeddings = random_inputs(small_backbone, 3)
    queries = small_backbone.attention_queries(noisy, timestep, embeddings, heads=heads)
    maps = small_backbone.attend(queries, embeddings, heads=heads, token=5)
    expected = small_backbone.attention_maps(noisy, timestep, embeddings, heads=heads, token=5)
    assert [m.shape for m in maps] == [m.shape for m in expected]
    torch.testing.assert_close(maps, expected)


def test_shapes_of_the_queries(small_backbone):
    noisy, timestep, embeddings = random_inputs(small_backbone, 3)
    queries = small_backbone.attention_queries(noisy, timestep, embeddings.requires_grad_(), heads="all")
    assert [tuple(q.shape) for q in queries] == [(3, 2, 64, 32), (3, 2, 64, 32), (3, 2, 256, 16)]
    assert not any(q.requires_grad for q in queries)


def test_queries_of_some_heads_hold_no_others(small_backbone):
    for query in small_backbone.attention_queries(*random_inputs(small_backbone)):
        assert query.untyped_storage().nbytes() == query.nbytes


def test_embeddings_change_the_queries_of_later_layers_only(two_level_folder):
    layers = ["down_blocks.0.attentions.0", "down_blocks.0.attentions.1"]
    model = FrozenDiffusion.load(str(two_level_folder), layers=layers)
    noisy, timestep, embeddings = random_inputs(model)
    before = model.attention_queries(noisy, timestep, embeddings)
    after = model.attention_queries(noisy, timestep, embeddings + 1)
    assert [torch.equal(*both) for both in zip(before, after, strict=True)] == [True, False]


def test_one_crop_serves_many_embeddings(small_backbone):
    noisy, timestep, embeddings = random_inputs(small_backbone, 3)
    queries = small_backbone.attention_queries(noisy[:1], timestep, embeddings[:1])
    together = small_backbone.attend(queries, embeddings)
    for row in range(3):
        alone = small_backbone.attend(queries, embeddings[row : row + 1])
        torch.testing.assert_close([m[row] for m in together], [m[0] for m in alone])


@pytest.mark.parametrize("crops", [1, 2])
def test_gradient_is_the_slope(two_level_folder, crops):
    model = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS).double()
    noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs(model))
    queries = model.attention_queries(noisy[:crops], timestep, embeddings[:crops])

    def loss(embeddings: torch.Tensor) -> torch.Tensor:
        return sum(m.square().sum() for m in model.attend(queries, embeddings))

    embeddings.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(embeddings), embeddings)
    direction = torch.randn_like(embeddings)
    with torch.no_grad():
        slope = (loss(embeddings + 1e-5 * direction) - loss(embeddings - 1e-5 * direction)) / 2e-5
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5)


def test_half_precision(two_level_folder):
    half = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, precision="bf16")
    noisy, timestep, embeddings = random_inputs(half)
    queries = half.attention_queries(noisy, timestep, embeddings)
    maps = half.attend(queries, embeddings)
    assert {q.dtype for q in queries} == {torch.bfloat16} and {m.dtype for m in maps} == {torch.float32}
    torch.testing.assert_close(maps, half.attention_maps(noisy, timestep, embeddings))


def test_unknown_heads(small_backbone):
    inputs = random_inputs(small_backbone)
    with pytest.raises(UserError, match="layer of 2 heads"):
        small_backbone.attention_queries(*inputs, heads=[2])
    with pytest.raises(UserError, match="layer of 2 heads"):
        small_backbone.attend(small_backbone.attention_queries(*inputs), inputs[-1], heads=[2])
