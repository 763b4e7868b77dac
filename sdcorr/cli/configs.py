"""Where the configurations are: at the top of a clone, and inside the package once it is installed."""

from __future__ import annotations

from pathlib import Path

import yaml

_PACKAGE = Path(__file__).parents[1]
_INSTALLED, _IN_A_CLONE = _PACKAGE / "configs", _PACKAGE.parent / "configs"
CONFIGS = _INSTALLED if _INSTALLED.is_dir() else _IN_A_CLONE


def groups(config_name: str) -> dict[str, str | None]:
    """The groups of files from which a configuration is composed, each with the choice that it has by default.

    >>> groups("train")["model"]
    'toybox'
    """
    defaults = yaml.safe_load((CONFIGS / f"{config_name}.yaml").read_text(encoding="utf-8"))["defaults"]
    named = {group: choice for entry in defaults if isinstance(entry, dict) for group, choice in entry.items()}
    return {group: choice for group, choice in named.items() if (CONFIGS / group).is_dir()}


def choices(group: str, config_name: str | None = None) -> list[str]:
    """The names that can be chosen in a group, sorted.

    Args:
        group: a folder in configs/.
        config_name: of the command. Experiments are of one: those that are called student_ of `student`.

    >>> choices("trainer")
    ['auto', 'ddp']
    """
    names = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
    if group != "experiment" or config_name is None:
        return names
    return [name for name in names if name.startswith("student_") == (config_name == "student")]
