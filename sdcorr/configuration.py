"""Parts of a composed configuration as plain values, whose types say what they are."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain(part: DictConfig) -> dict[str, Any]:
    """A group of a configuration, such as `cfg.model`, as plain values by name; what it refers to is filled in."""
    values = OmegaConf.to_container(part, resolve=True)
    assert isinstance(values, dict)  # a list is only made of a ListConfig
    return {str(name): value for name, value in values.items()}
