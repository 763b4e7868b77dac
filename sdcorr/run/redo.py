"""Forgets predictions of a run, so that the next evaluation makes them again."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sdcorr.errors import UserError
from sdcorr.run.folder import NOT_WHOLE
from sdcorr.run.records import UnitRecord, read_record
from sdcorr.run.store import PredictionStore

SHOWN = 12  # names that are listed


def redo(
    store: PredictionStore,
    methods: Collection[str] = (),
    sources: Collection[str] = (),
    pairs: Collection[str] = (),
    everything: bool = False,
) -> dict[str, int]:
    """Forgets records of a run with their maps, so that the next evaluation makes them again.

    Nothing is forgotten unless all names are there.

    Args:
        store: the run folder.
        methods: names of methods: all of them, with their claims, or only their part of `sources` and `pairs`.
        sources: keys of source images: all pairs of each.
        pairs: ids of pairs.
        everything: all methods, instead of any name.

    Returns:
        Method -> the number of its records that were forgotten as a whole or in part.

    Raises:
        UserError: if nothing is named, a name is not there, or the folder cannot be written.
    """
    there = store.recorded()
    if not there:
        raise UserError(f"There are no predictions in {store.run_dir}: name the folder of an evaluation.")
    if everything == bool(methods or sources or pairs):
        raise UserError("Say either what is to be done again, with --method, --source or --pair, or --all.")
    _check_there("method", methods, there, store)
    chosen = [name for name in there if name in methods or not methods]
    if not (sources or pairs):
        counts = {name: len(store.files(name)) for name in chosen}
        for name in chosen:
            store.forget_method(name)
        return counts
    records = [record for name in chosen for record in _readable(store, name)]
    known = {record.source for record in records}
    torn = {source for source in sources for name in chosen if store.path(name, source).exists()}
    _check_there("source image", sources, known | torn, store)
    _check_there("pair", pairs, {pair for record in records for pair in _pairs(record)}, store)
    counts = dict.fromkeys(chosen, 0)
    for record in records:
        if record.source not in sources and (some := _pairs(record) & set(pairs)):
            store.forget(record.method, record.source, some)
            counts[record.method] += 1
    for name in chosen:
        for source in sources:
            counts[name] += store.path(name, source).exists()
            store.forget(name, source)
    return counts


def _readable(store: PredictionStore, method: str) -> list[UnitRecord]:
    """A method's records that are whole, whether they are true or not."""
    found = []
    for path in store.files(method):
        try:
            record = read_record(path.read_bytes())
        except (OSError, *NOT_WHOLE):
            continue
        if path == store.path(method, record.source):
            found.append(record)
    return found


def _pairs(record: UnitRecord) -> set[str]:
    return {pair.id for pair, _ in record.predictions} | {failure.pair for failure in record.failures}


def _check_there(what: str, names: Iterable[str], there: Collection[str], store: PredictionStore) -> None:
    for name in names:
        if name not in there:
            listed = sorted(there)
            more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
            raise UserError(
                f"{store.run_dir} has no predictions of a {what} {name!r}: choose from "
                f"{', '.join(listed[:SHOWN]) or 'none'}{more}."
            )
