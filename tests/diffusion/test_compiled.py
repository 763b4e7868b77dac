import functools
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.compiled import compile_parts
from sdcorr.errors import UserError

DOWN, MIDDLE = "down_blocks.0.attentions.0", "mid_block.attentions.0"


def build(layers: list[str], compile: bool) -> FrozenDiffusion:
    """A model of one level, with little that has to be compiled."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        layers_per_block=1,
        attention_head_dim=2,  # means the number of heads
        cross_attention_dim=12,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2)
    return FrozenDiffusion(
        vae,
        unet,
        layers=layers,
        alphas_cumprod=torch.linspace(1, 0, 1000),
        prediction_type="epsilon",
        tokens=5,
        compile=compile,
    )


def inputs(batch: int) -> tuple[torch.Tensor, int, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, 4, 8, 8, generator=generator), 140, torch.randn(batch, 5, 12, generator=generator)


def maps_and_gradient(model: FrozenDiffusion, batch: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    noisy, timestep, embeddings = inputs(batch)
    maps = model.attention_maps(noisy, timestep, embeddings.requires_grad_())
    return maps, torch.autograd.grad(sum(m.square().sum() for m in maps), embeddings)[0]


def graphs() -> int:
    """Graphs that were compiled so far."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.fixture
def graphs_without_code(monkeypatch) -> Iterator[None]:
    """torch.compile that finds and differentiates graphs, and leaves them to torch's kernels, which is quicker."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize("layers", [[DOWN, MIDDLE], [MIDDLE]])
def test_same_maps_and_gradients_at_changing_batch_sizes(graphs_without_code, layers):
    compiled, plain, counts = build(layers, True), build(layers, False), [graphs()]
    for batch in (2, 3, 15, 1, 1):
        torch.testing.assert_close(maps_and_gradient(compiled, batch), maps_and_gradient(plain, batch))
        counts.append(graphs())
    new = [after - before for before, after in pairwise(counts)]
    assert new[0] > 0 and new[1:] == [0, 0, new[0], 0]  # once for 2 and more, once for 1


@pytest.mark.slow
def test_features_inside_a_compiled_part(graphs_without_code):
    compiled, plain = build([MIDDLE], True), build([MIDDLE], False)
    with torch.no_grad():  # as features are read: here are graphs that could serve
        compiled.attention_maps(*inputs(2))
    for block in [f"{DOWN}.transformer_blocks.0.ff", "mid_block.resnets.0.conv1", "down_blocks.0.resnets.0"]:
        ours, expected = (model.features(*inputs(2), [block])[block] for model in (compiled, plain))
        assert torch.equal(ours, expected)


@pytest.mark.slow
def test_generated_code_gives_the_same_maps_and_gradients():
    torch._dynamo.reset()
    before = graphs()
    compiled, plain = build([MIDDLE], False), build([MIDDLE], False)
    compile_parts(compiled.unet.mid_block, ["attentions.0.transformer_blocks.0.attn2"])  # of all, a minute of compiling
    torch.testing.assert_close(maps_and_gradient(compiled, 2), maps_and_gradient(plain, 2))
    assert graphs() - before == 2  # a ResNet, and self-attention before the layer that is read


def test_no_compiler(monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    monkeypatch.setattr("torch._inductor.config.fx_graph_cache", False)
    with pytest.raises(UserError, match="torch.compile does not work.*no-such-compiler.*give model.compile=false"):
        build([MIDDLE], True).attention_maps(*inputs(2))


def test_python_that_cannot_be_compiled(monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("torch.compile is not supported on Python 3.99+")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(UserError, match=r"on this machine \(torch.compile is not supported on Python 3.99\+\): give"):
        build([MIDDLE], True)
