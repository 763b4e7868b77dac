"""A frozen vision network: pixels in, feature maps of the layers that are asked for out.

Read by transformers' AutoModel from the Hugging Face hub or a folder: DINOv2 (with and without registers), DINOv3, ViT,
CLIP's picture side, ConvNeXt, ResNet, Swin and whatever else returns its hidden states. Or any callable of Python.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HTTPError
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from sdcorr.diffusion.fingerprint import identity
from sdcorr.errors import UserError
from sdcorr.finite import check_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONFIG = "config.json"
PATIENCE = 5.0  # seconds for the hub's first answer
PROCESSOR = "preprocessor_config.json"  # where a model of transformers keeps its pixels' mean and deviation

Call = Callable[[Tensor], Tensor | Sequence[Tensor]]


class Network(nn.Module):
    """Feature maps of a frozen network.

    Attributes:
        stride: pixels of the picture per cell of the finest grid; sides of a canvas should be multiples of it.
        identity: what decides its features: digests of its files, or the callable's name.
    """

    def __init__(
        self, run: Call, *, stride: int, mean: Sequence[float], std: Sequence[float], identity: Mapping[str, str]
    ) -> None:
        """Wrap a callable.

        Args:
            run: takes (B, 3, h, w) normalized pixels and gives a feature map (B, C, h', w'), or one for each layer.
            stride: pixels per cell.
            mean: of the pixels, for each channel, on a scale where white is 1.
            std: their deviation, likewise.
            identity: what decides its features.
        """
        super().__init__()
        self.run, self.stride, self.identity = run, stride, dict(identity)
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Feature maps of some layers.

        Args:
            pixels: (B, 3, h, w) in [0, 1].
            layers: their numbers, from the end where negative.

        Returns:
            For each layer (B, C, h', w') float32.

        Raises:
            UserError: if there is no such layer.
        """
        mean = self.get_buffer("mean")
        with torch.set_grad_enabled(torch.is_grad_enabled() and isinstance(self.run, nn.Module)):
            found = self.run((pixels.to(mean) - mean) / self.get_buffer("std"))
        maps = [found] if isinstance(found, Tensor) else list(found)
        if bad := next((layer for layer in layers if not -len(maps) <= layer < len(maps)), None):
            raise UserError(f"The network has no layer {bad}: give numbers from {-len(maps)} to {len(maps) - 1}.")
        return [maps[layer].float() for layer in layers]

    def flops(self, canvas: tuple[int, int]) -> int:
        """FLOPs of one picture, 1 MAC = 2 FLOPs, counted over one pass.

        Args:
            canvas: (width, height) in pixels.
        """
        width, height = canvas
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # which knows no other on a CPU
            self(torch.zeros(1, 3, height, width), [0])
        return counter.get_total_flops()


def load_network(
    name: str, *, revision: str | None = None, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Network:
    """A network by name.

    Args:
        name: id on the Hugging Face hub, path of a folder, or `package.module:callable`, a callable that takes
            (B, 3, h, w) normalized pixels and gives a feature map (B, C, h', w') or a sequence of them, one a layer.
        revision: branch, tag or commit on the hub.
        mean: of the pixels, for each channel; by default the model's own, or ImageNet's.
        std: their deviation, likewise.

    Raises:
        UserError: if it cannot be had, or is no network for pictures.
    """
    if ":" in name and not Path(name).exists():
        return _callable(name, mean, std)
    return _transformer(str(Path(name).expanduser()), revision, mean, std)


def _callable(name: str, mean: Sequence[float] | None, std: Sequence[float] | None) -> Network:
    module, _, attribute = name.partition(":")
    try:
        run = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"There is no {name} ({error}): give package.module:callable, which Python can import."
        ) from None
    if isinstance(run, type):
        run = run()
    stride = int(getattr(run, "stride", 1))
    identity = {"callable": name, "version": str(getattr(run, "version", ""))}
    return Network(run, stride=stride, mean=mean or IMAGENET_MEAN, std=std or IMAGENET_STD, identity=identity)


def _transformer(name: str, revision: str | None, mean: Sequence[float] | None, std: Sequence[float] | None) -> Network:
    logging.set_verbosity_error()
    config = _config(name, revision)
    try:
        model, info = _weights(name, revision)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The weights of {name} cannot be read ({_first_line(error)}): fetch or save it again."
        ) from None
    missing = [key for key in info["missing_keys"] if "pooler" not in key]
    if missing:  # transformers would leave them random
        raise UserError(f"The weights of {name} lack {len(missing)} tensors, {missing[0]} for one: fetch it again.")
    model = getattr(model, "vision_model", model).float().eval().requires_grad_(False)  # files may have fewer digits
    check_weights(model.state_dict().items(), name)
    own_mean, own_std = _statistics(name, revision)
    return Network(
        HiddenStates(model),
        stride=_stride(config),
        mean=mean or own_mean,
        std=std or own_std,
        identity=_identity(name, revision),
    )


def _weights(name: str, revision: str | None) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model with its weights and what was found of them, without asking the hub if they are here."""
    given = {"revision": revision, "output_loading_info": True}
    with suppress(OSError):
        return AutoModel.from_pretrained(name, **given, local_files_only=True)
    return AutoModel.from_pretrained(name, **given)


def _is_here(name: str, revision: str | None) -> bool:
    """Whether a model is a folder, or in this machine's copy of the hub, which is then not asked."""
    return Path(name).is_dir() or isinstance(try_to_load_from_cache(name, CONFIG, revision=revision), str)


def _check_hub(name: str, revision: str | None) -> None:
    """Ask the hub for a model once; transformers would try for half a minute.

    Raises:
        UserError: if it cannot be had.
    """
    try:
        HfApi().model_info(name, revision=revision, timeout=PATIENCE)
    except (HTTPError, OSError):
        raise UserError(
            f"The network {name!r} is not on this machine and could not be fetched from the Hugging Face hub: check "
            "the id, the connection and, for a gated model, `hf auth login`; or give the path of its folder."
        ) from None


class HiddenStates(nn.Module):
    """The hidden states of a model of transformers as feature maps, the last one normalized as the model does."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        known = inspect.signature(model.forward).parameters
        self._options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in known else {}

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, h, w) pixels -> (B, C, h', w') of the embedding and of every layer."""
        output = self.model(pixels, output_hidden_states=True, **self._options)
        if (maps := getattr(output, "reshaped_hidden_states", None)) is not None:
            return list(maps)
        states = list(output.hidden_states)
        if states[-1].shape == output.last_hidden_state.shape:
            states[-1] = output.last_hidden_state
        return [state if state.dim() == 4 else self._grid(state, pixels) for state in states]

    def _grid(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        """Tokens (B, N, C) in reading order, those of no place (class, registers) first -> (B, C, h', w')."""
        patch = _stride(self.model.config)
        height, width = pixels.shape[-2] // patch, pixels.shape[-1] // patch
        return tokens[:, -height * width :].transpose(1, 2).unflatten(-1, (height, width))


def _config(name: str, revision: str | None) -> PretrainedConfig:
    """The model's configuration, if it is one of a network for pictures."""
    folder = Path(name)
    if not folder.is_dir() and (name.startswith((".", "/")) or name.count("/") != 1):
        raise UserError(f"There is no folder {name}: give a folder with config.json and weights, or a hub id.")
    here = _is_here(name, revision)
    if not here:
        _check_hub(name, revision)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, local_files_only=here)
    except (OSError, ValueError, KeyError) as error:
        reason = f"{name} is no model of transformers ({_first_line(error)})"
        raise UserError(f"{reason}: give a folder with config.json and weights, or a hub id.") from None
    config = getattr(config, "vision_config", config)
    if not hasattr(config, "num_channels"):
        raise UserError(f"{name} is a {config.model_type} model, which takes no pictures: give a vision model.")
    return config


def _stride(config: PretrainedConfig) -> int:
    """Pixels per cell of the finest layer."""
    patch = getattr(config, "patch_size", None) or 4  # ResNet's stem
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


def _statistics(name: str, revision: str | None) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation of the pixels that the model was trained with; ImageNet's where it does not say."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        told, _ = ImageProcessingMixin.get_image_processor_dict(
            name, revision=revision, local_files_only=_is_here(name, revision)
        )
    except OSError:
        return IMAGENET_MEAN, IMAGENET_STD
    return told.get("image_mean") or IMAGENET_MEAN, told.get("image_std") or IMAGENET_STD


def _identity(name: str, revision: str | None) -> dict[str, str]:
    """Digests of the files that decide the features."""
    folder, commit = Path(name), None
    if not folder.is_dir():
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
        commit = folder.name
    weights = [file.name for file in folder.iterdir() if file.suffix in (".safetensors", ".bin")]
    return identity(folder, [*(each for each in (CONFIG, PROCESSOR) if (folder / each).is_file()), *weights], commit)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
