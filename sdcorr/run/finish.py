"""The end of a run of several ranks: the first one waits for what the others make, and makes what nobody does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rich.console import Console

from sdcorr.datasets import Benchmark, group_by_source
from sdcorr.run.predict import LINE_EVERY, Method, complete, is_whole, share, still_good
from sdcorr.run.records import PredictionStore

POLL = 2.0  # seconds between two looks at the folder
LEAST_PATIENCE = 60.0  # seconds; a network disk may show a new file as late as that
PATIENCE = 10.0  # times the longest source image so far


def finish(
    benchmark: Benchmark,
    methods: Mapping[str, Callable[[], Method]],
    store: PredictionStore,
    *,
    alone: Callable[[], bool],
    console: Console,
    poll: float = POLL,
    least_patience: float = LEAST_PATIENCE,
) -> None:
    """Returns when the store has all records of all methods.

    Nothing is heard of the other ranks but their records. If none has come for a long time, or all others are known to
    have ended, one that is missing is made here, and so on. Should its rank be alive after all, both make the same.

    Args:
        benchmark: the pairs and their images.
        methods: what each method's name in the store stands for.
        store: where the records are.
        alone: whether no other rank works any more.
        console: where it is said what is waited for.
        poll: seconds between two looks at the store.
        least_patience: seconds without a new record after which one is made here, whatever they took so far.

    Raises:
        UserError: if a record cannot be written, or from a method.
    """
    units = share(group_by_source(benchmark.pairs), 0, 1)
    work = [(name, unit) for name in methods for unit in units]
    longest, heard, spoken = 0.0, time.monotonic(), 0.0
    while True:
        nobody_else = alone()  # before looking, or a last record would be missed
        records = [still_good(benchmark, store, name, unit) for name, unit in work]
        lacking = [(*each, record) for each, record in zip(work, records, strict=True) if not is_whole(each[1], record)]
        if not lacking:
            return
        longest = max([longest, *(record.seconds for record in records)])
        now = time.monotonic()
        if len(lacking) < len(work):
            heard = now
        work = [(name, unit) for name, unit, _ in lacking]
        late = now - heard > max(least_patience, PATIENCE * longest)
        if now - spoken > LINE_EVERY:
            spoken = now
            done_by = "made here, for no other rank does" if nobody_else or late else "with the other ranks"
            console.print(f"{_count(len(work))} still to come, {done_by}", highlight=False)
        if nobody_else or late:
            name, unit, record = lacking[-1]  # the lightest: a rank that is slow but alive works from the other end
            store.save(complete(benchmark, methods[name](), unit, record))
            work.pop()
        else:
            time.sleep(poll)


def _count(records: int) -> str:
    return "1 record is" if records == 1 else f"{records} records are"
