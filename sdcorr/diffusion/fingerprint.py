"""What a model is, by the content of its files: digests of its weights and of its configurations.

Weights are read whole, once: their digests are remembered in `digests.json` of the user's cache folder, and a file is
read again when its size or one of its times has changed. Configurations count by what they say, not by how it is laid
out. Nothing is loaded, so a run whose predictions are all there needs no more of the model than this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub import try_to_load_from_cache

from sdcorr.digests import FileDigests, combined, digest, user_cache, value_digest
from sdcorr.errors import UserError

NETWORKS = ("unet", "vae")
OPTIONAL = ("scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json", "text_encoder/config.json")
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")  # in the order of diffusers' choice
INDEX = ".index.json"  # ends the name of the file that says which tensor is in which shard
WITHOUT_EFFECT = ("_name_or_path", "_use_default_values", "transformers_version")  # where it came from, who wrote it

_digests: dict[Path, FileDigests] = {}  # by their cache file


def identity(folder: str | Path, files: Iterable[str] | None = None, commit: str | None = None) -> dict[str, str]:
    """What a model in the diffusers layout is.

    Args:
        folder: the model's.
        files: those that are used, as paths from the folder; None for what `files_of` finds. What ends with `.json`
            is a configuration, all else (and the index of shards) is weights.
        commit: of the hub, if the folder is a snapshot.

    Returns:
        Part -> 16 hexadecimal digits: each configuration by its path, such as `unet/config.json`, and `unet/weights`
        for all weights of a folder together; `commit` if there is one.

    Raises:
        UserError: if a file is missing, cannot be read, or is no JSON.
    """
    folder = Path(folder)
    return identity_of_files({file: folder / file for file in (files_of(folder) if files is None else files)}, commit)


class Network(Protocol):
    """What is read of a network of diffusers."""

    @property
    def config(self) -> Any:
        """Its configuration, a mapping."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Its weights by name."""
        ...


def identity_of_files(files: Mapping[str, Path], commit: str | None = None) -> dict[str, str]:
    """What a model is that is made of these files, wherever they lie.

    Args:
        files: role, such as `unet/config.json`, -> path; see `sdcorr.diffusion.files.ModelFiles.files`.
        commit: of the hub.

    Returns:
        As `identity`.

    Raises:
        UserError: if a file cannot be read, or is no JSON.
    """
    found: dict[str, str] = {}
    weights: dict[str, list[str]] = {}
    for role, path in sorted(files.items()):
        part = str(Path(role).parent / "weights")
        if role.endswith(INDEX):
            weights.setdefault(part, []).append(value_digest(_read_json(path)))
        elif role.endswith(".json"):
            found[role] = value_digest(_told(_read_json(path)))
        else:
            weights.setdefault(part, []).append(_file_digest(path))
    found |= {part: combined(digests) for part, digests in weights.items()}
    return dict(sorted(found.items())) | ({"commit": commit} if commit else {})


def identity_of(name: str, revision: str | None = None, networks: Sequence[str] = NETWORKS) -> dict[str, str]:
    """What the model in a folder is, or the one of the hub as far as it is on this machine.

    Args:
        name: path of a folder in the diffusers layout, or hub id.
        revision: branch, tag or commit on the hub.
        networks: the folders of its networks.

    Raises:
        UserError: if it is not on this machine, or a file of it cannot be read.
    """
    if (folder := Path(os.path.expanduser(name))).is_dir():
        return identity(folder, files_of(folder, networks))
    if (snapshot := snapshot_of(name, revision, networks)) is None:
        raise UserError(f"The model {name!r} is not on this machine: load it once with a network, or give its folder.")
    return identity(snapshot, files_of(snapshot, networks), snapshot.name)


def snapshot_of(name: str, revision: str | None = None, networks: Sequence[str] = NETWORKS) -> Path | None:
    """The folder of a hub model on this machine, which is called by its commit; None if it was not fetched yet."""
    found = try_to_load_from_cache(name, f"{networks[0]}/config.json", revision=revision)
    return Path(found).parents[1] if isinstance(found, str) else None


def files_of(folder: Path, networks: Sequence[str] = NETWORKS) -> list[str]:
    """The files of a model folder that decide what it does, as diffusers chooses them.

    Raises:
        UserError: if there is no configuration or no weights of one of the networks.
    """
    files = [file for file in OPTIONAL if (folder / file).is_file()]
    for part in networks:
        config = f"{part}/config.json"
        weights = _weights(folder / part)
        if not (folder / config).is_file() or not weights:
            raise UserError(
                f"There is no {config if weights else f'{part}/{WEIGHTS[0]}'} in {folder}: a model folder holds both, "
                "as diffusers saves them."
            )
        files += [config, *(f"{part}/{file}" for file in weights)]
    return files


def identity_in_memory(networks: Mapping[str, Network], schedule: torch.Tensor) -> dict[str, str]:
    """What a model is that was not read from files.

    Args:
        networks: part -> a network of diffusers; all of its weights are read.
        schedule: the cumulative alphas.

    Returns:
        As `identity`, with `scheduler/alphas_cumprod` for the schedule.
    """
    found = {"scheduler/alphas_cumprod": _tensors_digest({"": schedule})}
    for part, network in networks.items():
        found[f"{part}/config.json"] = value_digest(_told(json.loads(json.dumps(dict(network.config)))))
        found[f"{part}/weights"] = _tensors_digest(network.state_dict())
    return dict(sorted(found.items()))


def _weights(folder: Path) -> list[str]:
    """The weights of a network; of several kinds of files, one is read, and shards before a single one."""
    for name in WEIGHTS:
        index = f"{name}{INDEX}"
        if (folder / index).is_file():
            shards = _read_json(folder / index)
            try:
                return [index, *sorted(set(shards["weight_map"].values()))]
            except (AttributeError, KeyError, TypeError):
                raise UserError(f"{folder / index} names no weights: fetch or save the model again.") from None
        if (folder / name).is_file():
            return [name]
    return []


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): fetch or save the model again.") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}): fetch or save the model again.") from None


def _told(config: Any) -> Any:
    """What a configuration says of what the model does."""
    if isinstance(config, dict):
        return {name: value for name, value in config.items() if name not in WITHOUT_EFFECT}
    return config


def _file_digest(path: Path) -> str:
    cache = user_cache() / "digests.json"
    try:
        return _digests.setdefault(cache, FileDigests(cache)).of(path)
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): fetch or save the model again.") from None


def _tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    parts = []
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().reshape(-1).contiguous()
        parts.append(f"{name} {plain.dtype} {tuple(tensor.shape)} {digest(plain.view(torch.uint8).numpy().tobytes())}")
    return combined(["", *parts])
