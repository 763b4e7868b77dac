"""Packed arrays come back to the last bit, and a packed model is one that diffusers reads."""

import json

import numpy as np
import packed
import pytest
from safetensors.numpy import load_file, save_file

ARRAYS = {
    "random": np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32),
    "half": np.array([[1.5, -0.0, np.nan]], np.float16),
    "one number": np.array(2.5),
    "whole": np.arange(-4, 300, dtype=np.int64).reshape(2, -1),
    "none": np.empty((0, 4), np.float32),
    "bytes": np.arange(256, dtype=np.uint8),
}


def test_there_and_back(tmp_path):
    packed.write(tmp_path / "a.packed.xz", ARRAYS)
    found = packed.read(tmp_path / "a.packed.xz")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_model(tmp_path, is_packed):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"a": 1}))
    if is_packed:
        packed.write(tmp_path / "unet" / f"{packed.WEIGHTS}{packed.SUFFIX}", {"conv.weight": ARRAYS["half"]})
    else:
        save_file({"conv.weight": ARRAYS["half"]}, tmp_path / "unet" / f"{packed.WEIGHTS}.safetensors")
    folder = packed.model_folder(tmp_path)
    assert (folder == tmp_path) != is_packed and folder == packed.model_folder(tmp_path)
    assert sorted(path.name for path in (folder / "unet").iterdir()) == ["config.json", f"{packed.WEIGHTS}.safetensors"]
    found = load_file(folder / "unet" / f"{packed.WEIGHTS}.safetensors")["conv.weight"]
    assert found.tobytes() == ARRAYS["half"].tobytes()
