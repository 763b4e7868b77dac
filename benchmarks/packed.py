"""Arrays in little room, to the last bit: what the golden tests and the golden model are kept in.

Deflate and safetensors make next to nothing of the digits of random numbers, but their exponents are alike. A packed
file is xz of one line of JSON, [[name, dtype, shape], ...], and then of each array the first bytes of all its numbers,
their second bytes, and so on.
"""

import atexit
import json
import lzma
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SUFFIX = ".packed.xz"
WEIGHTS = "diffusion_pytorch_model"


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Packs arrays into a file."""
    head = json.dumps([[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()])
    planes = [np.frombuffer(each.tobytes(), np.uint8).reshape(-1, each.itemsize).T for each in arrays.values()]
    content = b"".join([head.encode(), b"\n", *(plane.tobytes() for plane in planes)])
    path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a packed file."""
    head, _, content = lzma.decompress(path.read_bytes()).partition(b"\n")
    arrays, at = {}, 0
    for name, kind, shape in json.loads(head):
        dtype = np.dtype(kind)
        size = int(np.prod(shape)) * dtype.itemsize
        planes = np.frombuffer(content[at : at + size], np.uint8).reshape(dtype.itemsize, -1)
        arrays[name] = np.frombuffer(planes.T.tobytes(), dtype).reshape(shape)
        at += size
    return arrays


@cache
def model_folder(folder: Path) -> Path:
    """A folder of a model as diffusers has it: this one, or a copy of it whose UNet's weights are unpacked."""
    packed = folder / "unet" / f"{WEIGHTS}{SUFFIX}"
    if not packed.exists():
        return folder
    unpacked = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, unpacked, ignore_errors=True)
    shutil.copytree(folder, unpacked, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"*{SUFFIX}"))
    save_file(read(packed), unpacked / "unet" / f"{WEIGHTS}.safetensors", metadata={"format": "pt"})
    return unpacked
