"""Pictures of noise and points in them, for tests that need no meaning."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sdcorr.datasets import Match, Pair, SourceUnit, group_by_source
from sdcorr.prompt import PromptSettings

SETTINGS = PromptSettings(steps=2, restarts=2, transfer_crops=5, sigma=4.0, crop=0.8)
SIZES = {"a": (80, 48), "b": (64, 64), "c": (30, 90), "d": (64, 32)}
POINTS = np.array([[10.0, 20.0], [70.0, 40.5], [33.3, 3.0]])


def image(key: str) -> Image.Image:
    """The picture of that key."""
    width, height = SIZES[key]
    return Image.fromarray(np.random.default_rng(ord(key)).integers(0, 255, (height, width, 3), dtype=np.uint8))


def pair(target: str, visible: Sequence[bool]) -> Pair:
    """From picture a to another one."""
    return Pair(
        id=target,
        category="thing",
        source="a",
        target=target,
        source_size=SIZES["a"],
        target_size=SIZES[target],
        source_points=POINTS,
        target_points=POINTS,
        visible=np.array(visible),
        names=("nose", "eye", "tail"),
    )


def unit() -> SourceUnit:
    """Picture a with three targets, one of which asks for nothing."""
    (unit,) = group_by_source([pair("b", [True, False, True]), pair("c", [True] * 3), pair("d", [False] * 3)])
    return unit


def assert_same(ours: Match, expected: Match) -> None:
    """Batches of another size round differently, which can move a maximum by a pixel, no more."""
    np.testing.assert_allclose(ours.confidence, expected.confidence, rtol=1e-3)
    np.testing.assert_allclose(ours.points, expected.points, rtol=0, atol=3)
