"""What is said of the models that people have on disk: `python benchmarks/layouts.py`, minutes, no weights, no network.

Every layout is made here: true structures with reduced widths and random weights. Each is given to `sdcorr eval` as
`model.path` with one pair of tiny pictures, in this process, so that the seconds are those of the command itself: a new
process needs some more for its imports.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))  # the builders of small models are the tests'

import torch
from huggingface_hub import constants
from measure import RESULTS, command, markdown, save
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file

from sdcorr.cli.main import main as sdcorr
from tests import models
from tests.diffusion.first_names import single_file
from tests.diffusion.test_single_file import networks

NAME = "diffusion_pytorch_model"
QUICK = ("methods=[prompt]", "method.steps=1", "method.restarts=1", "method.transfer_crops=1", "model.image_size=64")
QUIET = ("logger=none", "embeddings=null", "bootstrap=0", "pictures=0", "maps=0")
NOWHERE = "http://127.0.0.1:9"  # where nobody listens, as on a machine without a network
CACHED = "someone/cached"


class Harm:
    """Would make a folder if a pickle with it were read as Python reads it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """What Python would call."""
        return os.mkdir, ("harm",)


class Answer(NamedTuple):
    """What the command said."""

    code: int
    seconds: float  # until it was said
    said: str


class Noted(io.StringIO):
    """Remembers when something was first written."""

    at: float | None = None

    def write(self, text: str) -> int:
        """Write a text."""
        self.at = self.at or time.monotonic()
        return super().write(text)


def asked(root: Path, *words: str, quick: bool = True) -> Answer:
    """What `sdcorr eval` says of a model.

    Args:
        root: a folder with a pair of pictures.
        words: settings of the model.
        quick: whether it may be run at 64 pixels.
    """
    run, out, err = root / "run", Noted(), Noted()
    shutil.rmtree(run, ignore_errors=True)
    settings = QUICK if quick else QUICK[:-1]
    start = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = sdcorr(["eval", "dataset=folder", f"dataset.root={root}", f"run_dir={run}", *settings, *QUIET, *words])
    stream = err if code else out
    said = next(iter(stream.getvalue().splitlines()), "")
    return Answer(code, (stream.at or time.monotonic()) - start, said)


def layouts(root: Path) -> dict[str, tuple[str, ...]]:
    """Every layout, made below a folder: what it is -> the settings that name it."""
    good = models.save_family(root / "sd14", "sd14")

    def changed(name: str, change: Callable[[Path], object]) -> tuple[str, ...]:
        folder = Path(shutil.copytree(good, root / name))
        change(folder)
        return (f"model.path={folder}",)

    def renamed(to: str) -> Callable[[Path], object]:
        return lambda folder: [
            (folder / part / f"{NAME}.safetensors").rename(folder / part / f"{NAME}.{to}.safetensors")
            for part in ("unet", "vae")
        ]

    def config(part: str, **values: object) -> Callable[[Path], object]:
        def change(folder: Path) -> None:
            (path,) = (folder / part).glob("*config.json")
            path.write_text(json.dumps(json.loads(path.read_text()) | values))

        return change

    def unet(change: Callable[[dict[str, torch.Tensor], Path], object]) -> Callable[[Path], object]:
        return lambda folder: change(load_file(folder / "unet" / f"{NAME}.safetensors"), folder / "unet")

    def sharded(tensors: dict[str, torch.Tensor], folder: Path) -> None:
        (folder / f"{NAME}.safetensors").unlink()
        for number in (1, 2):
            part = dict(list(tensors.items())[number - 1 :: 2])
            save_file(part, folder / f"{NAME}-0000{number}-of-00002.safetensors", metadata={"format": "pt"})

    def half_sharded(tensors: dict[str, torch.Tensor], folder: Path) -> None:
        sharded(tensors, folder)
        (folder / f"{NAME}-00002-of-00002.safetensors").unlink()

    def pickled(tensors: dict[str, torch.Tensor], folder: Path) -> None:
        (folder / f"{NAME}.safetensors").unlink()
        torch.save(tensors, folder / f"{NAME}.bin")

    def saved(**changes: torch.Tensor | None) -> Callable[[dict[str, torch.Tensor], Path], object]:
        def change(tensors: dict[str, torch.Tensor], folder: Path) -> None:
            kept = {name: value for name, value in (tensors | changes).items() if value is not None}
            save_file(kept, folder / f"{NAME}.safetensors", metadata={"format": "pt"})

        return change

    def cut(folder: Path) -> None:
        path = folder / "unet" / f"{NAME}.safetensors"
        path.write_bytes(path.read_bytes()[:-1000])

    def pointer(folder: Path) -> None:
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167536\n"
        (folder / "unet" / f"{NAME}.safetensors").write_text(text)

    def only(folder: str, **content: object) -> tuple[str, ...]:
        place = root / folder
        models.write_json(place / "config.json", content)
        return (f"model.path={place}",)

    def file(name: str, tensors: dict[str, torch.Tensor]) -> tuple[str, ...]:
        save_file(tensors, root / name)
        return (f"model.path={root / name}",)

    whole = single_file(*networks("sd14"))
    torch.save({"state_dict": whole, "epoch": 3}, root / "v1.ckpt")
    torch.save({"state_dict": whole, "harm": Harm()}, root / "code.ckpt")
    snapshot = root / "cache" / f"models--{CACHED.replace('/', '--')}" / "snapshots" / (40 * "a")
    shutil.copytree(good, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    (root / "empty").mkdir()
    around = root / "around"
    around.mkdir()
    (root / "model.gguf").write_bytes(b"GGUF")
    (root / "lora").mkdir()
    save_file({"a": torch.zeros(2)}, root / "lora" / "pytorch_lora_weights.safetensors")
    models.write_json(root / "pixart" / "transformer" / "config.json", {"_class_name": "PixArtTransformer2DModel"})
    models.write_json(root / "sd3" / "transformer" / "config.json", {"_class_name": "SD3Transformer2DModel"})
    found = {
        "SD 1.4's structure": (f"model.path={good}",),
        "the same, fp16 alone": changed("fp16", renamed("fp16")),
        "the same, non_ema alone": changed("non_ema", renamed("non_ema")),
        "the same, in two shards": changed("shards", unet(sharded)),
        "the same, .bin": changed("bin", unet(pickled)),
        "the same, without scheduler, tokenizer and text encoder": changed(
            "bare", lambda folder: shutil.rmtree(folder / "scheduler")
        ),
        "the same, of 2022: sample_size 32": changed(
            "early", config("unet", sample_size=32, _diffusers_version="0.6.0")
        ),
        "the same, in the hub's cache, no network": (f"model.path={CACHED}",),
        "another UNet on top": (f"model.path={good}", f"model.unet={good / 'unet' / f'{NAME}.safetensors'}"),
        "SD 2.1's structure": (f"model.path={models.save_family(root / 'sd21', 'sd21')}",),
        "SDXL's structure": (f"model.path={models.save_family(root / 'sdxl', 'sdxl')}",),
        "single file, .safetensors": file("v1.safetensors", whole),
        "single file, .ckpt of Lightning": (f"model.path={root / 'v1.ckpt'}",),
        "single file, .ckpt with code": (f"model.path={root / 'code.ckpt'}",),
        "inpainting, 9 channels": changed("c9", config("unet", in_channels=9)),
        "InstructPix2Pix, 8 channels": changed("c8", config("unet", in_channels=8)),
        "upscaler, 7 channels": changed("c7", config("unet", in_channels=7)),
        "depth, 5 channels": changed("c5", config("unet", in_channels=5)),
        "inpainting, single file": file("in.safetensors", single_file(*networks("sd14", in_channels=9))),
        "class-conditioned": changed("class", config("unet", num_class_embeds=1000)),
        "unCLIP": changed("unclip", config("unet", class_embed_type="projection")),
        "several kinds of prompts": changed("kinds", config("unet", cross_attention_dim=[768, 768, 1280, 1280])),
        "no sample_size": changed("size", config("unet", sample_size=None)),
        "flow matching's scheduler": changed(
            "flow", config("scheduler", _class_name="FlowMatchEulerDiscreteScheduler")
        ),
        "LoRA, folder": (f"model.path={root / 'lora'}",),
        "LoRA, file": file("lora.safetensors", {"lora_unet_down_blocks_0.lora_up.weight": torch.zeros(2)}),
        "ControlNet": only("controlnet", _class_name="ControlNetModel"),
        "text encoder": only("text", architectures=["CLIPTextModel"]),
        "PixArt": (f"model.path={root / 'pixart'}",),
        "Stable Diffusion 3, by its path alone": (f"model.path={root / 'sd3'}",),
        "the unet/ of a model": (f"model.path={good / 'unet'}",),
        "without vae/": changed("novae", lambda folder: shutil.rmtree(folder / "vae")),
        "no such variant": (f"model.path={good}", "model.variant=fp16"),
        "empty folder": (f"model.path={root / 'empty'}",),
        "torn config.json": changed("torn", lambda folder: (folder / "unet" / "config.json").write_text('{"a": ')),
        "weights cut short": changed("cut", cut),
        "a pointer of Git LFS": changed("lfs", pointer),
        "one of two shards": changed("half", unet(half_sharded)),
        "a tensor is missing": changed("missing", unet(saved(**{"conv_in.bias": None}))),
        "weights of other widths": changed("widths", unet(saved(**{"conv_in.bias": torch.zeros(7)}))),
        "GGUF": (f"model.path={root / 'model.gguf'}",),
        "a path that is not there": (f"model.path={root / 'nowhere' / 'typo'}",),
        "a relative path that is not there": ("model.path=models/single.safetensors",),
        "a hub's model that is not here, no network": ("model.path=CompVis/stable-diffusion-v1-4",),
        "nobody's model, no network": ("model.path=nobody/nothing",),
    }
    save_file(whole, around / "v1.safetensors")
    found["a folder around a single file"] = (f"model.path={around}",)
    return found


def table(folder: Path) -> list[tuple[str, Answer]]:
    """What is said of every layout; the folder is where they are made."""
    folder = folder.resolve()
    for name, color in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (64, 64), color).save(folder / f"{name}.png")
    (folder / "pairs.csv").write_text("source,target,x,y,target_x,target_y\na.png,b.png,20,30,25,35\n")
    reach = constants.ENDPOINT, constants.HF_HUB_CACHE
    constants.ENDPOINT, constants.HF_HUB_CACHE = NOWHERE, str(folder / "cache")
    try:
        made = layouts(folder)
        asked(folder, *made["SD 1.4's structure"])  # imports what is needed
        unsized = ("no sample_size",)  # which a size on the command line would mend
        answers = [(name, asked(folder, *words, quick=name not in unsized)) for name, words in made.items()]
    finally:
        constants.ENDPOINT, constants.HF_HUB_CACHE = reach
    return [(name, each._replace(said=each.said.replace(f"{folder}/", "").replace("|", "/"))) for name, each in answers]


_PAGE = """# What is said of the models that people have

{table}

Given as `model.path` to `sdcorr eval`. Exit code 0: it runs to the end, and this is the line that it begins with; 2: it
is refused. Seconds until it is said, in a process that has its imports, on two CPU cores that others kept busy. True
structures, widths / 8, random weights; no network.
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = table(Path(scratch))
    cells = [[name, str(each.code), f"{each.seconds:.1f}", each.said] for name, each in rows]
    page = _PAGE.format(table=markdown(["what", "exit code", "s", "what is said"], cells))
    save("layouts", args.out, {"layouts": [{"what": name} | each._asdict() for name, each in rows]}, page)
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
