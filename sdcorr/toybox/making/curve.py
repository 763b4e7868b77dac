"""Does more training still pay? PCK against images seen: `python -m sdcorr.toybox.making.curve RUN [RUN ...]`.

A RUN is the folder of an evaluation of one state of the model: `python eval.py model.path=STATE run_dir=RUN`, where
STATE is a copy of the model's folder, taken while it was trained. Draws `curve.png` and prints what it shows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import yaml
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.run.records import PredictionStore
from sdcorr.scoring.arrays import read
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.score import score

SUBJECT = "prompt"
SERIES = {  # what a method is called in the chart
    SUBJECT: "prompt embedding",
    "unet_features": "nearest UNet feature",
    "same_box_position": "same place in the box",
}


def curve(runs: Sequence[Path]) -> tuple[Figure, list[tuple[int, dict[str, Estimate]]]]:
    """Scores runs and draws them.

    Returns:
        The figure, and for each run, in the order of training: images seen, and series -> PCK@0.1 with its interval.
    """
    states = []
    for run in runs:
        model = Path(yaml.safe_load((run / "config.yaml").read_text())["model"]["path"])
        seen = json.loads((model / "training.json").read_text())["images_seen"]
        scores = score(read(PredictionStore(run), SUBJECT), SUBJECT, protocol_named("standard"), [0.1])
        there = {SERIES[name]: each for name, each in scores.methods.items() if name in SERIES}
        found = {name: each.find(each.main, "per_point") for name, each in there.items()}
        states.append((seen, {name: value.estimate for name, value in found.items() if value is not None}))
    states.sort(key=lambda state: state[0])
    names = [name for name in SERIES.values() if all(name in values for _, values in states)]
    series = {name: [values[name] for _, values in states] for name in names}
    figure = visualize.curve([seen / 1000 for seen, _ in states], series, "thousand images seen", "PCK@0.1 per point")
    return figure, states


def main() -> None:
    """Draws the curve of the runs that the command line names."""
    about = "Does more training still pay? Draws PCK against the images that the model had seen."
    parser = argparse.ArgumentParser(prog="python -m sdcorr.toybox.making.curve", description=about)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    args = parser.parse_args()
    figure, states = curve(args.runs)
    args.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out / "curve.png", dpi=120)
    for seen, values in states:
        print(
            f"{seen:>9,}",
            *(f"{name} {v:.3f} [{low:.3f}, {high:.3f}]" for name, (v, low, high) in values.items()),
            sep="  ",
        )


if __name__ == "__main__":
    main()
