"""The loop that predicts: every source image once, each saved as soon as it is done.

Ranks share the units of work by a rule that needs nothing but the list of pairs, so they never talk to each
other: a rank may be slow, die or be started later, and nothing waits for it but the first one at the very end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from rich.console import Console

from sdcorr.datasets import Benchmark, Match, Pair, SourceUnit, group_by_source
from sdcorr.errors import UserError
from sdcorr.finite import NotFinite
from sdcorr.methods.base import Method
from sdcorr.run.ending import until_all_are_there
from sdcorr.run.meter import Meter
from sdcorr.run.pairs import RunPairs, picture_digest
from sdcorr.run.progress import progress
from sdcorr.run.records import Failure, UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.run.units import done, is_whole, share, unreadable

HOPELESS = 3  # source images that break before any other is matched: the network gives NaN of all


def predict(
    benchmark: Benchmark,
    make: Callable[[], Method],
    store: PredictionStore,
    name: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    console: Console | None = None,
    describe: Callable[[UnitRecord], str] | None = None,
) -> tuple[Failure, ...]:
    """Predicts all pairs that the store does not have yet, and saves each source image when it is done.

    A record that is torn is predicted anew, and so are pairs with other annotations or other pictures than a record
    was made from. A pair whose image cannot be read is left out, kept as a failure in its record, and tried again by
    the next run if the image can be read. So is one of which the method's network makes NaN or infinity, which is tried
    again after `missing.try_again`; if it makes nothing else of the first source images, the rest is not tried.

    Args:
        benchmark: the pairs and their images, those of `store.claim_run`.
        make: makes the method. It is called, and the method prepared, only if something is to be predicted.
        store: where the records are; the run and the method are claimed.
        name: what the method is called in the store.
        rank: which share of the work is done here.
        world_size: the number of shares.
        console: where it is said how far this share is, how long it will take, and how many pairs have other pictures
            now; None to be silent.
        describe: is given every whole record of this share, those found and those made, and says in a few words what
            stands beside the progress.

    Returns:
        The failures among this rank's pairs, old and new.

    Raises:
        UserError: if a record cannot be written, a picture is replaced meanwhile, the network makes nothing but NaN, or
            from the method.
    """
    units = share(group_by_source(benchmark.pairs), rank, world_size)
    found = [(unit, *done(benchmark, store, name, unit)) for unit in units]
    failures = [failure for unit, record, _ in found if is_whole(unit, record) for failure in record.failures]
    waiting = [(unit, record) for unit, record, _ in found if not is_whole(unit, record)]
    if describe:
        for record in (record for unit, record, _ in found if is_whole(unit, record)):
            describe(record)
    title = name if world_size == 1 else f"{name}, share {rank + 1} of {world_size}"
    if console and (changed := sum(len(repainted) for _, _, repainted in found)):
        number = "1 pair is" if changed == 1 else f"{changed:,} pairs are"
        console.print(f"{title}: {number} predicted anew, for a picture has changed; all others stay", highlight=False)
    if not waiting:
        store.begin(name)  # else the first record does
        return tuple(failures)
    method = _ready(make)
    works, broken = any(_is_matched(record) for _, record, _ in found), 0
    with progress(console, title, [unit.cost for unit, _ in waiting]) as advance:
        for number, (unit, record) in enumerate(waiting):
            record = complete(benchmark, method, unit, record, store.pairs, count=number == 0)
            store.save(record)
            failures += record.failures
            advance(unit.cost, describe(record) if describe else "")
            works = works or _is_matched(record)
            numbers = [failure for failure in record.failures if failure.cause == "numbers"]
            broken += bool(numbers)
            if broken == HOPELESS and not works:
                raise UserError(
                    f"{name} makes nothing of the first {HOPELESS} source images, so the others are not tried. "
                    f"{numbers[0].reason} What other methods have predicted stays."
                )
    return tuple(failures)


def finish(
    benchmark: Benchmark,
    methods: Mapping[str, Callable[[], Method]],
    store: PredictionStore,
    *,
    alone: Callable[[], bool],
    console: Console,
    **waiting: float,
) -> None:
    """The end of a run of several ranks: returns when the store has all records of all methods.

    Args:
        benchmark: the pairs and their images.
        methods: what makes each method, by its name in the store.
        store: where the records are.
        alone: whether no other rank works any more.
        console: where it is said what is waited for.
        waiting: `poll` and `least_patience` of `until_all_are_there`, which says what is done and when.

    Raises:
        UserError: if a record cannot be written, a picture is replaced meanwhile, or from a method.
    """
    ready = cache(lambda name: _ready(methods[name]))

    def taken(work: tuple[str, SourceUnit]) -> float | None:
        record, _ = done(benchmark, store, *work)
        return record.seconds if is_whole(work[1], record) else None

    def make(work: tuple[str, SourceUnit]) -> None:
        record, _ = done(benchmark, store, *work)
        store.save(complete(benchmark, ready(work[0]), work[1], record, store.pairs))

    work = [(name, unit) for name in methods for unit in group_by_source(benchmark.pairs)]
    until_all_are_there(work, taken, make, alone=alone, console=console, **waiting)


def complete(
    benchmark: Benchmark,
    method: Method,
    unit: SourceUnit,
    record: UnitRecord,
    pairs: RunPairs,
    *,
    count: bool = False,
) -> UnitRecord:
    """Matches the pairs that a unit's record lacks; raises what `predict` raises.

    Args:
        benchmark: reads the pictures.
        method: ready to match.
        unit: a source image with all its targets.
        record: what there is of it, as `done` found it.
        pairs: those of the run, with the digests of their pictures.
        count: whether FLOPs are counted.
    """
    matches = {pair.id: match for pair, match in record.predictions}
    matches |= {pair.id: Match(np.empty((0, 2)), np.empty(0)) for pair in unit.pairs if not pair.asked.any()}
    failures = {failure.pair: failure for failure in record.failures}
    pictures = dict(record.pictures)
    meter, found, before = Meter(count), method.found, len(record.predictions)
    method.source_done = meter.source_done
    with meter:
        while lacking := [pair for pair in unit.pairs if pair.id not in matches and pair.id not in failures]:
            digests = (pairs.pictures, pictures)
            pictures |= _digests(benchmark, lacking, digests)  # before they are read, lest they change
            try:
                (missing,) = group_by_source(lacking)
                for pair, match in method.match(missing, benchmark.image):
                    _check(pair, match)
                    matches[pair.id] = match
            except NotFinite as error:
                # as below, but who knows of which image: if nobody, of all that is lacking
                lacking = [pair for pair in lacking if pair.id not in matches]
                bad = [pair for pair in lacking if error.image in (pair.source, pair.target)] or lacking
                image = error.image or unit.source
                failures |= {pair.id: Failure(pair.id, image, str(error), "numbers") for pair in bad}
            except UserError:
                # an image stops the whole unit: find every unreadable one now, then go on without their pairs
                lacking = [pair for pair in lacking if pair.id not in matches]
                bad = unreadable(benchmark, {key for pair in lacking for key in (pair.source, pair.target)})
                if not bad:
                    raise
                for pair in lacking:
                    if key := next((key for key in (pair.source, pair.target) if key in bad), None):
                        failures[pair.id] = Failure(pair.id, key, bad[key])
            else:
                if left_out := [pair.id for pair in lacking if pair.id not in matches]:
                    raise ValueError(f"{record.method} yields no match for pair {left_out[0]}")
    at_once = not before and not failures  # else it is the cost of a part of the record, or of trying again
    return replace(
        record,
        seconds=record.seconds + meter.seconds,
        predictions=tuple((pair, matches[pair.id]) for pair in unit.pairs if pair.id in matches),
        failures=tuple(failures[pair.id] for pair in unit.pairs if pair.id in failures),
        peak_bytes=peak_bytes(),
        cost=meter.cost(len(unit.pairs), method.found - found) if at_once else None,
        pictures=pictures,
    )


def peak_bytes() -> int | None:
    """The greatest memory taken so far: what torch took of a GPU if it is used, else what the process holds.

    None where the system does not tell.
    """
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _ready(make: Callable[[], Method]) -> Method:
    method = make()
    method.prepare()
    return method


def _digests(benchmark: Benchmark, pairs: Iterable[Pair], known: Iterable[Mapping[str, str | None]]) -> dict[str, str]:
    """The digests of the pictures of some pairs, as far as these can be read.

    Raises:
        UserError: if one is not what is known of it.
    """
    found = {}
    for key in sorted({key for pair in pairs for key in (pair.source, pair.target)}):
        if (now := picture_digest(benchmark, key)) is None:
            continue
        if any(digests.get(key) not in (None, now) for digests in known):
            raise UserError(
                f"The picture {key} was replaced while the evaluation was at work: run the same command again, which "
                "predicts its pairs anew and keeps all others."
            )
        found[key] = now
    return found


def _is_matched(record: UnitRecord) -> bool:
    """Whether a point of it was matched."""
    return any(len(match.points) for _, match in record.predictions)


def _check(pair: Pair, match: Match) -> None:
    if len(match.points) != pair.asked.sum():
        raise ValueError(f"pair {pair.id}: {len(match.points)} matches for {pair.asked.sum()} asked points")
