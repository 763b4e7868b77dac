"""What is shown of scores, as tables: methods, differences, parts, protocols, two runs, published numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sdcorr.report.table import Cell, Column, Number, Table, measure_title, number
from sdcorr.scoring.averages import USUAL, average_name
from sdcorr.scoring.metrics import PERCENT, Measure
from sdcorr.scoring.pck import alpha_text
from sdcorr.scoring.published import Published, lacks, side_by_side
from sdcorr.scoring.scores import Comparison, Measured, Scores

SUPERVISION = {"none": "no labels", "weak": "weak labels", "strong": "keypoints"}  # that a published method has seen


def overview(scores: Scores, variants: Collection[str] = (), unlike: str = "") -> Iterator[Table]:
    """All tables about one run under one protocol.

    Args:
        scores: of the run.
        variants: the methods that are the subject with other settings; they come before the others.
        unlike: how the subject's settings differ from the paper's, as a sentence; empty if they do not.
    """
    yield from methods(scores, variants)
    if more := further(scores, variants):
        yield more
    if scores.others:
        yield differences(scores, variants)
    if scores.ours.parts:
        yield parts(scores)
    together, apart = published([scores], scores.subject, unlike)
    yield from together
    if apart is not None:
        yield apart


def methods(scores: Scores, variants: Collection[str] = ()) -> list[Table]:
    """A table for every average: each method, and how much better the subject is."""
    main, ours = scores.ours.main, scores.ours
    measures = [measure for measure in ours.shown if measure.metric.in_full]
    about = f"protocol {scores.protocol}: {ours.in_words}"
    lead = [Column(f"{scores.subject} is better {_at(main)} by", needed=False)] if scores.others else []
    made = []
    for average in scores.averages:
        columns = [Column("method", "label"), *_columns(measures), *lead]
        table = Table(f"{average_name(average)}, {about}", columns)
        for name in (scores.subject, *ordered(scores, variants)):
            cells: list[Cell] = [number(scores.methods[name].find(measure, average)) for measure in measures]
            if lead:
                cells.append("" if name == scores.subject else difference(scores, name, main, average))
            table.add(name, *cells, bold=name == scores.subject and bool(scores.others))
        made.append(table)
    return made


def further(scores: Scores, variants: Collection[str] = ()) -> Table | None:
    """Each method under the metrics that the tables of `methods` have no room for; None if there are none."""
    measures = [measure for measure in scores.ours.shown if not measure.metric.in_full]
    if not measures:
        return None
    places = [(measure, average) for measure in measures for average in USUAL if scores.ours.find(measure, average)]
    columns = [Column(measure_title(measure, average)) for measure, average in places]
    table = Table(f"further scores, {scores.by}", [Column("method", "label"), *columns])
    for name in (scores.subject, *ordered(scores, variants)):
        cells = [number(scores.methods[name].find(*place)) for place in places]
        table.add(name, *cells, bold=name == scores.subject and bool(scores.others))
    return table


def differences(scores: Scores, variants: Collection[str] = ()) -> Table:
    """By how much the subject's scores are above those of each other method, on the pairs that both have."""
    measures = scores.ours.main_measures
    places = [(measure, average) for measure in measures for average in USUAL if scores.ours.find(measure, average)]
    titles = (measure_title(measure, average) for measure, average in places)
    table = Table(f"{scores.subject}, paired difference", [Column(scores.subject, "label"), *map(Column, titles)])
    for name in ordered(scores, variants):
        table.add(f"less {name}", *(difference(scores, name, *place) for place in places))
    return table


def variants(scores: Scores, names: Collection[str]) -> Table:
    """The subject beside its variants under the protocol's own average, and how much better it is than each."""
    main, average = scores.ours.main, scores.averages[0]
    measures = [measure for measure in scores.ours.shown if scores.ours.find(measure, average)]
    columns = [Column("method", "label"), *_columns(measures), Column(f"{scores.subject} is better {_at(main)} by")]
    table = Table(average_name(average), columns, sortable=True)
    for name in (scores.subject, *names):
        cells: list[Cell] = [number(scores.methods[name].find(measure, average)) for measure in measures]
        lead = "" if name == scores.subject else difference(scores, name, main, average)
        table.add(name, *cells, lead, bold=name == scores.subject)
    return table


def parts(scores: Scores, average: str = USUAL[0]) -> Table:
    """Look-alikes, categories and degrees of difficulty of the subject, with their sizes."""
    return parts_of(scores.ours, f"{scores.subject}, {average_name(average)}", average)


def parts_of(measured: Measured, name: str, average: str = USUAL[0], *, signed: bool = False) -> Table:
    """The parts of some scores, or of a difference, in a table of that name."""
    sizes = [Column("of", "words", needed=False), Column("pairs", needed=False), Column("points", needed=False)]
    measures = [each for each in measured.shown if any(measured.find(each, average, part) for part in measured.parts)]
    columns = [Column("part", "label"), *sizes, *_columns(measures)]
    table = Table(name, columns, sortable=True)
    for part in measured.parts:
        scores = [measured.find(measure, average, part) for measure in measures]
        size = next(score for score in scores if score is not None)
        cells = [number(score, signed=signed) for score in scores]
        table.add(part.name, part.family, Number(size.pairs), Number(size.points), *cells)
    return table


def protocols(runs: Sequence[tuple[str, Scores]]) -> Table:
    """Runs on one data set under protocols side by side: rows of a protocol, an average and a run.

    Args:
        runs: what each run is called, and its scores; a run comes once for each protocol.
    """
    dataset, split = runs[0][1].dataset, runs[0][1].split
    labels = [(name, scores.ours.pairs) for name, scores in runs]
    several = len(set(labels)) > 1
    whose = "" if several else f", {labels[0][0]}: {runs[0][1].ours.in_words}"
    measures = tuple(dict.fromkeys(measure for _, scores in runs for measure in scores.ours.shown))
    columns = [Column("protocol", "label", merged=True), Column("average", "label", merged=True)]
    columns += [Column("run", "label"), Column("pairs")] if several else []
    table = Table(f"{dataset} {split}{whose}; bold: what a protocol reports", [*columns, *_columns(measures)])
    for protocol in dict.fromkeys(scores.protocol for _, scores in runs):
        under = [(name, scores) for name, scores in runs if scores.protocol == protocol]
        for average in under[0][1].averages:
            for name, scores in under:
                ours = scores.ours
                who: list[Cell] = [name, Number(ours.pairs)] if several else []
                cells = [number(ours.find(measure, average)) for measure in measures]
                table.add(protocol, average_name(average), *who, *cells, bold=average == scores.headline)
        table.add_section()
    return table


def comparison(found: Comparison, first: str, second: str) -> list[Table]:
    """Two runs and the difference between them, and the difference in each part of the data.

    Args:
        found: see `sdcorr.scoring.compare`.
        first: what to call the one.
        second: what to call the other.
    """
    notes = [
        f"{letter}: {name}; {only:,} pairs that it alone has are left out"
        for letter, name, only in (("A", first, found.only_first), ("B", second, found.only_second))
    ]
    pairs = f"{found.first.pairs:,} pairs that both have"
    table = Table(
        f"{found.dataset} {found.split}, protocol {found.protocol}: {pairs}",
        [Column("average", "label", merged=True), Column("", "label"), *_columns(found.first.shown)],
        notes=notes,
    )
    for average in found.first.averages(found.headline):
        for letter, measured in (("A", found.first), ("B", found.second), ("A - B", found.difference)):
            signed = measured is found.difference
            cells = [number(measured.find(measure, average), signed=signed) for measure in found.first.shown]
            table.add(average_name(average), letter, *cells, bold=signed)
        table.add_section()
    return [table, parts_of(found.difference, "A - B, per point", signed=True)] if found.difference.parts else [table]


def published(several: Sequence[Scores], ours: str, unlike: str = "") -> tuple[list[Table], Table | None]:
    """Published results beside ours, and those that may not stand there.

    Args:
        several: scores of one run, each under another protocol.
        ours: what to call its subject.
        unlike: how its settings differ from the paper's, as a sentence; empty if they do not.

    Returns:
        A table for each protocol with comparable results, and one of all others with what differs; None if all are
        comparable, or nothing has been published on the data set.
    """
    together, apart = side_by_side(several)
    beside = [_together(scores, rows, ours) for scores, rows in together]
    others = _apart(several[0], apart) if apart else None
    for table in [*beside, *([others] if others else [])]:
        table.notes = [unlike] if unlike else []
    return beside, others


def _together(scores: Scores, rows: Sequence[Published], ours: str) -> Table:
    """Results under the protocol of some scores, below ours under every average that one of them has."""
    alphas = sorted({alpha for row in rows for alpha in row.values})
    columns = [Column("method", "label"), Column("average", "label"), *_columns(scores.ours.shown, alphas)]
    columns += [Column("labels", "words"), Column("known from", "words")]
    table = Table(f"published, protocol {scores.protocol}", columns)
    for name in dict.fromkeys(row.average_name for row in rows):
        theirs = [row for row in rows if row.average_name == name]
        mine = [number(theirs[0].ours(scores, alpha)) for alpha in alphas]
        table.add(ours, name, *mine, "", "this run", bold=True)
        for row in theirs:
            table.add(row.method, name, *_values(row, alphas), SUPERVISION[row.supervision], row.known_from)
        table.add_section()
    return table


def _apart(scores: Scores, rows: Sequence[tuple[Published, str]]) -> Table:
    """Results that may not be compared with ours, each with what differs."""
    alphas = sorted({alpha for row, _ in rows for alpha in row.values})
    why = "".join(f"; {reason}" for reason in lacks(scores))  # true of all rows
    columns = [Column("labels", "label", merged=True), Column("method", "label"), Column("average", "label")]
    columns += [*_columns(scores.ours.shown, alphas), Column("what differs", "words"), Column("known from", "words")]
    table = Table(f"published on {scores.dataset}, not comparable{why}", columns, sortable=True)
    for labels in dict.fromkeys(row.supervision for row, _ in rows):
        for row, reason in rows:
            if row.supervision == labels:
                values = _values(row, alphas)
                table.add(SUPERVISION[labels], row.method, row.average_name, *values, reason or "-", row.known_from)
        table.add_section()
    return table


def ordered(scores: Scores, variants: Collection[str] = ()) -> list[str]:
    """The other methods, first what is closest to the subject."""
    return sorted(scores.others, key=lambda name: name not in variants)


def difference(scores: Scores, name: str, measure: Measure, average: str) -> Number:
    found = scores.differences.get(name)
    return number(found.find(measure, average) if found else None, signed=True)


def _columns(measures: Sequence[Measure], alphas: Sequence[float] | None = None) -> list[Column]:
    """A column for each measure, or for the main metric at some thresholds."""
    if alphas is not None:
        measures = measures[0].metric.measures(alphas)
    return [Column(measure_title(measure), needed=measure.metric.in_full) for measure in measures]


def _values(row: Published, alphas: Sequence[float]) -> list[Number]:
    return [Number(row.values[alpha] / 100 if alpha in row.values else None, PERCENT) for alpha in alphas]


def _at(measure: Measure) -> str:
    """For example `@0.10`."""
    return "" if measure.alpha is None else f"@{alpha_text(measure.alpha)}"
