"""The card of the student that ships: what it was trained on and how well it finds keypoints, as numbers and as prose.

    python -m sdcorr.toybox.making.student_card --student outputs/student --run RUN_FOLDER

copies the student to where it ships, and writes README.md and card.json beside it. The run is an evaluation with the
student as its subject.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sdcorr.files import write_whole
from sdcorr.student.files import CONFIG, WEIGHTS, load_student
from sdcorr.toybox.anatomy import STUDENT_FOLDER
from sdcorr.toybox.making.model_card import CARD, Facts, scores

_TEMPLATE = """# The toybox's student

A network of {weights:,} weights that finds points of one drawing in others: {side} x {side} pixels in, features on
{cells} x {cells} cells out. One pass a picture, no optimization; the method `student` uses it, and
[docs/student.md](../../../docs/student.md) says how. It knows the toybox's drawings, and nothing else.

It has learned from {labels:,} pseudo-labels of {sources:,} source pictures among {pictures:,} training drawings, and
from those drawings under two warps each. It has seen no keypoint: of {held:,} further sources it finds {agreement:.1%}
of the labels within a tenth of the side, and by that it was chosen. {hours:.1f} hours on {machine}.

The labels are nearest neighbors of the UNet's own features under one fit for each pair, not matches of optimized prompt
embeddings: `sdcorr.toybox.making.quick_labels` makes them.
{begun}
| PCK@0.10 per point, `dataset.split={split}`, protocol {protocol} | |
|---|---|
{rows}

Brackets are 95 % bootstrap intervals. Written by `python -m sdcorr.toybox.making.student_card`.
"""


def write_card(folder: Path, summary: Facts, split: str) -> Path:
    """Write README.md and card.json of a student's folder, and return the former.

    Args:
        folder: of the student.
        summary: of the evaluation of which it is the subject.
        split: that was evaluated.
    """
    facts = scores(summary)
    student, told = load_student(folder), json.loads((folder / CONFIG).read_text())["training"]
    write_whole(folder / CARD, json.dumps({"split": split, **facts}, indent=2) + "\n")
    text = _TEMPLATE.format(
        weights=sum(each.numel() for each in student.network.parameters()),
        side=student.side,
        cells=student.network(torch.zeros(1, 3, student.side, student.side)).shape[-1],
        labels=told["labels"],
        sources=told["sources"],
        pictures=told["pictures"],
        held=told["sources_to_choose_by"],
        agreement=told["best"]["val/agreement"],
        hours=told["seconds"] / 3600,
        machine=told["machine"],
        begun=_begun(told.get("began_from")),
        split=split,
        protocol=facts["protocol"],
        rows="\n".join(_rows(facts)),
    )
    write_whole(folder / "README.md", text)
    return folder / "README.md"


def _begun(told: Mapping[str, Any] | None) -> str:
    """What it began from, as a paragraph."""
    if told is None:
        return ""
    hours = f"{told['seconds'] / 3600:.1f} hours"
    return f"\nIt began from a student of {told['labels']:,} labels of {told['pictures']:,} drawings, {hours}.\n"


def _rows(facts: Facts) -> list[str]:
    rows = []
    for key, value in facts.items():
        if "/per_point" not in key or key.endswith(("/low", "/high")):
            continue
        method = key.split("/")[1] if key.startswith("baseline/") else "student"
        kind = {"ambiguous": ", parts with a look-alike", "distinct": ", the others"}.get(key.rpartition("/")[2], "")
        low, high = (100 * float(facts[f"{key}/{end}"]) for end in ("low", "high"))
        rows.append(f"| {method}{kind} | {100 * float(value):.1f} [{low:.1f}, {high:.1f}] |")
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Copy the student to where it ships, and write its card."""
    parser = argparse.ArgumentParser(prog="python -m sdcorr.toybox.making.student_card", description="The card.")
    parser.add_argument("--student", type=Path, required=True, help="folder of the student")
    parser.add_argument("--run", type=Path, required=True, help="folder of an evaluation with it as the subject")
    parser.add_argument("--split", default="test", help="that was evaluated (test)")
    args = parser.parse_args(argv)
    for name in (CONFIG, WEIGHTS):
        STUDENT_FOLDER.mkdir(exist_ok=True)
        if args.student.resolve() != STUDENT_FOLDER:
            shutil.copy(args.student / name, STUDENT_FOLDER / name)
    summary = json.loads((args.run / "summary.json").read_text())
    print(write_card(STUDENT_FOLDER, summary, args.split))


if __name__ == "__main__":
    main()
