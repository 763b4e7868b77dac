"""Made-up records whose scores were stored once, so that a change of any digit is noticed.

Every pair has 1, 2 or 4 points of each kind, so every sum on the way to a score is exact, in whatever order a machine
adds: the stored digits hold everywhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sdcorr.datasets import Match, Pair
from sdcorr.run.records import Failure, UnitRecord
from tests.run.fakes import make_pair

DATA = Path(__file__).parent / "data"
ALPHAS = (0.05, 0.1, 0.125)
SAMPLES = 40
PROTOCOLS = ("standard", "hedlin", "sd_dino")
CATEGORIES, SCALES = ("bus", "cat", "owl"), ("easy", "hard")


def records() -> Mapping[str, Sequence[UnitRecord]]:
    """Records by method: one with a failure, another, one of half the pairs, one of pairs that no other has."""
    draws = np.random.default_rng(2024)
    pairs = [_pair(number, draws) for number in range(24)]
    apart = [_pair(number, draws) for number in range(90, 93)]
    return {
        "prompt": _of_method("prompt", pairs, 12, draws, [Failure("03-y", "y", "damaged")]),
        "apart": _of_method("apart", apart, 12, draws),
        "half": _of_method("half", pairs[::2], 16, draws),
        "same_pixel": _of_method("same_pixel", pairs, 24, draws),
    }


def _pair(number: int, draws: np.random.Generator) -> Pair:
    points = int(draws.choice([1, 2, 4, 8]))
    return make_pair(
        f"{number:02d}-z",
        points=points,
        category=CATEGORIES[number % 3],
        ambiguous=np.arange(points) < (0 if number % 4 else points // 2),
        flags={"scale": SCALES[number % 2], "occlusion": number % 4 // 2} if number % 5 else {"scale": "easy"},
    )


def _of_method(
    method: str, pairs: Sequence[Pair], error: int, draws: np.random.Generator, failures: Sequence[Failure] = ()
) -> list[UnitRecord]:
    made = []
    for number, pair in enumerate(pairs):
        offsets = draws.integers(-1, 2, pair.true_points.shape) * draws.integers(0, error + 1)
        match = Match(pair.true_points + offsets, draws.integers(0, 65, len(offsets)) / 64)
        lacking = tuple(failures) if number == 3 else ()
        made.append(UnitRecord("spair", "test", method, pair.source, 0.25, ((pair, match),), lacking))
    return made
