"""`sdcorr search`: a point of a picture found in the likeliest of thousands."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from sdcorr.cli import help
from sdcorr.cli.command import Arguments, quiet_libraries
from sdcorr.cli.paths import folder
from sdcorr.errors import UserError


def main(argv: Sequence[str]) -> None:
    """The command: prints the hits, and as its last line the folder with hits.json and hits.png.

    Args:
        argv: its arguments.

    Raises:
        UserError: if there is no index, the picture cannot be read, or the point is not in it.
    """
    chosen = _parser().parse_args(argv)
    x, y = _point(chosen.point)
    if chosen.most < 1:
        raise UserError(f"--most {chosen.most} is not legal: give a number of pictures from 1.")
    import numpy as np

    from sdcorr.cli.searching import index_folder, reading  # not at the top: they import torch
    from sdcorr.files import write_whole
    from sdcorr.images import check_points, read_picture
    from sdcorr.retrieval import PictureIndex
    from sdcorr.retrieval.sheet import sheet
    from sdcorr.retrieval.work import look

    quiet_libraries()
    pictures = folder(chosen.pictures)
    index = index_folder(pictures, chosen.index)
    if index.settings is None:
        raise UserError(f"There is no index in {index.folder}: make one with `sdcorr index {pictures}`.")
    source = read_picture(chosen.picture)
    check_points(np.array([[x, y]]), source.size)
    changes = look(index, pictures)
    if changes:
        left_out = " What has changed or is gone is left out." if changes.stale else ""
        print(
            f"warning: pictures have changed since they were indexed ({changes}): `sdcorr index {pictures}` "
            f"brings the index up to date.{left_out}",
            file=sys.stderr,
        )
    method = reading(index, []).method
    (features,) = method.read_pictures([source])
    hits = PictureIndex(index, method.peaks, changes.stale).search(features, (x, y), chosen.most, chosen.exact)
    for rank, hit in enumerate(hits, start=1):
        print(f"{rank:>4}  {hit.cosine:.3f}  ({hit.point[0]:.1f}, {hit.point[1]:.1f})  {hit.picture}")
    out = folder(chosen.out)
    asked = {"picture": chosen.picture, "point": [x, y], "pictures": chosen.pictures}
    write_whole(out / "hits.json", json.dumps(asked | {"hits": [asdict(hit) for hit in hits]}, indent=2) + "\n")
    write_whole(out / "hits.png", sheet(source, (x, y), hits, pictures))
    print(out)


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr search",
        description=help.SEARCH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", metavar="PICTURES", help="a folder that `sdcorr index` has read")
    parser.add_argument("picture", metavar="PICTURE", help="the picture with the point; it need not be in the folder")
    parser.add_argument("--point", metavar="X,Y", required=True, help="in pixels of PICTURE as you see it")
    parser.add_argument("--most", type=int, default=10, metavar="N", help="pictures that are wanted (10)")
    parser.add_argument("--out", default="outputs/search", metavar="DIR", help="where the results go (outputs/search)")
    parser.add_argument(
        "--index", metavar="FOLDER", help="where the index lies (.sdcorr/search in the pictures' folder)"
    )
    parser.add_argument("--exact", action="store_true", help="look at every picture: slower, and nothing is missed")
    return parser


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise UserError(f"--point {text} is not a point: give x,y in pixels, such as --point 120,80.") from None
    return x, y
