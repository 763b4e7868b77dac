"""Named protocols: in which frame a distance is measured, and which length it is compared with.

The same predictions give PCKs that differ by several points between published protocols, so a number means
nothing without the name of its protocol. Predictions and annotations are stored in pixels of the original
images, and a protocol turns them into its own frame here and nowhere else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sdcorr.datasets import Box, Pair
from sdcorr.errors import UserError
from sdcorr.evaluation.pck import point_distances, within


@dataclass(frozen=True)
class Protocol:
    """How a prediction is compared with the truth."""

    name: str
    origin: str  # where the rules were read
    normalizer: str  # the length L, a name in NORMALIZERS
    normalizers: Mapping[str, str] = field(default_factory=dict)  # data sets that have another one
    side: int | None = None  # None: original pixels; else both images are squashed to side x side pixels
    comparison: str = "<="  # or "<": whether a distance exactly on the threshold is correct
    offset: float = 0.0  # added to x and y of a prediction in the frame; -0.5 for code that reports pixel indices
    dtype: str = "float64"  # precision of the arithmetic; it decides for distances exactly on the threshold

    def scale(self, size: tuple[int, int]) -> np.ndarray:
        """The factors of x and y, (2,), from an original image of that size (W, H) to the frame."""
        sides = size if self.side is None else (self.side, self.side)
        return np.array([new / old for new, old in zip(sides, size, strict=True)], dtype=self.dtype)

    def to_frame(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Points (N, 2) of an original image of that size (W, H), in pixels of the frame."""
        return np.asarray(points, dtype=self.dtype) * self.scale(size)

    def length(self, dataset: str, pair: Pair) -> Any:
        """The length L of a pair of that data set, in pixels of the frame.

        Raises:
            UserError: if the protocol asks for a box and the pair has none.
        """
        return NORMALIZERS[self.normalizers.get(dataset, self.normalizer)](self, pair)

    def correct(self, dataset: str, pair: Pair, predicted: np.ndarray, alphas: Sequence[float]) -> np.ndarray:
        """Which of the V visible points are right.

        Args:
            dataset: name of the data set that the pair is from.
            pair: the truth.
            predicted: (V, 2) pixels of the original target image.
            alphas: A thresholds, fractions of the length L.

        Returns:
            (V, A) bool.
        """
        truth = self.to_frame(pair.true_points, pair.target_size)
        predicted = self.to_frame(predicted, pair.target_size) + np.dtype(self.dtype).type(self.offset)
        distances, length = point_distances(predicted, truth), self.length(dataset, pair)
        return np.stack([within(distances, length, alpha, self.comparison) for alpha in alphas], axis=-1)


def _box(protocol: Protocol, pair: Pair, which: str) -> Box:
    box = getattr(pair, f"{which}_box")
    if box is None:
        raise UserError(
            f"The protocol {protocol.name} measures by the box of the {which} object, which pair {pair.id} "
            "lacks: choose the protocol standard, or give the data set boxes."
        )
    return box


def _longest_side(corners: np.ndarray) -> Any:
    """The longer side of a box given by two corners (2, 2), in the precision of the corners."""
    return (corners[1] - corners[0]).max()


def _source_box(protocol: Protocol, pair: Pair) -> Any:
    corners = np.reshape(_box(protocol, pair, "source"), (2, 2))
    return _longest_side(protocol.to_frame(corners, pair.source_size))


def _target_box_times_x_scale(protocol: Protocol, pair: Pair) -> Any:
    corners = np.reshape(_box(protocol, pair, "target"), (2, 2)).astype(protocol.dtype)
    return _longest_side(corners) * protocol.scale(pair.target_size)[0]


def _key_points(protocol: Protocol, pair: Pair) -> Any:
    points = protocol.to_frame(pair.true_points, pair.target_size)
    return _longest_side(np.stack([points.min(0), points.max(0)]))


def _padded_key_points(protocol: Protocol, pair: Pair) -> Any:
    points = protocol.to_frame(pair.true_points, pair.target_size)
    points = np.concatenate([points, np.full((1, 2), -1, dtype=protocol.dtype)])  # (V + 1, 2)
    return _longest_side(np.stack([points.min(0), points.max(0)]))


def _target_extent(protocol: Protocol, pair: Pair) -> Any:
    if pair.target_box is None:
        return _key_points(protocol, pair)
    return _longest_side(protocol.to_frame(np.reshape(pair.target_box, (2, 2)), pair.target_size))


NORMALIZERS: dict[str, Callable[[Protocol, Pair], Any]] = {
    # longest side of the target's box; of the box round its visible key-points where there is none
    "target_extent": _target_extent,
    # longest side of the box round the target's visible key-points: `bbox-kp` of later code
    "key_points": _key_points,
    # the same with (-1, -1), the padding of a fixed-size array, taken for a point: largest coordinate + 1
    "padded_key_points": _padded_key_points,
    # longest side of the source's box
    "source_box": _source_box,
    # longest side of the target's box in original pixels, times the factor of x whichever side it is
    "target_box_times_x_scale": _target_box_times_x_scale,
}

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="standard",
            origin="the benchmarks' own definition: original pixels, by the size of the target object",
            normalizer="target_extent",
        ),
        Protocol(
            name="hedlin",
            origin="the released code of Hedlin et al. 2023, whose data sets follow CATs++: a square of 512 "
            "pixels, the source's box on SPair-71k, padding inside the key-point box on PF-Willow, float32",
            normalizer="source_box",
            normalizers={"pfwillow": "padded_key_points", "cub": "target_box_times_x_scale"},
            side=512,
            dtype="float32",
        ),
    )
}


def protocol_named(name: str) -> Protocol:
    """The preset of that name.

    Raises:
        UserError: naming the presets there are.
    """
    if name not in PROTOCOLS:
        raise UserError(f"There is no protocol {name!r}: choose one of {', '.join(sorted(PROTOCOLS))}.")
    return PROTOCOLS[name]
