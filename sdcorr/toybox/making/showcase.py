"""Show what the shipped model has learned: `python -m sdcorr.toybox.making.showcase [--out docs/figures]`.

Makes `samples.png` (what the model draws for captions of val drawings), `words.png` (attention maps of the words of a
caption) and `idea.png` (the method, from one query point to its match), and records on the model's card how good the
samples and the maps are. The numbers are from val drawings that are in no pair of the benchmark.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from sdcorr import visualize
from sdcorr.cli import build
from sdcorr.errors import UserError
from sdcorr.toybox.anatomy import MODEL_FOLDER
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.making.idea import idea
from sdcorr.toybox.making.model_card import CARD, TRAINING, Facts, merge, read_facts, scores, write_readme
from sdcorr.toybox.making.samples import Judge, load_pipeline, recolored, reconstruction_error, sample, subject
from sdcorr.toybox.making.words import (
    Interval,
    WordReader,
    WordScore,
    part_words,
    ratio_of_sums,
    score_twins,
    score_words,
)
from sdcorr.toybox.world import VAL, Drawing

FIRST = 100  # lower source numbers are those of the val split's pairs
SHOWN = 2  # samples per class in the figure, and as many with other colors
SAMPLED = 20  # samples per class that the judge classifies
SCORED = 15  # drawings per class whose word maps are scored
IDEA = (f"{VAL}/car/1", f"{VAL}/car/1/2", "headlight")  # source, target and query point of the figure
WORDS_SHOWN = 4  # word maps per drawing in the figure


def val_drawings(each: int) -> list[Drawing]:
    """Return `each` val drawings of every class, class by class."""
    return [drawing(f"{VAL}/{name}/{FIRST + index}") for name in THINGS for index in range(each)]


def sample_facts(folder: Path, judge: Judge, each: int = SAMPLED, shown: int = SHOWN) -> tuple[Facts, Figure]:
    """Draw samples for captions of val drawings and judge them.

    Args:
        folder: the model.
        judge: classifies the samples.
        each: samples per class.
        shown: how many of them are in the figure, above as many for the same captions with random colors.

    Returns:
        `judge/samples` and `judge/drawings`: the fractions of samples and of val drawings whose class and facing the
        judge reads as captioned; both with `/class`: the fractions whose class it reads as captioned; all with `/low`
        and `/high`; `vae_l1`. And the sheet of samples, one column per class.
    """
    originals = val_drawings(each)
    captions = [original.caption for original in originals]
    pipeline = load_pipeline(folder)
    pictures = sample(pipeline, captions)
    facts: Facts = {"vae_l1": reconstruction_error(pipeline, [original.image for original in originals])}
    meant = [subject(caption) for caption in captions]
    for name, images in (("drawings", [original.image for original in originals]), ("samples", pictures)):
        read = judge.read(images)
        facts |= named(f"judge/{name}", _share([a == b for a, b in zip(read, meant, strict=True)]))
        same_class = [a.split()[0] == b.split()[0] for a, b in zip(read, meant, strict=True)]
        facts |= named(f"judge/{name}/class", _share(same_class))
    order = [column * each + row for row in range(shown) for column in range(len(THINGS))]
    new = [recolored(captions[i], seed=i) for i in order]
    short = [textwrap.fill(caption.removeprefix("a "), 28) for caption in [captions[i] for i in order] + new]
    title = "What the model draws for captions of val drawings; below, for the same captions with random colors"
    panels = [pictures[i] for i in order] + sample(pipeline, new)
    return facts, visualize.sheet(panels, short, columns=len(THINGS), title=title)


def word_facts(folder: Path, each: int = SCORED) -> tuple[dict[str, WordScore], Interval, Figure]:
    """Read and score the attention maps of the part names in captions of val drawings.

    Args:
        folder: the model.
        each: drawings per class.

    Returns:
        The results of `score_words` and `score_twins`, and a figure of one drawing of each class under the maps of some
        of its words.
    """
    reader, originals = WordReader(folder), val_drawings(each)
    maps = [reader.maps(original, part_words(original)).mean(1).numpy() for original in originals]  # each (W, S, S)
    rows = []
    for first in range(0, len(originals), each):  # of every class the drawing with most named parts visible
        i = max(range(first, first + each), key=lambda index: len(maps[index]))
        words = part_words(originals[i])
        chosen = np.linspace(0, len(words) - 1, WORDS_SHOWN).round().astype(int)
        panels = {words[k].part: (maps[i][k], originals[i].masks[words[k].part]) for k in chosen}
        rows.append((originals[i].image, panels))
    figure = visualize.words(rows, title="Where the words of a caption look")
    return score_words(originals, maps), score_twins(originals, maps), figure


def words_table(found: Mapping[str, WordScore]) -> Table:
    """Put the scores of words into a table for a terminal: all words, then each, the best first."""
    table = Table(title="attention maps of part names on val drawings", title_justify="left")
    for heading in ("word", "maps", "part's area", "mass in part", "peak in part", "mass / area"):
        table.add_column(heading, justify="left" if heading == "word" else "right")
    for name in sorted(found, key=lambda name: (name != "all", -found[name].lift.value)):
        score = found[name]
        shares = (f"{share:.1%}" for share in (score.area, score.mass, score.peak))
        table.add_row(name, str(score.words), *shares, "{:.2f} [{:.2f}, {:.2f}]".format(*score.lift))
    return table


def as_facts(found: Mapping[str, WordScore]) -> Facts:
    """Flatten scores of words to names like `words/all/mass`, `words/wheel/lift`, `words/wheel/lift/low`."""
    facts: Facts = {}
    for name, score in found.items():
        facts |= {f"words/{name}/{share}": getattr(score, share) for share in ("words", "area", "mass", "peak")}
        facts |= named(f"words/{name}/lift", score.lift)
    return facts


def named(name: str, interval: Interval) -> Facts:
    """Flatten an interval to `name`, `name/low` and `name/high`."""
    return {name: interval.value, f"{name}/low": interval.low, f"{name}/high": interval.high}


def showcase(folder: Path, out: Path, summary: Path | None = None, console: Console | None = None) -> Facts:
    """Draw `samples.png` and `words.png`, and bring the card and the README in the model's folder up to date.

    Args:
        folder: the model.
        out: where the figures go.
        summary: summary.json of an evaluation of this model, for the PCK on the card.
        console: where the tables are printed, if anywhere.

    Returns:
        All facts on the card.

    Raises:
        UserError: if there is no model in the folder, or no such summary.
    """
    if not (folder / "unet").exists():
        raise UserError(f"There is no model in {folder}: train it first, with python -m sdcorr.toybox.making.train.")
    if summary and not summary.exists():
        raise UserError(f"There is no summary {summary}: give the summary.json in the run folder of an evaluation.")
    out.mkdir(parents=True, exist_ok=True)
    facts = read_facts(folder / TRAINING) | (scores(json.loads(summary.read_text())) if summary else {})
    found, twins, figure = word_facts(folder)
    figure.savefig(out / "words.png", dpi=110)
    if console:
        console.print(words_table(found))
    measured, figure = sample_facts(folder, Judge())
    measured |= named("words/twins", twins)
    figure.savefig(out / "samples.png", dpi=110)
    if console:
        console.print(measured)
    card = merge(folder / CARD, facts | as_facts(found) | measured)
    write_readme(folder)
    return card


def _share(right: Sequence[bool]) -> Interval:
    """Return the fraction that is right, with an interval from a bootstrap over single cases."""
    return ratio_of_sums(np.arange(len(right)), np.array(right, dtype=float), np.ones(len(right)))


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line (or `argv`), make the figures and write the card."""
    parser = argparse.ArgumentParser(
        prog="python -m sdcorr.toybox.making.showcase", description="Show what the model has learned."
    )
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="diffusers folder of the model")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="where the figures go")
    parser.add_argument("--summary", type=Path, help="summary.json of an evaluation of this model, for its card")
    args = parser.parse_args(argv)
    showcase(args.model, args.out, args.summary, Console())
    matcher = build.load(f"model.path={args.model}")
    idea(matcher, *IDEA).savefig(args.out / "idea.png", dpi=120)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
