"""Fixtures that several rooms share."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: said before torch is imported and starts threads
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

from sdcorr.diffusion import FrozenDiffusion
from tests import models

# Rooms and files that take a quarter of a minute or more; single tests elsewhere have the mark themselves.
SLOW = (
    "app/",
    "benchmarks/",
    "cli/test_hostile.py",
    "callbacks/",
    "datasets/fetch/",
    "datasets/test_ap10k.py",
    "datasets/test_cub.py",
    "datasets/test_folder.py",
    "datasets/test_pfwillow.py",
    "datasets/test_tss.py",
    "diffusion/joint/",
    "diffusion/test_compiled.py",
    "diffusion/test_single_file.py",
    "diffusion/test_truncate.py",
    "golden/",
    "install/",
    "labels/",
    "prompt/speed/",
    "report/test_comparison.py",
    "report/test_page.py",
    "run/test_kills.py",
    "student/",
    "test_commands.py",
    "test_distributed.py",
    "test_documented_commands.py",
    "test_it_works.py",
    "test_notebooks.py",
    "test_sweeps.py",
    "toybox/",
    "tracking/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow and puts it first, lest one of several processes be left alone with it in the end."""
    items.sort(key=lambda item: not _is_slow(item))  # stable: files stay whole
    for item in items:
        if _is_slow(item):
            item.add_marker(pytest.mark.slow)


def _is_slow(item: pytest.Item) -> bool:
    here = Path(__file__).parent
    return item.path.is_relative_to(here) and item.path.relative_to(here).as_posix().startswith(SLOW)


@pytest.fixture(scope="session")
def two_level_folder(tmp_path_factory):
    """A random model of the toybox's shape."""
    return models.save_two_level(tmp_path_factory.mktemp("two_level"))


@pytest.fixture(scope="session")
def small_backbone(two_level_folder) -> FrozenDiffusion:
    """The same, loaded for the method."""
    return FrozenDiffusion.load(str(two_level_folder), layers=models.TWO_LEVEL_LAYERS)
