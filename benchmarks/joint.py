"""What joint attention costs at true size: `python benchmarks/joint.py`, in minutes, with no GPU and no weights.

FLOPs are counted by torch on the meta device (1 MAC = 2 FLOPs), on the model that the library runs. What autograd keeps
for the backward pass is added up over tensors without content on a CPU, whose fused attention keeps, as GPUs' do, no
matrix. Numbers are for one query: one embedding on one crop.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel, SD3Transformer2DModel
from measure import RESULTS, command, markdown, save
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sdcorr.cli.configs import CONFIGS
from sdcorr.diffusion.joint import JointDiffusion
from sdcorr.diffusion.joint.networks import joint_network
from sdcorr.diffusion.precision import Precision, weights_dtype

FAMILIES = ("sd3_medium", "sd35_medium", "flux_dev")
SIZES = (512, 1024)
STEPS, CROPS = 5 * 129, 5 * 20  # of a query point, as released

# transformer/config.json, vae/config.json and scheduler/scheduler_config.json as published.
_SD3 = {
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 192,
}
_SD35 = _SD3 | {"pos_embed_max_size": 384, "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13))}
_FLUX_SHIFT = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
_SCHEDULERS = {
    family: FlowMatchEulerDiscreteScheduler(**(_FLUX_SHIFT if family == "flux_dev" else {"shift": 3.0}))
    for family in FAMILIES
}
_VAE = {
    "sample_size": 1024,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


@dataclass(frozen=True)
class Cost:
    """Of one model at one size; FLOPs and bytes."""

    family: str
    image_size: int
    parameters: int  # of the whole transformer
    kept: int  # up to the last layer that is read
    weights: int  # bytes of what is kept and of the VAE's encoder, in bf16
    whole: int  # FLOPs of a forward pass to its end
    forward: int  # stopped at the last layer that is read
    backward: int  # to the embedding
    encode: int  # a crop through the VAE
    saved: int  # bytes that autograd keeps for one query, in bf16
    matrices: int  # bytes of the softmaxes of the layers that are read, in float32, which are never there whole
    text_step: int  # FLOPs of a step, forward and backward, on a picture that was read once
    picture: int  # bytes of one crop that was read once, in bf16

    @property
    def point(self) -> float:
        """FLOPs of a query point as released, less the encoding of crops."""
        return STEPS * (self.forward + self.backward) + CROPS * self.forward


def build(family: str, image_size: int, precision: Precision = "fp32", truncate: bool = True) -> JointDiffusion:
    """The model in its true shape on torch's default device, with the layers of its preset."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(weights_dtype(precision))
    try:
        if family == "flux_dev":
            transformer = FluxTransformer2DModel(guidance_embeds=True)  # whose defaults are FLUX.1-dev
        else:
            transformer = SD3Transformer2DModel(**(_SD35 if family == "sd35_medium" else _SD3))
        vae = AutoencoderKL(**_VAE)
    finally:
        torch.set_default_dtype(usual)
    preset = OmegaConf.load(CONFIGS / "model" / f"{family}.yaml")
    return JointDiffusion(
        vae,
        transformer,
        layers=list(preset.layers),
        scheduler=_SCHEDULERS[family],
        image_size=image_size,
        truncate=truncate,
        precision=precision,
    )


def cost(family: str, image_size: int) -> Cost:
    """Counted on the meta device, and on tensors without content."""
    with torch.device("meta"):
        whole = build(family, image_size, truncate=False)
        parameters = _count(whole.transformer)
        noisy, prompt = _inputs(whole)
        with FlopCounterMode(display=False) as to_the_end:
            joint_network(whole.transformer).run(noisy, whole.sigmas[0], prompt)
        model = build(family, image_size)
        with FlopCounterMode(display=False) as forward:
            maps = model.attention_maps(noisy, 0, prompt, heads="all")
        with FlopCounterMode(display=False) as backward:
            torch.stack([layer.sum() for layer in maps]).sum().backward()
        with FlopCounterMode(display=False) as encode:
            model.encode(torch.zeros(1, 3, image_size, image_size))
        picture = model.attention_queries(noisy, 0, prompt, heads="all")
        with FlopCounterMode(display=False) as text:
            torch.stack([layer.sum() for layer in model.attend(picture, prompt, heads="all")]).sum().backward()
        half = build(family, image_size, "bf16").attention_queries(noisy, 0, prompt, heads="all")
    tokens = (model.latent_size // 2) ** 2
    rows = len(model.layers) * model.transformer.config.num_attention_heads * tokens
    counts = (to_the_end, forward, backward, encode)
    return Cost(
        family,
        image_size,
        parameters,
        _count(model.transformer),
        2 * (_count(model.transformer) + _count(model.vae)) + 2 * sum(b.numel() for b in model.transformer.buffers()),
        *(count.get_total_flops() for count in counts),
        saved=_saved(family, image_size),
        matrices=4 * rows * (tokens + model.tokens),
        text_step=text.get_total_flops(),
        picture=sum(part.numel() * part.element_size() for part in half),
    )


def _inputs(model: JointDiffusion) -> tuple[Tensor, Tensor]:
    noisy = torch.zeros(1, model.latent_channels, model.latent_size, model.latent_size)
    return noisy, torch.zeros(1, model.tokens, model.width, requires_grad=True)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _saved(family: str, image_size: int) -> int:
    """Bytes that autograd keeps of a forward pass in bf16, weights left out."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with FakeTensorMode():
        model = build(family, image_size, "bf16")
        noisy, prompt = _inputs(model)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.attention_maps(noisy, 0, prompt, heads="all")
        own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers(), prompt)}
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def page_of(costs: Iterable[Cost]) -> str:
    """The report."""
    costs = list(costs)
    network = [
        [
            f"{c.family}, {c.image_size} px",
            f"{c.parameters / 1e9:.2f}",
            f"{c.kept / 1e9:.2f}",
            f"{c.weights / 1e9:.1f}",
            *(f"{flops / 1e12:.2f}" for flops in (c.whole, c.forward, c.backward, c.encode)),
            f"{c.point / 1e15:.1f}",
        ]
        for c in costs
    ]
    memory = [
        [
            f"{c.family}, {c.image_size} px",
            f"{c.saved / 1e9:.2f}",
            f"{c.matrices / 1e9:.2f}",
            f"{c.text_step / 1e12:.2f}",
            f"{(c.forward + c.backward) / c.text_step:.1f}",
            f"{c.picture / 1e6:.0f}",
        ]
        for c in costs
    ]
    return _PAGE.format(
        network=markdown(
            ["model", "parameters, 10^9", "kept", "bf16 GB", "whole", "forward", "backward", "encode", "point, PFLOP"],
            network,
        ),
        memory=markdown(
            ["model", "saved, GB", "softmaxes, GB", "text step, TFLOP", "step / text step", "a crop, MB"], memory
        ),
    )


_PAGE = """# Joint attention at true size

{network}

TFLOP of one query: the whole transformer forward; forward, stopped at the last layer of the preset; backward to the
embedding; the VAE's encoder on a crop. Kept are the parameters up to that layer, and their GB with the encoder's and
the positions'. A point is {steps} steps and {crops} crops of a target, as released, without the encoding of crops.
Stable Diffusion 1.4, for comparison: 0.48 forward, 0.47 backward, 0.66 PFLOP a point.

{memory}

Saved is what autograd keeps for the backward pass of one query, in bf16; the softmaxes of the layers that are read, in
float32, would come on top if they were kept. A text step is forward and backward on a picture that was read once
(`attention_queries`, `attend`), of which a crop takes so many MB in bf16.
""".replace("{steps}", f"{STEPS}").replace("{crops}", f"{CROPS}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args(arguments)
    costs = [cost(family, size) for family in FAMILIES for size in SIZES]
    page = page_of(costs)
    save("joint", args.out, {"costs": [asdict(each) for each in costs]}, page)
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
