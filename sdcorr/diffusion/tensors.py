"""Weights in files: their names and shapes before anything is read, then the tensors. No code of a file is ever run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from sdcorr.diffusion.parts import reason
from sdcorr.errors import UserError

PICKLED = (".ckpt", ".pt", ".pth", ".bin")  # what torch.save wrote
WEIGHTS = (".safetensors", *PICKLED)
_POINTER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a file, none of which is read.

    Raises:
        UserError: if it is no file of weights, or not whole.
    """
    with _told_as_a_sentence(path):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        return {name: tuple(tensor.shape) for name, tensor in _unpickle(path, "meta").items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Name -> tensor on the CPU, mapped from the file: its numbers are read when they are used.

    Raises:
        UserError: if it is no file of weights, or not whole.
    """
    with _told_as_a_sentence(path):
        return load_file(path) if path.suffix == ".safetensors" else _unpickle(path, "cpu")


def _unpickle(path: Path, device: str) -> dict[str, Tensor]:
    """The tensors of a file of torch.save, those under `state_dict` if it has such a part.

    Checkpoints of Lightning also hold callbacks and settings. Reading these would run the code of their classes, so an
    empty class stands in for every class that is not torch's own.
    """
    with torch.serialization.safe_globals([(_Nothing, name) for name in _foreign_classes(path)]):
        content = torch.load(path, map_location=device, weights_only=True, mmap=_is_zip(path))
    while isinstance(content, dict) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    return {name: value for name, value in dict(content).items() if isinstance(value, Tensor)}


class _Nothing:
    """Stands in for a class whose code shall not run."""

    def __new__(cls, *given: object, **named: object) -> "_Nothing":
        return super().__new__(cls)

    def __init__(self, *given: object, **named: object) -> None:
        """Forgets what it is given."""

    def __setstate__(self, state: object) -> None:
        """Forgets what it is given."""


def _foreign_classes(path: Path) -> list[str]:
    return torch.serialization.get_unsafe_globals_in_checkpoint(path) if _is_zip(path) else []


def _is_zip(path: Path) -> bool:
    """Whether torch.save wrote it in its present format, which can be mapped."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


@contextmanager
def _told_as_a_sentence(path: Path) -> Iterator[None]:
    """Says in one sentence what is wrong with a file."""
    if path.suffix not in WEIGHTS:
        raise UserError(f"{path} is no file of weights that can be read: give one of {', '.join(WEIGHTS)}.")
    try:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise UserError(f"{path} is only a pointer of Git LFS: run `git lfs pull` in its folder.")
        yield
    except UserError:
        raise
    except Exception as error:  # nobody knows in how many ways a broken file can break its reader
        if "GLOBAL" in str(error):  # torch's advice at this place is to run the code
            raise UserError(
                f"{path} holds more than weights, and reading it would run code that is in it: get the model as "
                ".safetensors."
            ) from error
        why = reason(error) if path.suffix == ".safetensors" else "it is not what torch.save writes, or not all of it"
        raise UserError(f"{path} cannot be read as weights ({why}): fetch the file again.") from error


def same_shapes(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What does not fit in the shapes of tensors, in words, for those that are in both."""
    return [
        f"{name} is {_times(found[name])} and should be {_times(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
