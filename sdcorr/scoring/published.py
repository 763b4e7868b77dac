"""Published PCKs (published.yaml), and which of them may stand beside ours.

Those of the same data, split, pairs, protocol and average, at the thresholds that both have; what labels a method has
seen does not matter here and is told. How surely each number is known is part of its row (STATUS): many of those of
2023 and later could not be checked against their paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from sdcorr.scoring.averages import average_name
from sdcorr.scoring.metrics import METRICS, Measure
from sdcorr.scoring.parts import ALL, Part
from sdcorr.scoring.scores import Score, Scores

FILE = Path(__file__).with_name("published.yaml")
STATUS = {  # how surely a number is known
    "V": "",  # read in what its authors published
    "V2": "quoted by two others",
    "Q": "quoted by one other",
    "R": "read, place not kept",
    "Vi": "inferred",  # the number or its average: it follows from a sentence, or from a place in a table
    "M": "unverified",
}
# Pairs that the papers averaged over. Of SPair-U nobody says how many there are, and AP-10K's everybody draws anew.
TEST_PAIRS = {"spair": 12_234, "pfwillow": 900, "pfpascal": 299, "cub": 1_248, "tss": 800}


@dataclass(frozen=True)
class Published:
    """One published result."""

    dataset: str
    supervision: str  # that the method has seen: none, weak (pairs or viewpoints of images), strong (keypoints)
    method: str
    values: Mapping[float, float]  # threshold -> percent
    status: str  # see STATUS
    source: str
    average: str = ""  # a name in AVERAGES; "" if it is not stated
    protocol: str = ""  # a name in PROTOCOLS, or what it is in words; "" if it is not stated
    category: str = ""  # that the result is of; "" if it is of the whole split

    @property
    def average_name(self) -> str:
        """The average in words, with the category that it is of."""
        name = average_name(self.average) or "average not stated"
        return f"{name}, {self.category}" if self.category else name

    @property
    def known_from(self) -> str:
        """Where the number was read, and how surely it is known."""
        status = STATUS[self.status]
        return f"{self.source} ({status})" if status else self.source

    def ours(self, scores: Scores, alpha: float) -> Score | None:
        """What our subject has at a threshold, under the same average and of the same points."""
        part = Part("category", self.category) if self.category else ALL
        return scores.ours.find(Measure(METRICS[0], alpha), self.average, part)


@cache
def published() -> tuple[Published, ...]:
    """All published results that we know of."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(
        Published(dataset, supervision, **row)
        for dataset, kinds in rows.items()
        for supervision, results in kinds.items()
        for row in results
    )


def comparable(row: Published, scores: Scores) -> bool:
    """Whether a published result may stand beside ours."""
    return not lacks(scores) and not differences(row, scores)


def lacks(scores: Scores) -> list[str]:
    """What of ours forbids any comparison: the split, pairs that are not there, or pairs that nobody has counted."""
    pairs, whole = scores.ours.pairs, TEST_PAIRS.get(scores.dataset)
    found = [] if scores.split == "test" else [f"ours is on {scores.split}"]
    if whole is None:
        return [*found, "how many pairs the published split has is not known"]
    return found if pairs == whole else [*found, f"ours has {pairs:,} of {whole:,} pairs"]


def differences(row: Published, scores: Scores) -> list[str]:
    """What of a published result on the same data set forbids to compare it with ours; empty if nothing does."""
    found = [] if row.protocol == scores.protocol else [f"protocol {row.protocol or 'not stated'}"]
    if not row.average:
        found.append(row.average_name)
    elif all(row.ours(scores, alpha) is None for alpha in row.values):
        found.append("no threshold in common")
    return found


def side_by_side(
    several: Sequence[Scores],
) -> tuple[list[tuple[Scores, list[Published]]], list[tuple[Published, str]]]:
    """Sorts the published results on the data set of some scores of one run.

    Args:
        several: scores of one run, each under another protocol.

    Returns:
        Those scores that have any with their comparable results, and the results that none may be compared with, each
        with what differs, but for what `lacks` says.
    """
    rows = [row for row in published() if row.dataset == several[0].dataset]
    together = [(scores, [row for row in rows if comparable(row, scores)]) for scores in several]
    apart = [row for row in rows if not any(comparable(row, scores) for scores in several)]
    reasons = [min((differences(row, scores) for scores in several), key=len) for row in apart]
    return (
        [(scores, theirs) for scores, theirs in together if theirs],
        [(row, "; ".join(reason)) for row, reason in zip(apart, reasons, strict=True)],
    )
