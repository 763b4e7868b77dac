"""What benchmarks share whose pictures are files, one for each key."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path

from PIL import Image

from sdcorr.datasets.base import Benchmark
from sdcorr.datasets.reading import get_it
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
        """The RGB image of that key.

        Raises:
            UserError: if the file is missing, cannot be read, or has not the size that its pairs say.
        """
        image = read_image(self.path(key))
        size = self._sizes.get(key, image.size)
        if image.size != size:
            raise UserError(
                f"{self.path(key)} is {image.size[0]} x {image.size[1]} pixels and annotated as {size[0]} x {size[1]}: "
                f"{get_it(self.name)}."
            )
        return image

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        """(W, H) of every picture of a pair, by its key."""
        sources = {pair.source: pair.source_size for pair in self.pairs}
        return sources | {pair.target: pair.target_size for pair in self.pairs}

    def digest(self, key: str) -> str:
        """16 hexadecimal digits that name the bytes of that picture's file, see `Benchmark.digest`."""
        path = self.path(key)
        try:
            return _digests.of(path)
        except OSError as error:
            raise UserError(f"Cannot read {path} ({error.strerror}): check the path or its permissions.") from error
