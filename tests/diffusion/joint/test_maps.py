"""Maps and gradients of every layer, against a plain computation on diffusers' own models."""

import pytest
import torch

from sdcorr.diffusion.joint import attention
from sdcorr.errors import UserError
from sdcorr.prompt.speed.memory import saved_bytes
from tests.diffusion.joint.inputs import TIMESTEP, TOKENS, load, maps_and_gradient, random_inputs, weighted
from tests.diffusion.joint.models import build_transformer
from tests.diffusion.joint.reference import call, plain_maps
from tests.diffusion.test_precision import Watch, everything


class TestAgainstAPlainComputation:
    """Maps are about 0.014 in the mean and differ by 2e-7 at most; gradients are up to 0.4 and differ by 4e-7."""

    @pytest.mark.parametrize("token", [0, 3, 6])
    def test_maps_and_gradients(self, family, model, token):
        maps, gradient = maps_and_gradient(model, token=token)
        noisy, _, embeddings = random_inputs()
        sigma = model.sigmas[TIMESTEP].item()
        expected = plain_maps(build_transformer(family), model.layers, noisy, sigma, embeddings.requires_grad_(), token)
        torch.testing.assert_close(maps, list(expected.values()), rtol=0, atol=3e-7)
        (expected_gradient,) = torch.autograd.grad(weighted(list(expected.values())), embeddings)
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-6)
        assert expected_gradient.abs().max() > 0.05

    def test_a_model_that_is_read_computes_what_it_did(self, family, folder):
        transformer, seen = load(folder, truncate=False).transformer, []
        transformer.proj_out.register_forward_hook(lambda module, inputs, output: seen.append(output))
        noisy, _, embeddings = random_inputs()
        with torch.no_grad():
            call(transformer, noisy, 0.3, embeddings)
            call(build_transformer(family), noisy, 0.3, embeddings)
        other = build_transformer(family)
        other.proj_out.register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.no_grad():
            call(other, noisy, 0.3, embeddings)
        torch.testing.assert_close(*seen, rtol=0, atol=1e-6)


class TestMaps:
    def test_shapes_and_heads(self, model):
        inputs = random_inputs(3)
        every = model.attention_maps(*inputs, heads="all")
        assert {tuple(m.shape) for m in every} == {(3, 4, 8, 8)} and len(every) == len(model.layers)
        for heads, chosen in (("last_half", [2, 3]), ([3, 0], [3, 0])):
            some = model.attention_maps(*inputs, heads=heads)
            torch.testing.assert_close(some, [m[:, chosen] for m in every])

    def test_unknown_heads_leave_nothing_behind(self, model):
        with pytest.raises(UserError, match="layer of 4 heads"):
            model.attention_maps(*random_inputs(), heads=[4])
        assert model._tap.now is None

    def test_text_has_less_than_all(self, model):
        inputs = random_inputs()
        share = sum(model.attention_maps(*inputs, token=token, heads="all")[0] for token in range(TOKENS))
        assert share.min() > 0 and 0.05 < share.mean() < 0.2  # the rest is the image's: 7 tokens beside 64

    def test_each_row_of_a_batch_is_alone(self, model):
        noisy, timestep, embeddings = random_inputs()
        together = model.attention_maps(noisy, timestep, embeddings)
        for row in range(2):
            alone = model.attention_maps(noisy[row : row + 1], timestep, embeddings[row : row + 1])
            torch.testing.assert_close([m[0] for m in alone], [m[row] for m in together], rtol=1e-5, atol=1e-7)

    def test_tokens_have_no_positions(self, model):
        noisy, timestep, embeddings = random_inputs()
        swapped = embeddings[:, [0, 5, 2, 3, 4, 1, 6]]
        torch.testing.assert_close(
            model.attention_maps(noisy, timestep, embeddings, token=1),
            model.attention_maps(noisy, timestep, swapped, token=5),
        )

    def test_few_rows_at_a_time_change_no_map_and_no_gradient(self, model, monkeypatch):
        whole = maps_and_gradient(model)
        monkeypatch.setattr(attention, "_SCORES_AT_ONCE", 5_000)
        torch.testing.assert_close(maps_and_gradient(model), whole, rtol=0, atol=2e-7)

    def test_the_softmax_is_not_kept_for_the_backward_pass(self, folder, monkeypatch):
        noisy, timestep, embeddings = random_inputs(1)
        embeddings.requires_grad_()
        model = load(folder, ("transformer_blocks.1.attn",))

        def kept() -> int:
            return saved_bytes(lambda: model.attention_maps(noisy, timestep, embeddings, heads="all"))

        ours = kept()
        monkeypatch.setattr(attention, "checkpoint", lambda function, *inputs, **options: function(*inputs))
        assert kept() - ours >= 4 * 4 * 64 * (64 + TOKENS)  # bytes of a number, heads, rows, columns

    @pytest.mark.parametrize("layer", [0, 1, -1])
    def test_gradient_is_the_slope(self, folder, model, layer):
        exact = load(folder, (model.all_layers[layer],)).double()
        noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs())
        embeddings.requires_grad_()
        (gradient,) = torch.autograd.grad(weighted(exact.attention_maps(noisy, timestep, embeddings)), embeddings)
        direction = torch.randn(embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():  # diffusers rotates and takes root mean squares in float32
            up, down = (
                weighted(exact.attention_maps(noisy, timestep, embeddings + step * direction)) for step in (1e-2, -1e-2)
            )
        assert ((up - down) / 2e-2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-3)

    def test_half_precision(self, folder, model):
        half = load(folder, precision="bf16")
        assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
        maps, gradient = maps_and_gradient(half)
        expected, expected_gradient = maps_and_gradient(model)
        assert {m.dtype for m in maps} == {gradient.dtype} == {torch.float32}
        assert all(m.isfinite().all() for m in maps) and gradient.isfinite().all()
        torch.testing.assert_close(maps, expected, rtol=0.15, atol=2e-3)
        assert torch.cosine_similarity(gradient.flatten(), expected_gradient.flatten(), dim=0) > 0.98
        assert half.encode(torch.rand(1, 3, 128, 128)).dtype == torch.float32


class TestFloat32:
    """TensorFloat-32 where it is asked for; never where scores are read, nor outside."""

    @pytest.mark.parametrize("precision, mode", [("fp32", "ieee"), ("tf32", "tf32")])
    @pytest.mark.parametrize("read_once", [False, True])
    def test_mode_inside_and_ieee_where_maps_are_read(self, folder, precision, mode, read_once):
        model, before = load(folder, ("transformer_blocks.[01].attn",), precision=precision), everything()
        noisy, timestep, embeddings = random_inputs()
        embeddings.requires_grad_()
        queries = model.attention_queries(noisy, timestep, embeddings)
        with Watch() as forward:
            maps = model.attend(queries, embeddings) if read_once else model.attention_maps(noisy, timestep, embeddings)
        assert everything() == before
        with Watch() as backward:
            sum(m.sum() for m in maps).backward()
        assert everything() == before
        assert forward.of("mm", "addmm") == backward.of("mm") == {mode}
        assert forward.of("bmm") == backward.of("bmm") == {"ieee"}


class TestTruncation:
    def test_same_maps_and_gradients_for_any_last_layer(self, folder, model):
        sizes = []
        for last in range(len(model.all_layers)):
            layers = tuple(dict.fromkeys((model.all_layers[last], model.all_layers[last // 2])))
            cut, whole = (load(folder, layers, truncate=truncate) for truncate in (True, False))
            for ours, expected in zip(maps_and_gradient(cut)[0], maps_and_gradient(whole)[0], strict=True):
                assert torch.equal(ours, expected)
            assert torch.equal(maps_and_gradient(cut)[1], maps_and_gradient(whole)[1])
            sizes.append(sum(p.numel() for p in cut.transformer.parameters()))
        assert sizes == sorted(set(sizes))  # each later cut keeps more
        assert sizes[-1] < sum(p.numel() for p in whole.transformer.parameters())

    def test_layers_keep_the_order_asked_for(self, folder):
        first, second = "transformer_blocks.0.attn", "transformer_blocks.1.attn"
        backward = load(folder, (second, first))
        assert backward.layers == (second, first)
        assert torch.equal(maps_and_gradient(backward)[0][1], maps_and_gradient(load(folder, (first, second)))[0][0])
