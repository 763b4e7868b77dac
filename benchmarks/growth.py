"""How cost grows with points, restarts and targets: `python benchmarks/growth.py [--model toybox|golden|sd14|FOLDER]`.

Times the library and the computation as released while one of the three grows and the others stay fixed, with the same
weights and random draws. A match is one point in one target. The library shares embeddings among targets, crops among
points and batches among all, so its matches get cheaper the more there are. Writes growth-NAME.md, .json and .png into
benchmarks/results.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from bars import AS_RELEASED, LIBRARY, Bar, passes, progress, solve
from matplotlib.figure import Figure
from measure import RESULTS, Work, command, machine, markdown, measured, save
from problem import make_unit
from rich.console import Console
from shapes import Model, load, model_named

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.files import write_whole
from sdcorr.visualize.charts import LINE_COLORS

AXES = ("points", "restarts", "targets")
_PAGE = """# How cost grows, {model}

{table}

Seconds for everything, and per match (one point in one target). While one number grows the others are {base};
{steps} steps, {crops} crops. {machine}
"""


def measure(model: Model, device: torch.device, base: Mapping[str, int], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Time both computations for every size along every axis."""
    results = []
    for bar in (LIBRARY, AS_RELEASED):
        backbone = load(model, device, truncate=bar.truncated)
        brief = replace(model.settings, steps=1, restarts=1, transfer_crops=2)
        solve(bar, backbone, brief, make_unit(1, 1), 0, Work())
        for axis in AXES:
            for size in sizes:
                case = {**base, axis: size}
                seconds = _seconds(bar, backbone, model, case, f"{bar.name}, {size} {axis}")
                matches = case["points"] * case["targets"]
                results.append(
                    {"bar": bar.name, "axis": axis, **case, "seconds": seconds, "per_match": seconds / matches}
                )
    return results


def _seconds(bar: Bar, backbone: FrozenDiffusion, model: Model, case: Mapping[str, int], name: str) -> float:
    settings = replace(model.settings, restarts=case["restarts"])
    unit = make_unit(case["points"], case["targets"])
    with progress(name, passes(bar, settings, unit, 0)) as work, measured(backbone.device) as taken:
        solve(bar, backbone, settings, unit, 0, work)
    return taken.seconds


def plot(results: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw the seconds per match along each axis."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, axis in zip(panels, AXES, strict=True):
        for bar, color, marker in zip((AS_RELEASED, LIBRARY), LINE_COLORS[1::-1], "so", strict=True):
            line = [row for row in results if row["bar"] == bar.name and row["axis"] == axis]
            places, seconds = [row[axis] for row in line], [row["per_match"] for row in line]
            axes.plot(places, seconds, color=color, marker=marker, label=bar.name)
            axes.set_xticks(places)
        axes.set(xlabel=axis if axis != "targets" else "targets of the source", yscale="log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds per match (log)")
    panels[0].legend(frameon=False)
    figure.suptitle(title, fontsize=10)
    return figure


def main() -> None:
    """Read the command line, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="toybox", help="golden, toybox, sd14 or a folder")
    parser.add_argument("--image-size", type=int, help="pixels, if not the model's own")
    parser.add_argument("--steps", type=int, default=10, help="of the optimization")
    parser.add_argument("--crops", type=int, default=4, help="of a target")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8], help="along every axis")
    parser.add_argument("--base", type=int, default=2, help="size of the two that do not grow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, device = model_named(args.model, args.image_size), torch.device(args.device)
    model = replace(model, settings=replace(model.settings, steps=args.steps, transfer_crops=args.crops))
    results = measure(model, device, dict.fromkeys(AXES, args.base), args.sizes)
    table = markdown(
        ("", *AXES, "seconds", "per match"),
        [
            [row["bar"], *(row[axis] for axis in AXES), f"{row['seconds']:.2f}", f"{row['per_match']:.3f}"]
            for row in results
        ],
    )
    facts = ", ".join(f"{name} {value}" for name, value in machine(device).items()) + "."
    page = _PAGE.format(
        model=model.name, table=table, base=args.base, steps=args.steps, crops=args.crops, machine=facts
    )
    name = f"growth-{model.name}"
    save(name, args.out, {"settings": asdict(model.settings), "machine": machine(device), "results": results}, page)
    figure = plot(results, f"{model.name}, {args.steps} steps, {args.crops} crops; the others at {args.base}")
    write_whole(args.out / f"{name}.png", lambda path: figure.savefig(path, dpi=130, format="png"))
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
