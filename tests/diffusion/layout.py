"""Folders in the layout of diffusers with weights that nothing can load, for what only looks at files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNET = {"_class_name": "UNet2DConditionModel", "attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}
VAE = {"_class_name": "AutoencoderKL", "scaling_factor": 0.18215, "block_out_channels": [128, 256, 512, 512]}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "prediction_type": "epsilon"}
FILE = "diffusion_pytorch_model.safetensors"


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_model(folder: Path) -> Path:
    """A UNet and a VAE in one file each, a schedule and a text encoder's configuration."""
    for part, config in (("unet", UNET), ("vae", VAE)):
        write_json(folder / part / "config.json", config)
        (folder / part / FILE).write_bytes(f"the weights of the {part}".encode() * 100)
    write_json(folder / "scheduler/scheduler_config.json", SCHEDULE)
    write_json(folder / "text_encoder/config.json", {"max_position_embeddings": 77})
    return folder


def write_shards(folder: Path, contents: Sequence[bytes]) -> None:
    """The same network's weights in several files, in place of the one."""
    (folder / FILE).unlink(missing_ok=True)
    names = [FILE.replace(".", f"-{i:05d}-of-{len(contents):05d}.") for i in range(1, len(contents) + 1)]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    write_json(folder / f"{FILE}.index.json", {"metadata": {}, "weight_map": {f"layer.{n}": n for n in names}})


def write_snapshot(cache: Path, name: str, commit: str, revision: str = "main") -> Path:
    """A model of the hub as its client keeps it: the files of a commit, and what a revision means now."""
    home = cache / f"models--{name.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / revision).write_text(commit)
    return write_model(home / "snapshots" / commit)
