"""Fixtures that several rooms share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: said before torch is imported and starts threads
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from sdcorr.diffusion import FrozenDiffusion
from tests import models


@pytest.fixture(scope="session")
def two_level_folder(tmp_path_factory):
    """A random model of the toybox's shape."""
    return models.save_two_level(tmp_path_factory.mktemp("two_level"))


@pytest.fixture(scope="session")
def small_backbone(two_level_folder) -> FrozenDiffusion:
    """The same, loaded for the method."""
    return FrozenDiffusion.load(str(two_level_folder), layers=models.TWO_LEVEL_LAYERS)
