"""`sdcorr inspect`: the card of a data set, with the settings of `sdcorr eval`."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from sdcorr.cli.command import command
from sdcorr.datasets.inspect import card
from sdcorr.datasets.opening import open_benchmark


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code.

    Args:
        argv: overrides of configs/eval.yaml; by default those of this process.
    """
    return command("eval", _print_card, argv)


def _print_card(cfg: DictConfig, overrides: Sequence[str]) -> None:
    print(card(open_benchmark(cfg.dataset)))
