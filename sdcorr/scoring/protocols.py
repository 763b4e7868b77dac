"""Named protocols: in which frame a distance is measured, and which length it is compared with.

The same predictions give PCKs that differ by several points between published protocols, so a number means
nothing without the name of its protocol. Predictions and annotations are stored in pixels of the original
images, and a protocol turns them into its own frame here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from sdcorr.datasets import Box, Pair
from sdcorr.errors import UserError
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.frames import BoxCrop, Capped, Frame, Letterbox, Original, Square
from sdcorr.scoring.normalizers import NORMALIZERS, box_of
from sdcorr.scoring.pck import point_distances, within

__all__ = ["NORMALIZERS", "PROTOCOLS", "Protocol", "protocol_named"]

SCORED_AS = {
    "toybox": "spair"
}  # drawings of one object with boxes: no paper scored them, so they are scored like these


@dataclass(frozen=True)
class Protocol:
    """How a prediction is compared with the truth."""

    name: str
    origin: str  # where the rules were read
    normalizers: Mapping[str, str]  # data set -> the length L, a name in NORMALIZERS
    otherwise: str | None = None  # the length for other data sets; None: there is no rule for them
    frame: Frame = field(default_factory=Original)
    comparison: str = "<="  # or "<": whether a distance exactly on the threshold is correct
    offset: float = 0.0  # added to x and y of a prediction in the frame; -0.5 for code that reports pixel indices
    first_pixel: float = 0.0  # what the annotation calls the first pixel, taken off it; code that does not ask has 0
    headline: str = "per_image"  # the average that is reported first, a name in sdcorr.scoring.averages.AVERAGES
    dtype: str = "float64"  # precision of the arithmetic; it decides for distances exactly on the threshold
    special: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # data set -> fields with other values

    @property
    def side(self) -> int | None:
        """Side in pixels of the square that images are brought to; None in original pixels."""
        return self.frame.side

    def knows(self, dataset: str) -> bool:
        """Whether there is a rule for a data set."""
        return self.otherwise is not None or SCORED_AS.get(dataset, dataset) in self.normalizers

    def on(self, dataset: str) -> Protocol:
        """The protocol as it is for one data set.

        Raises:
            UserError: naming the data sets that it has a rule for, if this is none of them.
        """
        if not self.knows(dataset):
            raise UserError(
                f"The protocol {self.name} has no rule for the data set {dataset}, only for "
                f"{', '.join(self.normalizers)}: choose another protocol, for example standard."
            )
        return replace(self, **self.special.get(SCORED_AS.get(dataset, dataset), {}))

    def scale(self, size: tuple[int, int]) -> np.ndarray:
        """The factors of x and y, (2,), from an original image of that size (W, H) to the frame."""
        return _scale(self.frame, size, self.dtype)

    def to_frame(self, points: np.ndarray, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
        """Points (N, 2) of an original image of that size (W, H), in pixels of the frame.

        `box` of the object is needed by a frame that is cut round it.
        """
        scale, shift = self._affine([size], None if box is None else [box])
        return np.asarray(points, dtype=self.dtype) * scale + shift

    def length(self, dataset: str, pair: Pair) -> Any:
        """The length L of a pair of that data set, in pixels of the frame.

        Raises:
            UserError: if the protocol asks for a box and the pair has none, or has no rule for the data set.
        """
        return self.on(dataset)._normalizer(dataset)(pair)

    def correct(self, dataset: str, pair: Pair, predicted: np.ndarray, alphas: Sequence[float]) -> np.ndarray:
        """Which of the V visible points are correct.

        Args:
            dataset: name of the data set that the pair is from.
            pair: the truth.
            predicted: (V, 2) pixels of the original target image.
            alphas: A thresholds, fractions of the length L.

        Returns:
            (V, A) bool.
        """
        return self.correct_points(Arrays.of(dataset, [(pair, predicted)]), alphas)

    def correct_points(self, arrays: Arrays, alphas: Sequence[float]) -> np.ndarray:
        """Which of the m points of n pairs are correct, (m, A) bool; see `correct`."""
        predicted, truth, lengths = self.in_frame(arrays)
        comparison = self.on(arrays.dataset).comparison
        distances = point_distances(predicted, truth)  # (m,)
        return np.stack([within(distances, lengths[arrays.rows], alpha, comparison) for alpha in alphas], axis=-1)

    def in_frame(self, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that PCK compares, in pixels of the frame and in the precision of the protocol.

        Returns:
            Predicted points (m, 2), true points (m, 2), and the length L of each pair (n,).

        Raises:
            UserError: if the protocol asks for a box and a pair has none, or has no rule for the data set.
        """
        here, dtype = self.on(arrays.dataset), np.dtype(self.dtype).type
        normalizer = here._normalizer(arrays.dataset)
        lengths = np.array([normalizer(pair) for pair in arrays.pairs], dtype=dtype)  # (n,)
        boxes = [box_of(here, pair, "target") for pair in arrays.pairs] if here.frame.needs_box else None
        scale, shift = here._affine([pair.target_size for pair in arrays.pairs], boxes)  # (n, 2) each
        scale, shift = scale[arrays.rows], shift[arrays.rows]  # (m, 2) each
        truth = (arrays.truth.astype(dtype) - dtype(here.first_pixel)) * scale + shift
        predicted = arrays.predicted.astype(dtype) * scale + shift + dtype(here.offset)
        return predicted, truth, lengths

    def _normalizer(self, dataset: str) -> Callable[[Pair], Any]:
        """What gives the length of a pair of a data set that the protocol knows."""
        name = self.normalizers.get(SCORED_AS.get(dataset, dataset), self.otherwise)
        assert name is not None
        return partial(NORMALIZERS[name], self)

    def _affine(self, sizes: Sequence[tuple[int, int]], boxes: Sequence[Box] | None) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift (n, 2) of n images in the precision of the protocol."""
        edges = np.full((len(sizes), 4), np.nan) if boxes is None else np.array(boxes, dtype=np.float64)
        scale, shift = self.frame.affine(np.array(sizes, dtype=np.float64).reshape(-1, 2), edges.reshape(-1, 4))
        return scale.astype(self.dtype), shift.astype(self.dtype)


@lru_cache(maxsize=4096)  # a benchmark has far fewer sizes than pairs
def _scale(frame: Frame, size: tuple[int, int], dtype: str) -> np.ndarray:
    """The factors of x and y, (2,), of an image of that size."""
    scales, _ = frame.affine(np.array([size], dtype=np.float64), np.full((1, 4), np.nan))
    scale = scales[0].astype(dtype)
    scale.setflags(write=False)
    return scale


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="standard",
            origin="the benchmarks' own definitions: original pixels, by the size of the target object; TSS by the "
            "image in which the error is measured, each subset for itself",
            normalizers={
                "spair": "target_box",
                "spair_u": "target_box",
                "cub": "target_box",
                "ap10k": "target_box",
                "pfwillow": "key_points",
                "pfpascal": "target_image",
                "tss": "target_image",
            },
            otherwise="target_box_or_image",
            headline="per_point",
            special={"tss": {"headline": "category_per_image"}},
        ),
        Protocol(
            name="hedlin",
            origin="the released code of Hedlin et al. 2023, whose data sets follow CATs++: a square of 512 "
            "pixels, the source's box on SPair-71k, padding inside the keypoint box on PF-Willow, float32",
            normalizers={"spair": "source_box", "pfwillow": "padded_key_points", "cub": "target_box_times_x_scale"},
            frame=Square(512),
            dtype="float32",
        ),
        Protocol(
            name="dift",
            origin="eval_spair.py of DIFT (Tang et al. 2023): original pixels, predictions are pixel indices; it "
            "prints both averages",
            normalizers={"spair": "target_box"},
            offset=-0.5,
            headline="per_point",
        ),
        Protocol(
            name="sd_dino",
            origin="pck_spair_pascal.py of sd-dino (Zhang et al. 2023): letterbox of 840 pixels, predictions are "
            "pixel indices; points are pooled in each category, and categories weighted by their pairs",
            normalizers={"spair": "target_box", "pfpascal": "frame_side"},
            frame=Letterbox(840),
            comparison="<",
            offset=-0.5,
            headline="hybrid",
        ),
        Protocol(
            name="geoaware",
            origin="pck_train.py of GeoAware-SC (Zhang et al. 2024), and of Jamais Vu, which extends it: letterbox of "
            "840 pixels",
            normalizers={
                "spair": "target_box",
                "spair_u": "target_box",
                "ap10k": "target_box",
                "pfpascal": "frame_side",
            },
            frame=Letterbox(840),
            comparison="<",
        ),
        Protocol(
            name="cats_bbox",
            origin="CATs (Cho et al. 2021), threshold `bbox`: a square of 256 pixels; it takes points from the "
            "target to the source, so its source box is the box of the image that is compared, here the target's; "
            "padding inside the keypoint box on PF-Willow",
            normalizers={"spair": "target_box", "pfwillow": "padded_key_points", "pfpascal": "frame_side"},
            frame=Square(256),
        ),
        Protocol(
            name="hpf",
            origin="Hyperpixel Flow (Min et al. 2019): the longer side capped at 300 pixels, the true box of the "
            "target's keypoints on PF-Willow, the image on PF-PASCAL",
            normalizers={"spair": "target_box", "pfwillow": "key_points", "pfpascal": "target_image"},
            frame=Capped(300),
        ),
        Protocol(
            name="image_side",
            origin="PF-PASCAL's rule, the longer side of the target image in original pixels, by which some projects "
            "score PF-Willow as well (compute_pck_pfpascal of PhilaMaster/semantic_correspondence, 2026); it "
            "forgives more there than any box",
            normalizers={"pfwillow": "target_image", "pfpascal": "target_image"},
        ),
        Protocol(
            name="asic",
            origin="evaluate.py of ASIC (Gupta et al. 2023): letterbox of 256 pixels, predictions are pixel indices; "
            "on CUB the crop of ACSM, with annotations that count from 1",
            normalizers={"spair": "target_box", "cub": "frame_side"},
            frame=Letterbox(256),
            comparison="<",
            offset=-0.5,
            headline="per_point",
            special={"cub": {"frame": BoxCrop(256), "first_pixel": 1.0}},
        ),
        Protocol(
            name="distilldift_released",
            origin="the released evaluation of DistillDIFT (Fundel et al. 2025): a square of 840 pixels, the longest "
            "side of the target's box times the factor of y whichever side it is",
            normalizers={"spair": "target_box_times_y_scale"},
            frame=Square(840),
            comparison="<",
            headline="per_point",
        ),
    )
}


def protocol_named(name: str, dataset: str | None = None) -> Protocol:
    """The preset of that name.

    Args:
        name: see PROTOCOLS.
        dataset: what it is wanted for.

    Raises:
        UserError: naming the presets there are, or the data sets that the preset has a rule for.
    """
    if name not in PROTOCOLS:
        raise UserError(f"There is no protocol {name!r}: choose one of {', '.join(sorted(PROTOCOLS))}.")
    if dataset is not None:
        PROTOCOLS[name].on(dataset)
    return PROTOCOLS[name]
