"""What benchmarks share whose pictures are files, one for each key."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from PIL import Image

from sdcorr.datasets.base import Benchmark
from sdcorr.digests import FileDigests
from sdcorr.errors import UserError
from sdcorr.images import read_image

_digests = FileDigests()


class PictureFiles(Benchmark):
    """The pictures of a benchmark; a subclass says where the file of a key is, and its pairs.

    Attributes:
        folder: where the data set is.
    """

    folder: Path

    @abstractmethod
    def path(self, key: str) -> Path:
        """The file of that picture."""

    def image(self, key: str) -> Image.Image:
        """The RGB image of that key. Raises UserError if the file is missing or cannot be read."""
        return read_image(self.path(key))

    def digest(self, key: str) -> str:
        """16 hexadecimal digits that name the bytes of that picture's file, see `Benchmark.digest`."""
        path = self.path(key)
        try:
            return _digests.of(path)
        except OSError as error:
            raise UserError(f"Cannot read {path} ({error.strerror}): check the path or its permissions.") from error
