"""The pixels in which a file of predictions is written: those of the original picture, or of a square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcorr.errors import UserError
from sdcorr.scoring.frames import Frame, Letterbox, Original, Square

SQUARES = {"squashed": Square, "padded": Letterbox}
MARGIN = 0.1  # of the frame's side: methods that regress may be a little outside; another frame is far outside
OUR_FIRST_PIXEL = 0.5  # see sdcorr.datasets.base


@dataclass(frozen=True)
class FileFrame:
    """Where a file's coordinates are.

    Attributes:
        written: `original`, `squashed:N` or `padded:N`.
        first_pixel: what the file calls the center of the frame's top-left pixel: 0.5 where pixels are areas, as they
            are here; 0 where coordinates are indices of pixels; 1 where MATLAB wrote them.
    """

    written: str = "original"
    first_pixel: float = OUR_FIRST_PIXEL

    @classmethod
    def read(cls, written: str, first_pixel: float = OUR_FIRST_PIXEL) -> FileFrame:
        """The frame that a user names.

        Raises:
            UserError: if there is no such frame.
        """
        kind, _, side = written.partition(":")
        if written != "original" and not (kind in SQUARES and side.isdecimal() and int(side) > 0):
            raise UserError(
                f"There is no frame {written!r}: give original, or for example squashed:840 or padded:840, where 840 "
                "is the side of the square that pictures were brought to."
            )
        return cls(written, first_pixel)

    @property
    def frame(self) -> Frame:
        """The frame as protocols have it; padding is half on each side."""
        kind, _, side = self.written.partition(":")
        return SQUARES[kind](int(side)) if side else Original()

    def to_original(self, points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Points of a file in pixels of the original pictures.

        Args:
            points: (m, 2) as they are written.
            sizes: (m, 2) width and height of each one's picture.

        Returns:
            (m, 2); where the file is in original pixels, the very same numbers.
        """
        scale, shift = self._affine(sizes)
        return (points + (OUR_FIRST_PIXEL - self.first_pixel) - shift) / scale

    def outside(self, points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Which points are so far outside the frame that it cannot be theirs, (m,) bool; arguments as above."""
        sides = self.sides(sizes)
        return np.any((points < -MARGIN * sides) | (points > (1 + MARGIN) * sides), axis=-1)

    def sides(self, sizes: np.ndarray) -> np.ndarray:
        """Width and height of the frame of each picture, (m, 2)."""
        return np.full(sizes.shape, self.frame.side) if self.frame.side else sizes

    def _affine(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.frame.affine(sizes.astype(np.float64), np.full((len(sizes), 4), np.nan))
