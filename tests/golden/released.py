"""What the files of golden tensors say of the run that made them. No number is taken from anywhere else.

The folder is tests/golden/data, or another one of the same form that the environment variable SDCORR_GOLDEN names.
The tensors were made by the authors' own functions with the small random model in weights/, whose images, random
draws and results they hold.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import packed
from sdcorr.prompt.randomness import Query
from sdcorr.prompt.settings import PromptSettings

FOLDER = Path(os.environ.get("SDCORR_GOLDEN", Path(__file__).parent / "data"))


def read(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file by its name, which is packed here; two arrays that are others' too are kept once."""
    if (path := FOLDER / f"{name}.npz").exists():
        return dict(np.load(path))
    arrays = packed.read(FOLDER / f"{name}{packed.SUFFIX}")
    if name == "b_maps":
        arrays["latent"] = read("a_latents")["latent_src"]
    if name == "f_inference":  # the contexts that the optimization ended with
        ends = read("e_optimize")
        arrays["context"] = np.stack([ends["ctx0_after"][-1], ends["ctx1_final"]])
    return arrays


def weights() -> Path:
    """The folder of the model."""
    return packed.model_folder(FOLDER / "weights")


def layer_names() -> list[str]:
    """The UNet module of each layer index of the released code."""
    notes = json.loads((FOLDER / "b_layers.json").read_text())
    return [entry.split(" ")[0] for entry in notes["index_to_module"]]


def kept_heads() -> list[int]:
    """The heads that the released code reads."""
    return json.loads((FOLDER / "b_layers.json").read_text())["kept_heads"]


def loss_indices() -> list[str]:
    """Two-digit indices of the layers that enter the loss, e.g. "05"."""
    return sorted(name[-2:] for name in read("e_optimize") if name.startswith("native_ctx0_step0_"))


def loss_layers() -> list[str]:
    """Module names of these layers."""
    return [layer_names()[int(index)] for index in loss_indices()]


def optimization_settings(arrays: Mapping[str, np.ndarray]) -> PromptSettings:
    """Settings of e_optimize.npz."""
    restarts, steps = arrays["loss"].shape
    (timestep,) = set(arrays["timestep"].tolist())
    return PromptSettings(
        timestep=timestep,
        sigma=float(arrays["sigma"]),
        learning_rate=float(arrays["lr"]),
        crop=float(arrays["crop_percent"]) / 100,
        flip=float(arrays["flip_prob"]),
        steps=steps,
        restarts=restarts,
    )


def transfer_settings(arrays: Mapping[str, np.ndarray], optimization: PromptSettings) -> PromptSettings:
    """Settings of f_inference*.npz."""
    restarts, crops = arrays["pixel_loc_in"].shape[:2]
    (timestep,) = set(arrays["timestep"].tolist())
    return replace(optimization, transfer_timestep=timestep, transfer_crops=crops, restarts=restarts)


def queries(restarts: Sequence[int], target: str | None = None) -> list[Query]:
    """The one query point of the files, once for each of their random starts (contexts)."""
    return [Query("src", 0.0, 0.0, restart, target) for restart in restarts]


class RecordedDraws:
    """The draws of the released code instead of ours; and that it drew from the bounds that we work out."""

    def __init__(self, arrays: Mapping[str, np.ndarray], flip: float):
        self._bounds_and_values = arrays["randint_lo_hi_value"]  # (ctx, step, [x, y], [low, high, value])
        self._noise = torch.from_numpy(arrays["noise"])[:, :, 0]  # (ctx, step, C, h, w)
        self._flips = arrays["np_rand"] <= flip if "np_rand" in arrays else None  # (ctx, step)
        self._starts = arrays.get("ctx_init")

    def embeddings(self, queries: Sequence[Query], tokens: int, width: int) -> Tensor:
        starts = torch.from_numpy(np.stack([self._starts[query.restart] for query in queries]))
        assert starts.shape[1:] == (tokens, width)
        return starts

    def noise(self, queries: Sequence[Query], step: int, shape: Sequence[int]) -> Tensor:
        return torch.stack([self._noise[query.restart, step] for query in queries])

    def crop_starts(self, queries: Sequence[Query], step: int, low: Tensor, high: Tensor, count: int) -> Tensor:
        recorded = torch.from_numpy(np.stack([self._bounds_and_values[query.restart, step] for query in queries]))
        assert recorded[..., 0].tolist() == low.tolist(), f"step {step}"
        assert recorded[..., 1].tolist() == (high + 1).tolist(), f"step {step}"
        return recorded[..., 2]

    def flips(self, queries: Sequence[Query], step: int, probability: float) -> Tensor:
        return torch.tensor([bool(self._flips[query.restart, step]) for query in queries])
