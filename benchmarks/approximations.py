"""How much time the approximations save, and what they cost in accuracy.

    python eval.py experiment=approximations dataset.split=test     (any data set and model; on a quiet machine)
    python benchmarks/approximations.py RUN_FOLDER

Reads the run's summary.json, in which the method and its variants were timed and scored on the same pairs, and writes
benchmarks/results/approximations-<data set>.md and .png: speed-up and change of PCK@0.10, with the 95 % interval of
the paired difference (bootstrap over pairs). Only the seconds of matching count, not those of other methods or of
starting the program.
"""

import json
import sys
from pathlib import Path

import yaml
from matplotlib.figure import Figure

from sdcorr.visualize.charts import LINE_COLORS

RESULTS = Path(__file__).parent / "results"
SCORE = "pck@0.10/per_point"


def rows(summary: dict) -> list[dict]:
    """List the method, then its variants (methods whose name has a setting with "=")."""
    full = {"name": "full method", "seconds": summary["seconds"], "score": summary[SCORE], "change": (0.0, 0.0, 0.0)}
    names = [key.split("/")[1] for key in summary if key.startswith("baseline/") and key.endswith("/seconds")]
    return [full] + [
        {
            "name": name.replace(",", ", ").replace("=true", "").replace("=True", ""),
            "seconds": summary[f"baseline/{name}/seconds"],
            "score": summary[f"baseline/{name}/{SCORE}"],
            # the summary has the method less the variant
            "change": tuple(-summary[f"difference/{name}/{SCORE}{end}"] for end in ("", "/high", "/low")),
        }
        for name in names
        if "=" in name
    ]


def markdown(found: list[dict]) -> str:
    """Write the table, in percent."""
    lines = ["| variant | speed-up | PCK@0.10 | change |", "|---|---|---|---|"]
    for row in found:
        change, low, high = (100 * value for value in row["change"])
        by = f"{change:+.1f} [{low:+.1f}, {high:+.1f}]" if row is not found[0] else ""
        speed = found[0]["seconds"] / row["seconds"]
        lines.append(f"| {row['name']} | {speed:.1f} x | {100 * row['score']:.1f} | {by} |")
    return "\n".join(lines) + "\n"


def plot(found: list[dict]) -> Figure:
    """Draw the change of PCK against the speed-up."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color="gray", linewidth=0.8)
    for number, row in enumerate(found[1:]):
        change, low, high = (100 * value for value in row["change"])
        speed = found[0]["seconds"] / row["seconds"]
        shade = LINE_COLORS[number % len(LINE_COLORS)]
        axes.errorbar([speed], [change], [[change - low], [high - change]], fmt="o", color=shade, capsize=3)
        axes.annotate(
            row["name"], (speed, change), (6, 4 if number % 2 else -11), textcoords="offset points", fontsize=8
        )
    axes.set(xscale="log", xlabel="times faster than the full method", ylabel="change of PCK@0.10 (points)")
    axes.margins(x=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Read the run, and write the table and the plot."""
    if len(sys.argv) != 2:
        sys.exit("error: name one run folder: python benchmarks/approximations.py outputs/...")
    folder = Path(sys.argv[1])
    try:
        summary = json.loads((folder / "summary.json").read_text())
        config = yaml.safe_load((folder / "config.yaml").read_text())
    except OSError as error:
        sys.exit(f"error: {error.filename} cannot be read: name the folder that `python eval.py` printed last.")
    found = rows(summary)
    data = f"{config['dataset']['name']}-{config['dataset'].get('split', 'all')}"
    about = (
        f"{data}, model {config['model']['name']}, {summary['pairs']} pairs, {summary['points']} points, protocol "
        f"{summary['protocol']}; PCK in percent, per point; intervals 95 %, bootstrap over pairs, paired.\n\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"approximations-{data}.md").write_text(about + markdown(found))
    plot(found).savefig(RESULTS / f"approximations-{data}.png", dpi=130)
    print(about + markdown(found))


if __name__ == "__main__":
    main()
