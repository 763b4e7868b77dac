"""What a run says before it begins: what it will cost, and what would be quicker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from sdcorr.cli.build import Entry
from sdcorr.datasets import Benchmark, SourceUnit, group_by_source
from sdcorr.diffusion.precision import Precision
from sdcorr.run.progress import duration
from sdcorr.run.store import PredictionStore
from sdcorr.run.units import done

HOUR = 3600.0
FEW = 10  # pairs, for a first look
_LESS_PRECISE = (  # benchmarks/results/gpu-sd14-cuda.md, by `python benchmarks/gpu.py`
    "model.precision=bf16 was 7.5 times faster on an H100, and tf32 3 times; docs/speed.md says what bf16 costs in PCK."
)
_QUICK = ("read_once", "unet_features")  # methods that read a picture once


@dataclass(frozen=True)
class Ahead:
    """The work that is ahead of a run, as nearly as can be said before it begins."""

    pairs: int  # that some method has not predicted
    points: int  # in these, one for each point of a pair
    flops: Mapping[str, float]  # by method, of those that cost anything
    seconds: float  # of all processes together
    device: torch.device
    processes: int = 1
    precision: Precision | None = None  # in which the subject reads the model; None: it does not

    def __str__(self) -> str:
        """One line, and one more sentence if it takes hours where something is quicker."""
        shares = "; ".join(f"{name} {_tera(flops)}" for name, flops in self.flops.items())
        of = f" ({shares})" if len(self.flops) > 1 else ""
        place = "this CPU" if self.device.type == "cpu" else "this GPU"
        processes = f" with {self.processes} processes" if self.processes > 1 else ""
        line = (
            f"ahead: {self.pairs:,} pairs, {self.points:,} points, {_tera(sum(self.flops.values()))} TFLOP{of}: about "
            f"{duration(self.seconds / self.processes)} on {place}{processes}, by a trial of its speed; the first "
            "source image will tell better."
        )
        return f"{line} {self._advice()}".rstrip() if self.seconds > HOUR else line

    def _advice(self) -> str:
        """What is quicker; nothing where nothing is."""
        if self.device.type != "cpu":
            return _LESS_PRECISE if self.precision == "fp32" else ""
        subject = next(iter(self.flops))
        quicker = [f"limit={FEW}"] if self.pairs > FEW else []
        quicker += [f"methods=[{name}]" for name in _QUICK if name != subject]
        return f"On a CPU this takes long: quicker are {', '.join(quicker)}, or a GPU."


def ahead(benchmark: Benchmark, store: PredictionStore, entries: Sequence[Entry], processes: int = 1) -> Ahead | None:
    """The work that is ahead of a run; None if there is none, or none to speak of.

    Args:
        benchmark: what is evaluated on.
        store: of the run, claimed: what it has is not done again.
        entries: the methods.
        processes: how many share the work.

    Raises:
        UserError: if a model cannot be had, or has not what the settings ask for.
    """
    lacking: dict[str, int] = {}  # pair -> its points
    flops: dict[str, float] = {}
    seconds = 0.0
    for entry in entries:
        units = _waiting(benchmark, store, entry.name)
        if not units or not (cost := entry.method.flops(units)):
            continue
        flops[entry.name] = cost
        seconds += entry.method.seconds(units)
        lacking |= {pair.id: int(pair.asked.sum()) for unit in units for pair in unit.pairs}
    if not flops:
        return None
    where = entries[0].resources.device
    precision = entries[0].resources.precision if entries[0].kind.reads_model else None
    return Ahead(len(lacking), sum(lacking.values()), flops, seconds, where, processes, precision)


def notice(
    cfg: DictConfig, of: Benchmark, store: PredictionStore, entries: Sequence[Entry], processes: int = 1
) -> str | None:
    """What to know before hours of work begin; None if there is nothing to say.

    Args:
        cfg: of the evaluation.
        of: what is evaluated on.
        store: as for `ahead`.
        entries: as for `ahead`.
        processes: as for `ahead`.

    Raises:
        UserError: as for `ahead`.
    """
    if cfg.model.path == "toybox" and any(entry.kind.reads_model for entry in entries):  # minutes, whatever is asked
        drawings = of.name == "toybox"
        return None if drawings else "The toybox's model knows only drawings: photographs need model=sd14."
    found = ahead(of, store, entries, processes)
    return str(found) if found else None


def _waiting(benchmark: Benchmark, store: PredictionStore, name: str) -> list[SourceUnit]:
    """What a method has still to do: units of the pairs that the store has not."""
    pairs = []
    for unit in group_by_source(benchmark.pairs):
        record, _ = done(benchmark, store, name, unit)
        known = {pair.id for pair, _ in record.predictions} | {failure.pair for failure in record.failures}
        pairs += [pair for pair in unit.pairs if pair.id not in known]
    return group_by_source(pairs)


def _tera(flops: float) -> str:
    """FLOPs in units of 10^12: `1,234`, `0.25`."""
    tera = flops / 1e12
    return f"{tera:,.0f}" if tera >= 10 else f"{tera:.2g}"
