"""A student on disk: a folder with config.json (what network it is, what it was trained on) and model.safetensors."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sdcorr.digests import combined, digest
from sdcorr.errors import UserError
from sdcorr.files import write_whole

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True, eq=False)
class Student:
    """A network that was read from a folder, ready to be used."""

    network: nn.Module  # (B, 3, S, S) RGB in [0, 1] -> (B, C, h, w) of unit length; frozen
    side: int  # S, pixels
    temperature: float  # of the cosines' softmax, as it was learned
    facts: Mapping[str, Any]  # how it was trained
    identity: Mapping[str, str]  # digest of what decides its features


def save_student(
    folder: Path, network: nn.Module, made_by: Mapping[str, Any], temperature: float, facts: Mapping[str, Any]
) -> None:
    """Write a student, without the parts that others have made.

    Args:
        folder: is made if there is none.
        network: whose state is kept, but for that of a frozen backbone.
        made_by: `_target_` and the arguments of its class.
        temperature: of the softmax.
        facts: plain values: how it was trained.
    """
    own = {name: value.half() if value.is_floating_point() else value for name, value in _own(network).items()}
    write_whole(folder / WEIGHTS, save(own))
    told = {"network": dict(made_by), "temperature": temperature, "training": dict(facts)}
    write_whole(folder / CONFIG, json.dumps(told, indent=2) + "\n")


def load_student(folder: str | Path) -> Student:
    """The student of a folder.

    Raises:
        UserError: if there is none, or its files are damaged.
    """
    folder = Path(folder).expanduser()
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} has no student: give a folder with {CONFIG}, as `sdcorr train task=student` writes one."
        )
    try:
        told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = load_file(folder / WEIGHTS)
        network = make_network(told["network"])
        missing, unexpected = network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}, strict=False
        )
        if unexpected or set(missing) & set(_own(network)):
            raise KeyError([*unexpected, *missing][0])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The student in {folder} cannot be read ({reason}): train or fetch it again.") from None
    said = json.dumps({"network": told["network"], "temperature": told["temperature"]}, sort_keys=True)
    identity = {"student": combined([digest(said), digest((folder / WEIGHTS).read_bytes())])}
    backbone = getattr(network, "identity", {})
    return Student(
        network.eval().requires_grad_(False), network.side, told["temperature"], told["training"], identity | backbone
    )


def make_network(made_by: Mapping[str, Any]) -> Any:
    """The network of a class's name, `_target_`, and its arguments; its own weights are random.

    Raises:
        UserError: if an argument is not legal, or a backbone cannot be had.
    """
    arguments = dict(made_by)
    module, _, name = arguments.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


def _own(network: nn.Module) -> dict[str, Tensor]:
    """The state that training changes: all but a frozen backbone's."""
    return {
        name: value.contiguous() for name, value in network.state_dict().items() if not name.startswith("backbone.")
    }
