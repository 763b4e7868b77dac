"""What a method costs, from the records of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdcorr.run.records import Cost, UnitRecord


@dataclass(frozen=True)
class MethodCost:
    """What a method took on the pairs of a run; None: it was not measured."""

    pair_seconds: float | None  # mean over the pairs, the work on their source shared among its targets
    target_seconds: float | None  # what a further target of the same source costs
    pair_flops: float | None  # of the first source image, when nothing had been read before
    target_flops: float | None
    peak_bytes: int | None  # of the process, which may have run other methods before
    found: int  # results of earlier runs that were used: if any, nobody knows what a pair costs


def cost_of(records: Sequence[UnitRecord]) -> MethodCost:
    """The cost of the method whose records these are.

    A source image whose FLOPs were counted is slower for it, so that its seconds count only if there is no other.
    """
    costs = [record.cost for record in records if record.cost]
    found = sum(cost.found for cost in costs)
    peak = max((record.peak_bytes for record in records if record.peak_bytes is not None), default=None)
    counted = [cost for cost in costs if cost.flops]
    timed = [cost for cost in costs if cost.flops is None] or costs
    if found or not costs:
        return MethodCost(None, _target_seconds(timed), None, _target_flops(counted), peak, found)
    pair_flops = _ratio(sum(cost.flops or 0 for cost in counted), sum(cost.targets for cost in counted))
    pair_seconds = _ratio(sum(cost.seconds for cost in timed), sum(cost.targets for cost in timed))
    return MethodCost(pair_seconds, _target_seconds(timed), pair_flops, _target_flops(counted), peak, 0)


def _target_seconds(costs: Sequence[Cost]) -> float | None:
    split = [
        (cost.seconds - cost.seconds_of_source, cost.targets) for cost in costs if cost.seconds_of_source is not None
    ]
    return _ratio(sum(seconds for seconds, _ in split), sum(targets for _, targets in split))


def _target_flops(costs: Sequence[Cost]) -> float | None:
    split = [
        (cost.flops - cost.flops_of_source, cost.targets)
        for cost in costs
        if cost.flops is not None and cost.flops_of_source is not None
    ]
    return _ratio(sum(flops for flops, _ in split), sum(targets for _, targets in split))


def _ratio(total: float, count: int) -> float | None:
    return total / count if count and total else None
