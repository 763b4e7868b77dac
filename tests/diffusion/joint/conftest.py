"""Each family's small model, on disk and loaded."""

from pathlib import Path

import pytest

from sdcorr.diffusion.joint import JointDiffusion
from tests.diffusion.joint.inputs import load
from tests.diffusion.joint.models import FAMILIES, save_joint


@pytest.fixture(scope="package", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """The name of its preset."""
    return request.param


@pytest.fixture(scope="package")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the diffusers layout."""
    return save_joint(tmp_path_factory.mktemp(family), family)


@pytest.fixture(scope="package")
def model(folder: Path) -> JointDiffusion:
    """The model with every layer read."""
    return load(folder)
