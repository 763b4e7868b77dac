"""Does more training still pay? PCK against images seen: `python -m sdcorr.toybox.making.curve RUN [RUN ...]`.

A RUN is the folder of an evaluation of the model at one stage of its training: `python eval.py model.path=STATE
run_dir=RUN`, where STATE is a copy of the model's folder made at that stage. Draws `curve.png` and prints its values.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yaml
from matplotlib.figure import Figure

from sdcorr import visualize

KEY = "pck@0.10/per_point"
SERIES = {
    "prompt embedding": "",
    "nearest UNet feature": "baseline/unet_features/",
    "same place in the box": "baseline/same_box_position/",
}


def curve(runs: list[Path]) -> tuple[Figure, list[tuple[int, dict[str, tuple[float, float, float]]]]]:
    """Read the scores of runs and draw them against the images that each model had seen.

    Args:
        runs: folders of evaluations of the same pairs.

    Returns:
        The figure, and for each run, in the order of training: images seen, and series -> PCK@0.1 with its interval.
    """
    states = []
    for run in runs:
        summary = json.loads((run / "summary.json").read_text())
        model = Path(yaml.safe_load((run / "config.yaml").read_text())["model"]["path"])
        seen = json.loads((model / "training.json").read_text())["images_seen"]
        ends = ("", "/low", "/high")
        values = {
            n: tuple(summary[f"{p}{KEY}{end}"] for end in ends) for n, p in SERIES.items() if f"{p}{KEY}" in summary
        }
        states.append((seen, values))
    states.sort(key=lambda state: state[0])
    series = {name: [values[name] for _, values in states] for name in SERIES if all(name in v for _, v in states)}
    figure = visualize.curve([seen / 1000 for seen, _ in states], series, "thousand images seen", "PCK@0.1 per point")
    return figure, states


def main() -> None:
    """Read the command line, draw the figure and print its values."""
    parser = argparse.ArgumentParser(
        prog="python -m sdcorr.toybox.making.curve", description="Draw PCK against images seen in training."
    )
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
