"""`sdcorr inspect`: the card of a data set, with the settings of `sdcorr eval`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from sdcorr.cli.command import command, guarded, quiet_libraries
from sdcorr.cli.compose import compose_dataset
from sdcorr.cli.configs import choices
from sdcorr.datasets.inspect import card
from sdcorr.datasets.opening import open_benchmark

CHOICE = "dataset="


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code.

    Args:
        argv: overrides of configs/eval.yaml; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word.removeprefix(CHOICE) for word in words if word.startswith(CHOICE)), "")
    rest = [word for word in words if word != f"{CHOICE}{name}"]
    if name in choices("dataset") and all(word.startswith("dataset.") for word in rest):  # needs no torch
        quiet_libraries()
        return guarded(lambda: _print_card(compose_dataset(name, *rest), rest) or 0)
    return command("eval", _print_card, words)


def _print_card(cfg: DictConfig, overrides: Sequence[str]) -> None:
    print(card(open_benchmark(cfg.dataset)))
