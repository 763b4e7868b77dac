"""`sdcorr index`: reads a folder of pictures once, so that points are found in all of them within moments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console

from sdcorr.cli import help
from sdcorr.cli.command import Arguments, quiet_libraries
from sdcorr.cli.match import is_setting
from sdcorr.cli.paths import folder

SHOWN = 3  # pictures that cannot be read


def main(argv: Sequence[str]) -> None:
    """The command: prints what has changed, and as its last line the index's folder.

    Args:
        argv: its arguments, and settings.

    Raises:
        UserError: if there is no picture, a setting does not fit, or the index cannot be written.
    """
    words = [word for word in argv if is_setting(word)]
    chosen = _parser().parse_args([word for word in argv if not is_setting(word)])
    from sdcorr.cli.searching import index_folder, reading  # not at the top: they import torch
    from sdcorr.retrieval.work import bring_up_to_date

    quiet_libraries()
    pictures = folder(chosen.pictures)
    index = index_folder(pictures, chosen.index)
    read = reading(index, words, chosen.cells)
    console = Console()

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    if read.knows_only_drawings:
        say(
            "The toybox's student knows only its drawings; for photographs give method.student=FOLDER or method=dinov2."
        )
    index.tell(read.settings)
    side = read.settings["cells"]
    changes, unread = bring_up_to_date(index, pictures, read.method.read_pictures, side, console)
    if unread:
        some = "1 picture is" if len(unread) == 1 else f"{len(unread):,} pictures are"
        more = ", ..." if len(unread) > SHOWN else ""
        say(f"{some} left out, for it cannot be read: {', '.join(unread[:SHOWN])}{more}")
    say(f"{len(index.pictures) - len(changes.gone):,} pictures ({changes}), {index.nbytes / 1e6:,.1f} MB")
    print(index.folder)


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr index",
        usage="sdcorr index PICTURES [--index FOLDER] [--cells N] [key=value ...]",
        description=help.INDEX,
        epilog=help.settings("eval", help.INDEX_SETTINGS, ("method", "model")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", metavar="PICTURES", help="a folder; pictures in folders in there are found as well")
    parser.add_argument(
        "--index", metavar="FOLDER", help="where the index lies (.sdcorr/search in the pictures' folder)"
    )
    parser.add_argument("--cells", type=int, metavar="N", help="a side, on which pictures are kept (32)")
    return parser
