"""What readers of published benchmarks share: finding folders and lists, rows with their line numbers, leaving out."""

import csv
import gc
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sdcorr.datasets.base import Broken, Pair
from sdcorr.datasets.boxes import impossible_of
from sdcorr.errors import UserError

Item = TypeVar("Item")
Made = TypeVar("Made")


def get_it(name: str) -> str:
    """What to do about a data set that is not there, or not whole."""
    return f"get it with `sdcorr prepare {name}`, or say where it is with dataset.root=FOLDER"


def find_folder(root: str | Path, inner: Sequence[str], is_home: Callable[[Path], bool], title: str, name: str) -> Path:
    """The folder of a data set: `root`, or one of those inside it that the archives are known to make.

    Args:
        root: what the user gave.
        inner: names of the folder in the archives that are in circulation.
        is_home: whether a folder holds the data.
        title: the data set's name for people.
        name: its name for commands.

    Raises:
        UserError: if it is in none of them.
    """
    root = Path(root)
    for folder in (root, *(root / name for name in inner)):
        if is_home(folder):
            return folder
    state = "is no folder" if not root.is_dir() else f"does not hold it, nor does {' or '.join(inner)} in there"
    raise UserError(f"There is no {title} in {root}, which {state}: {get_it(name)}.")


def find_file(folders: Sequence[Path], names: Sequence[str], what: str, name: str) -> Path:
    """The first of these files that there is.

    Raises:
        UserError: if there is none.
    """
    for folder in dict.fromkeys(folders):
        for file in names:
            if (folder / file).is_file():
                return folder / file
    raise UserError(f"There is no {what} ({' or '.join(names)}) in {folders[0]} or beside it: {get_it(name)}.")


def read_text(path: Path, name: str) -> str:
    """A text file, whatever mark it begins with.

    Raises:
        UserError: if it is missing or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"There is no {path}: {get_it(name)}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8: {get_it(name)}.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): mend its permissions.") from error


@dataclass(frozen=True)
class Row:
    """A row of a list of pairs, without its header."""

    path: Path
    line: int  # in the file, counted from 1
    number: int  # among the rows, counted from 1
    cells: tuple[str, ...]

    @property
    def where(self) -> str:
        """`<file>, line <n>`."""
        return f"{self.path}, line {self.line}"

    def pair_id(self, source: str = "", target: str = "", category: str = "") -> str:
        """Row number, both images and the category, in the manner of SPair-71k's ids; as far as they are known.

        >>> Row(Path("pairs.csv"), line=2, number=1, cells=()).pair_id("Cars_006a", "Cars_012b", "car(G)")
        '0001-Cars_006a-Cars_012b:car(G)'
        >>> Row(Path("pairs.csv"), line=2, number=1, cells=("car(G)/Cars_006a.png",)).pair_id()
        '0001-Cars_006a-'
        """
        first, second = (Path(cell.strip()).stem for cell in (*self.cells, "", "")[:2])
        return f"{self.number:04d}-{source or first}-{target or second}{category and f':{category}'}"

    def floats(self, cells: Iterable[str], name: str) -> list[float]:
        """Finite numbers from cells of this row.

        Raises:
            UserError: naming the first that is none.
        """
        values = []
        for cell in cells:
            try:
                values.append(float(cell))
            except ValueError:
                values.append(math.nan)
            if not math.isfinite(values[-1]):
                raise UserError(f"{self.where}: {cell!r} is not a number: {get_it(name)}.")
        return values


def read_rows(path: Path, name: str) -> tuple[list[str], list[Row]]:
    """The header (empty if there is none) and the rows of a list of pairs; blank lines are left out.

    Raises:
        UserError: if the file is missing, is no text or has no rows.
    """
    reader = csv.reader(read_text(path, name).splitlines())
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num} is not a row of a CSV file ({error}): {get_it(name)}."
        ) from None
    has_header = bool(lines) and "." not in lines[0][1][0]  # the first cell of a row is an image's file name
    header = [cell.strip() for cell in lines[0][1]] if has_header else []
    rows = [Row(path, line, number, tuple(cells)) for number, (line, cells) in enumerate(lines[has_header:], start=1)]
    if not rows:
        raise UserError(f"{path} lists no pair: {get_it(name)}.")
    return header, rows


class Once(dict[Item, Made]):
    """Values that are made of their keys when they are first asked for."""

    def __init__(self, make: Callable[[Item], Made]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: Item) -> Made:
        self[key] = self.make(key)
        return self[key]


@contextmanager
def many_small_objects() -> Iterator[None]:
    """For blocks that make millions of lists and arrays, all of which stay.

    Python's collector of cycles would look at all of them again and again, which takes longer than making them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def gather(
    items: Sequence[Item], make: Callable[[Item], Pair], id_of: Callable[[Item], str], title: str
) -> tuple[tuple[Pair, ...], Broken]:
    """Makes a pair of every item; those that cannot be made or have a box that cannot be are left out, and listed.

    Raises:
        UserError: if none can be made.
    """
    pairs, broken = [], []
    for item in items:
        try:
            pair = make(item)
        except UserError as error:
            broken.append((id_of(item), str(error)))
            continue
        if wrong := impossible_of(pair):
            broken.append((pair.id, f"{wrong}: its annotation is not to be used."))
        else:
            pairs.append(pair)
    if not pairs:
        listed = "1 pair" if len(items) == 1 else f"{len(items):,} pairs"
        raise UserError(f"{title} lists {listed} here, of which none can be read; the first: {broken[0][1]}")
    return tuple(pairs), tuple(broken)


def warn_of_totals(title: str, split: str, found: int, expected: Mapping[str, Any]) -> None:
    """Warns if a list is not as long as the published one, which may be meant."""
    known = expected.get("pairs")
    if known and found != known:
        warnings.warn(
            f"{title} lists {found:,} pairs here, and the published {split} split has {known:,}: "
            "scores will not be comparable with published ones.",
            stacklevel=3,
        )
