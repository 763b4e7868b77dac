"""The folder of an index: what was read of which picture, by what.

    <folder>/settings.yaml           what reads the pictures; anything else is refused
    <folder>/parts/<n>.safetensors   cells of some pictures, and in its header which these are; n is the first's number
    <folder>/stamps.json             of pictures that have changed their dates and nothing else
    <folder>/neighbors.faiss, .json  see `sdcorr.retrieval.neighbors`; made anew of the parts where it is missing

Every file appears whole or not at all, so a killed process loses the part that it was at. A picture is known by its
bytes: one that was written anew gets another number, and the old one is read no more.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sdcorr.digests import Stamp
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.retrieval.cells import Cells

OPEN_PARTS = 512  # files that are kept open


@dataclass(frozen=True)
class Indexed:
    """A picture that was read."""

    number: int  # that no other has or had
    name: str  # path from the folder of the pictures
    size: tuple[int, int]  # (W, H) pixels as one sees it
    stamp: Stamp  # of its file when it was read, see `sdcorr.digests.stamp`
    digest: str  # of the file's bytes


class IndexFolder:
    """An index on disk.

    Args:
        folder: it is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = lru_cache(maxsize=OPEN_PARTS)(_opened)

    @property
    def settings(self) -> dict[str, Any] | None:
        """What reads the pictures, plain nested values; None if there is no index.

        Raises:
            UserError: if it cannot be read.
        """
        path = self.folder / "settings.yaml"
        if not path.exists():
            return None
        try:
            plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path} cannot be read ({error}): delete {self.folder} and index again.") from None
        return dict(plain)

    def tell(self, settings: Mapping[str, Any]) -> None:
        """Write down what reads the pictures."""
        if self.settings != settings:
            write_whole(self.folder / "settings.yaml", yaml.safe_dump(dict(settings), sort_keys=False))

    @cached_property
    def pictures(self) -> dict[str, Indexed]:
        """All that was read, by name; of a picture that was read twice, the last time.

        Raises:
            UserError: if a part is damaged.
        """
        found: dict[str, Indexed] = {}
        for first in self._firsts:
            for place, told in enumerate(self._told(first)):
                size, seen = tuple(told["size"]), tuple(told["stamp"])
                found[told["name"]] = Indexed(first + place, told["name"], size, seen, told["digest"])
        return found

    @cached_property
    def stamps(self) -> dict[str, Stamp]:
        """Stamp of every picture's file when its bytes were last those that were read, by name."""
        found = {name: each.stamp for name, each in self.pictures.items()}
        with suppress(OSError, ValueError, TypeError, AttributeError):
            newer = json.loads((self.folder / "stamps.json").read_bytes())
            bytes_of = {name: each.digest for name, each in self.pictures.items()}
            found |= {name: tuple(seen) for name, (made, *seen) in newer.items() if bytes_of.get(name) == made}
        return found

    def restamp(self, stamps: Mapping[str, Stamp]) -> None:
        """Keep newer stamps of pictures whose bytes are as they were."""
        if stamps:
            self.__dict__["stamps"] = self.stamps | dict(stamps)
            differ = {name: seen for name, seen in self.stamps.items() if seen != self.pictures[name].stamp}
            plain = {name: [self.pictures[name].digest, *seen] for name, seen in differ.items()}
            write_whole(self.folder / "stamps.json", json.dumps(plain))

    def add(self, read: Sequence[tuple[str, tuple[int, int], Stamp, str, Cells]]) -> None:
        """Write pictures as one part.

        Args:
            read: of each its name, (W, H), the stamp and the digest of its file, and its cells.

        Raises:
            UserError: if the disk is full or the folder cannot be written.
        """
        last = self._firsts[-1] if self._firsts else None
        first = 0 if last is None else last + len(self._told(last))
        told = [{"name": name, "size": size, "stamp": seen, "digest": made} for name, size, seen, made, _ in read]
        tensors = {  # safetensors writes an array as it lies in memory
            "values": np.ascontiguousarray(np.stack([cells.values for *_, cells in read])),  # (N, k * k, C)
            "scales": np.stack([cells.scales for *_, cells in read]),
        }
        write_whole(self._path(first), save(tensors, {"pictures": json.dumps(told)}))
        self._firsts.append(first)
        for place, (name, size, seen, made, _) in enumerate(read):
            self.pictures[name] = Indexed(first + place, name, size, seen, made)
        self.__dict__.pop("stamps", None)

    def cells(self, picture: Indexed) -> Cells:
        """What was read of a picture."""
        first = self._firsts[bisect_right(self._firsts, picture.number) - 1]
        place = picture.number - first
        part = self._part(first)
        return Cells(part.get_slice("values")[place], part.get_slice("scales")[place])

    def drop_dead_parts(self, alive: Iterable[Indexed]) -> None:
        """Delete the parts of which no picture is alive, but for the last, after which new numbers count on."""
        numbers = {each.number for each in alive}
        for first in self._firsts[:-1]:
            if numbers.isdisjoint(range(first, first + len(self._told(first)))):
                self._path(first).unlink(missing_ok=True)
                self._firsts.remove(first)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def _path(self, first: int) -> Path:
        return self.folder / "parts" / f"{first:08d}.safetensors"

    @cached_property
    def _firsts(self) -> list[int]:
        """Numbers of the parts' first pictures, ascending."""
        return sorted(int(path.stem) for path in (self.folder / "parts").glob("[0-9]*.safetensors"))

    def _told(self, first: int) -> list[dict[str, Any]]:
        """What a part says of its pictures."""
        return json.loads(self._part(first).metadata()["pictures"])

    def _part(self, first: int) -> Any:
        try:
            return self._open(self._path(first))
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{self._path(first)} is not a whole part of an index ({error}): delete it and index again."
            ) from None


def _opened(path: Path) -> Any:
    return safe_open(path, "numpy")
