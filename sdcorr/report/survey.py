"""One table of everything: what each method scores, by how much the first is better, what each costs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sdcorr.report.table import MEBIBYTES, SECONDS_EACH, TERAFLOP, Cell, Column, Number, Table, measure_title, number
from sdcorr.report.tables import difference, ordered
from sdcorr.run.costs import MethodCost
from sdcorr.scoring.averages import USUAL, average_name
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.parts import ALL, AMBIGUOUS, DISTINCT, Part
from sdcorr.scoring.scores import Scores

OF_A_PAIR = ("s a pair", "s a target more", "TFLOP a pair", "TFLOP a target more")
COSTS = (*OF_A_PAIR, "peak memory, MiB")
LOOK_ALIKES = {AMBIGUOUS: "with a look-alike", DISTINCT: "others"}
COLUMNS = {  # what there is to choose from
    "pck": "at every threshold, per point and per image",
    "error": "mean distance in pixels, per point and per image",
    "look-alikes": "PCK at the threshold spoken of, of points with a look-alike and of others",
    "further": "PCK†, mirror hits, KAP and the like at that threshold",
    "lead": "by how much the first method's PCK is above each other's, on the pairs that both have",
    "costs": "seconds, TFLOP and memory",
}


class Place(NamedTuple):
    """Which score stands in a column."""

    measure: Measure
    average: str
    part: Part = ALL

    @property
    def column(self) -> Column:
        """The head of that column."""
        title = measure_title(self.measure, self.average)
        return Column(title if self.part == ALL else f"{title}, {LOOK_ALIKES[self.part]}", about=self.about)

    @property
    def about(self) -> str:
        """What columns beside each other have in common."""
        return average_name(self.average) if self.part == ALL else f"{self.measure.label} {average_name(self.average)}"


def survey(
    scores: Scores,
    costs_of: Mapping[str, MethodCost],
    variants: Collection[str] = (),
    columns: Collection[str] = COLUMNS,
) -> Table:
    """A row of each method, the subject first.

    Args:
        scores: of the run.
        costs_of: of each of its methods.
        variants: the methods that are the subject with other settings.
        columns: which of COLUMNS to show.
    """
    main = scores.ours.main
    places = [place for place in _places(scores, columns) if scores.ours.find(*place)]
    heads = [place.column for place in places]
    lead, costs = "lead" in columns and bool(scores.others), "costs" in columns
    if lead:
        heads.append(Column(f"{measure_title(main, USUAL[0])}, {scores.subject} is better by"))
    names = (scores.subject, *ordered(scores, variants))
    title = f"{scores.dataset} {scores.split}, protocol {scores.protocol}: {scores.ours.in_words}"
    table = Table(
        title,
        [Column("method", "label"), *heads, *(Column(cost, about="cost") for cost in COSTS if costs)],
        notes=_unknown_costs(names, costs_of) if costs else (),
        sortable=True,
    )
    for name in names:
        cells: list[Cell] = [number(scores.methods[name].find(*place)) for place in places]
        if lead:
            cells.append("" if name == scores.subject else difference(scores, name, main, USUAL[0]))
        table.add(name, *cells, *(_costs(costs_of[name]) if costs else ()), bold=name == scores.subject)
    return table


def prices(scores: Scores, costs_of: Mapping[str, MethodCost], variants: Collection[str] = ()) -> Table:
    """What a pair costs each method beside the one score that is spoken of; the rest stands in tables of its own.

    Args:
        scores, costs_of, variants: as `survey` takes them.
    """
    place = Place(scores.ours.main, USUAL[0])
    names = (scores.subject, *ordered(scores, variants))
    title = f"what a pair costs: {scores.dataset} {scores.split}, {scores.ours.in_words}"
    heads = [Column("method", "label"), place.column, *map(Column, OF_A_PAIR)]
    table = Table(title, heads, notes=_unknown_costs(names, costs_of), sortable=True)
    for name in names:
        score = number(scores.methods[name].find(*place))
        table.add(name, score, *_costs(costs_of[name])[: len(OF_A_PAIR)], bold=name == scores.subject)
    return table


def _places(scores: Scores, columns: Collection[str]) -> Iterator[Place]:
    """The scores to show, in the order of COLUMNS; not all need be there."""
    main, measures = scores.ours.main, scores.ours.measures
    if "pck" in columns:
        yield from (Place(each, of) for of in USUAL for each in measures if each.metric is main.metric)
    if "error" in columns:
        full = [each for each in measures if each.metric.in_full and each.metric is not main.metric]
        yield from (Place(each, of) for each in full for of in USUAL)
    if "look-alikes" in columns:
        yield from (Place(main, USUAL[0], part) for part in LOOK_ALIKES)
    if "further" in columns:
        yield from (Place(each, USUAL[0]) for each in scores.ours.main_measures if not each.metric.in_full)


def _costs(cost: MethodCost) -> list[Number]:
    """The cells below COSTS."""
    seconds = (Number(cost.pair_seconds, SECONDS_EACH), Number(cost.target_seconds, SECONDS_EACH))
    flops = (Number(cost.pair_flops, TERAFLOP), Number(cost.target_flops, TERAFLOP))
    return [*seconds, *flops, Number(cost.peak_bytes, MEBIBYTES)]


def _unknown_costs(names: Sequence[str], costs_of: Mapping[str, MethodCost]) -> list[str]:
    """A sentence for each method of which nobody knows what a pair costs."""
    return [
        f"{name} found {costs_of[name].found:,} optimized embeddings on disk, so that the cost of a pair is not known."
        for name in names
        if costs_of[name].found
    ]
