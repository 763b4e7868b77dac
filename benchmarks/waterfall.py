"""Where the speed comes from: `python benchmarks/waterfall.py [--model golden|toybox|sd14|FOLDER] [--device cuda]`.

Matches the points of one source image in several targets by the computation as released, then with one saving after
the other switched on, then by the library, with the same weights, random draws, steps and crops. The library runs
first, because the other answers are compared with its answer. Every bar runs in its own process, so that its memory can
be measured, and its result is kept: an interrupted run continues, unless code or arguments have changed.

Bars that do one pair's point after the other can be sampled (--sample): only so many of these equal parts are done, and
the seconds are multiplied. FLOPs are those of one query's step, crop and encode, counted by torch on the meta device,
times how often the timed run did each. Writes NAME.md, NAME.json and NAME.png into benchmarks/results.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import bars
import diffusers
import explicit
import problem
import released
import shapes
import torch
from bars import LIBRARY, Bar, ladder, passes, progress, solve
from flops import PartFlops, part_flops
from matplotlib.figure import Figure
from measure import RESULTS, SCRATCH, Work, command, machine, markdown, measured, save
from problem import Answer, compare, make_unit
from rich.console import Console
from shapes import Model, load, model_named

import sdcorr
from sdcorr.diffusion.precision import Precision
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.visualize.charts import LINE_COLORS

# Steps, crops and sample, for models whose own settings would take the computation as released too long. The tiny
# model at 512 pixels takes a CPU core many seconds per step, so it gets few steps and crops, in the method's proportion
# of 129 to 20, and one part stands for all. With Stable Diffusion one part takes 2,000 TFLOP.
DEFAULTS = {"golden": (13, 2, 1), "sd14": (129, 20, 1)}
_WITHOUT_EFFECT = ("precision", "out", "fresh", "bar", "folder")  # arguments that do not change any bar's numbers
_PAGE = """# From the released computation to the library, {model}

{table}

{points} points, {restarts} restarts, 1 source, {targets} targets, {steps} steps, {crops} crops; {size} pixels.
{machine}
Each row adds one saving to the row above. Peak memory is beyond the model's own. FLOPs: one query's step, crop and
encode (counted on the meta device) times how often the timed run did each. Embeddings and maps: greatest absolute
difference from the library's in float32. Points: fraction in the same place; in brackets, or at another maximum of the
same map.
{sampled}
"""


def measure_bar(bar: Bar, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Do a bar's work in this process, after a short warm-up, and return what it took."""
    model, device = chosen_model(args), torch.device(args.device)
    torch.set_num_threads(args.threads)
    backbone = load(model, device, precision=bar.precision, truncate=bar.truncated)
    brief = replace(model.settings, steps=1, restarts=1, transfer_crops=2)
    solve(bar, backbone, brief, make_unit(1, 1), 0, Work())
    unit = make_unit(args.points, args.targets)
    with progress(bar.name, passes(bar, model.settings, unit, args.sample)) as work, measured(device) as taken:
        answer, multiply = solve(bar, backbone, model.settings, unit, args.sample, work)
    reference = folder / "reference.pt"
    if bar == LIBRARY:
        plain = {name: dict(value) for name, value in vars(answer).items()}
        write_whole(reference, lambda path: torch.save(plain, path))
    agreement = compare(answer, Answer(**torch.load(reference, weights_only=True)))
    return {
        "name": bar.name,
        "seconds": taken.seconds * multiply,
        "measured_share": 1 / multiply,
        "peak_bytes": taken.peak_bytes,
        "work": {kind: count * multiply for kind, count in work.items()},
        "truncate": bar.truncated,
        "agreement": asdict(agreement),
        "machine": machine(device),
    }


def chosen_model(args: argparse.Namespace) -> Model:
    """Return the model with the settings that the arguments ask for."""
    model = model_named(args.model, args.image_size)
    given = {"steps": args.steps, "transfer_crops": args.crops, "restarts": args.restarts}
    given |= {"queries_per_batch": args.batch}
    return replace(model, settings=replace(model.settings, **{k: v for k, v in given.items() if v is not None}))


def rows_of(results: Sequence[Mapping[str, Any]], parts: PartFlops) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    first = results[0]
    for result in results:
        agreement, flops = result["agreement"], flops_of(result, parts)
        memory = f"{result['peak_bytes'] / 2**30:.2f}" if result["peak_bytes"] is not None else "?"
        yield [
            result["name"] + (" *" if result["measured_share"] < 1 else ""),
            f"{result['seconds']:,.1f}",
            f"{first['seconds'] / result['seconds']:.1f}",
            f"{flops / 1e12:,.2f}",
            f"{flops_of(first, parts) / flops:.1f}",
            memory,
            f"{agreement['embeddings']:.1e}",
            f"{agreement['maps']:.1e}",
            f"{agreement['equal']:.0%} ({agreement['right']:.0%})",
            f"{agreement['farthest']:.2f}",
        ]


HEAD = ("", "seconds", "x faster", "TFLOP", "x fewer", "peak GB", "embeddings", "maps", "points", "farthest, px")


def flops_of(result: Mapping[str, Any], parts: PartFlops) -> float:
    """Compute the FLOPs of a bar's whole work."""
    counts = {kind: result["work"].get(kind, 0) for kind in ("steps", "crops", "encodes")}
    return parts.total(**counts, truncate=result["truncate"])


def plot(results: Sequence[Mapping[str, Any]], parts: PartFlops, title: str) -> Figure:
    """Draw the seconds and the FLOPs of the bars side by side."""
    figure = Figure(figsize=(11, 0.42 * len(results) + 1.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    columns = {
        left: ("seconds", [result["seconds"] for result in results], LINE_COLORS[0]),
        right: ("TFLOP", [flops_of(result, parts) / 1e12 for result in results], LINE_COLORS[1]),
    }
    for axes, (unit, values, color) in columns.items():
        axes.barh(range(len(values)), values, color=color)
        axes.set(xlabel=unit, xlim=(0, max(values) * 1.25))
        for row, value in enumerate(values):
            said = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            axes.text(value, row, f"  {said}   {values[0] / value:.1f}x", va="center", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(results)), [result["name"] for result in results])
    left.invert_yaxis()
    figure.suptitle(title, fontsize=10)
    return figure


def scratch_folder(args: argparse.Namespace) -> Path:
    """Name the folder that keeps finished bars; arguments, code and machine are part of its name."""
    chosen = {name: value for name, value in vars(args).items() if name not in _WITHOUT_EFFECT}
    facts = [chosen, machine(torch.device(args.device)), diffusers.__version__, code_digest()]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return SCRATCH / f"waterfall-{chosen_model(args).name}-{digest[:10]}"


def code_digest() -> str:
    """Hash all code that is timed or that the answers depend on."""
    package = Path(sdcorr.__file__).parent
    files = [*package.glob("diffusion/*.py"), *package.glob("prompt/*.py")]
    files += [Path(module.__file__) for module in (bars, explicit, problem, released, shapes)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()


def path_of(bar: Bar, folder: Path) -> Path:
    """Name the file of a finished bar."""
    return folder / f"{re.sub('[^a-z0-9]+', '-', bar.name.lower()).strip('-')}.json"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, and fill in the model's defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="golden", help="golden, toybox, sd14 or a folder")
    parser.add_argument("--image-size", type=int, help="pixels, if not the model's own")
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--targets", type=int, default=4)
    parser.add_argument("--steps", type=int, help="of the optimization")
    parser.add_argument("--crops", type=int, help="of a target")
    parser.add_argument("--sample", type=int, help="how many parts of the one-by-one bars to do, 0: all")
    parser.add_argument("--batch", type=int, help="queries per batch in the bars that batch them, if not what fits")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", nargs="*", default=[], choices=get_args(Precision), help="more library bars")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU; 1 is reproducible")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--fresh", action="store_true", help="do finished bars again")
    parser.add_argument("--bar", type=int, help=argparse.SUPPRESS)  # the process of one bar
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    steps, crops, sample = DEFAULTS.get(args.model, (None, None, 0))
    args.steps, args.crops = args.steps or steps, args.crops or crops
    args.sample = sample if args.sample is None else args.sample
    return args


def run_bars(rungs: Sequence[Bar], args: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Run every unfinished bar in its own process, the library's first, and read the results of all.

    Raises:
        UserError: if a bar failed, or the code was changed meanwhile.
    """
    folder = scratch_folder(args)
    if args.fresh:
        for path in folder.glob("*"):
            path.unlink()
    order = sorted(rungs, key=lambda bar: bar != LIBRARY)
    for place, bar in enumerate(order):
        done = path_of(bar, folder).exists()
        if not done:
            given = [*sys.argv[1:], "--bar", str(rungs.index(bar)), "--folder", str(folder)]
            if subprocess.run([sys.executable, __file__, *given], check=False).returncode:
                raise UserError(f"The bar '{bar.name}' failed: fix what it says; the same command continues from here.")
            if scratch_folder(args) != folder:
                raise UserError("The code was changed while it was measured: run the same command again.")
        seconds = json.loads(path_of(bar, folder).read_text())["seconds"]
        console.print(f"{place + 1} of {len(order)}  {bar.name}: {seconds:,.1f} s" + ", kept" * done, highlight=False)
    return [json.loads(path_of(bar, folder).read_text()) for bar in rungs]


def report(results: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> None:
    """Write the table and the plot, and print the table."""
    model = chosen_model(args)
    parts, settings = part_flops(model), model.settings
    table = markdown(HEAD, list(rows_of(results, parts)))
    share = f"{results[0]['measured_share']:.1%}"
    size = load(model, "meta").image_size
    page = _PAGE.format(
        model=model.name,
        table=table,
        points=args.points,
        targets=args.targets,
        restarts=settings.restarts,
        steps=settings.steps,
        crops=settings.transfer_crops,
        size=size,
        machine=", ".join(f"{name} {value}" for name, value in results[0]["machine"].items()) + ".",
        sampled=f"* {share} of the work was done, and its seconds and FLOPs multiplied." if args.sample else "",
    )
    name = f"waterfall-{model.name}" + (f"-{model.image_size}" if model.image_size else "")
    asked = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items() if key != "out"}
    plain = {"arguments": asked, "settings": asdict(settings), "parts": asdict(parts), "bars": list(results)}
    save(name, args.out, plain, page)
    figure = plot(results, parts, f"{model.name}, {results[0]['machine']['device']}")
    write_whole(args.out / f"{name}.png", lambda path: figure.savefig(path, dpi=130, format="png"))
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Read the command line and run all bars, or the one bar that this process is for."""
    args = parse()
    rungs = ladder(args.precision)
    if args.bar is None:
        report(run_bars(rungs, args, Console()), args)
    else:
        bar = rungs[args.bar]
        write_whole(path_of(bar, args.folder), json.dumps(measure_bar(bar, args, args.folder)))


if __name__ == "__main__":
    command(main)
