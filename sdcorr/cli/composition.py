"""What Hydra composes of a command's words, kept while no file in configs/ changes.

It takes a tenth of a second, and what one call of `sdcorr.match` asks for, the next one does too.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache

import hydra
from omegaconf import DictConfig

from sdcorr.cli import configs


def by_hydra(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """A configuration with Hydra's own section, which says what was chosen.

    Args:
        config_name: a file in configs/.
        overrides: as Hydra reads them.
    """
    folder = configs.CONFIGS
    files = tuple((str(path), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*.yaml")))
    return deepcopy(_kept(str(folder), config_name, tuple(overrides), files))


@lru_cache(maxsize=64)
def _kept(folder: str, config_name: str, overrides: tuple[str, ...], _files: tuple[tuple[str, int], ...]) -> DictConfig:
    with hydra.initialize_config_dir(folder, version_base="1.3"):
        return hydra.compose(config_name, list(overrides), return_hydra_config=True)
