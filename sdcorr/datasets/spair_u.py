"""SPair-U (Mariotti et al., Jamais Vu, NeurIPS 2025): the test pairs of SPair-71k with points that it does not have.

Supervised methods learn the points of SPair-71k's training split; here other points of the same pictures are asked for.

    <root>/PairAnnotation/test/<line>.json       as those of SPair-71k, see `sdcorr.datasets.spair`
    <root>/ImageAnnotation/<category>/           the same points by picture; read for `dataset.ask=all`
    <root>/JPEGImages/<category>/<image>.jpg     a link to SPair-71k's, or nothing if that data set lies beside this one

The archive has neither photographs nor a layout, so the pairs are those that have an annotation, in the order of their
names. How many there are is published nowhere that we have read: code that goes by SPair-71k's layout (MARCO's) leaves
lines without an annotation out, so not all of its 12,234 pairs need be here.
"""

from __future__ import annotations

from pathlib import Path

from sdcorr.datasets.asking import VISIBLE, check_ask
from sdcorr.datasets.reading import find_folder, get_it
from sdcorr.datasets.spair import Categories, SPair, chosen_categories, with_colon
from sdcorr.errors import UserError


class SPairU(SPair):
    """The test split of SPair-U. An image's key is `<category>/<image>`, and flags are as in SPair-71k.

    Args:
        root: the folder with PairAnnotation, or the one round it. SPair-71k, whose photographs these are, lies beside
            that folder, or its JPEGImages in it.
        split: `test`; the others have no such annotations.
        categories: names, or one of them; None for all.
        ask: `visible`, or `all`: points that the source shows and the target does not as well.

    Raises:
        UserError: if annotations or photographs are not there, there is no such split or category, or no pair can be
            read.
    """

    name = "spair_u"
    title = "SPair-U"

    def __init__(self, root: str, split: str = "test", categories: Categories = None, ask: str = VISIBLE) -> None:
        check_ask(ask)
        if split != "test":
            raise UserError(f"SPair-U has no dataset.split={split}: it annotates the test pairs of SPair-71k alone.")
        chosen = chosen_categories(split, "large", categories)
        self.split, self._ask = split, ask
        self._cache = f"{self.name}-{split}"
        self.folder = find_folder(root, ("SPair-U", "datasets/SPair-U"), _has_annotations, self.title, self.name)
        self._photographs = _photographs(self.folder)
        files = (self.folder / "PairAnnotation" / split).glob("[!.]*.json")  # macOS leaves ._ files about
        lines = sorted({with_colon(file.stem) for file in files})
        lines = [line for line in lines if not chosen or line.rpartition(":")[2] in chosen]
        if not lines:
            of = f" of {', '.join(chosen)}" if chosen else ""
            raise UserError(f"{self.folder} annotates no pair{of}: {get_it(self.name)}.")
        self._read(lines)

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self._photographs / f"{key}.jpg"


def _has_annotations(folder: Path) -> bool:
    return (folder / "PairAnnotation" / "test").is_dir()


def _photographs(folder: Path) -> Path:
    """JPEGImages of SPair-71k. Raises UserError if they are not there, or if the folder is SPair-71k itself."""
    if (folder / "Segmentation").is_dir():
        raise UserError(f"{folder} is SPair-71k, whose points are not those of SPair-U: {get_it(SPairU.name)}.")
    for place in (folder, folder.parent / "SPair-71k"):
        if (place / "JPEGImages").is_dir():
            return place / "JPEGImages"
    raise UserError(
        f"SPair-U has no photographs, and there is no SPair-71k beside {folder}: get that with `sdcorr prepare spair`, "
        f"or link its JPEGImages into {folder}."
    )
