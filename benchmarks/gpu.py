"""All measurements on a GPU in one command: `python benchmarks/gpu.py [--model sd14|golden|toybox|FOLDER]`.

Measures the rate of a large bf16 matrix product; then the optimization loop as a user runs it, in every combination of
precision, memory layout and compilation; then, with the fastest one, `run` (what an evaluation uses) with the method's
own number of steps, and the transfer; and what a few steps more take in `run` and in `fit`, under a Lightning Trainer
with its loader and a logger, beside the network alone. Prints the best flags, points per hour, the fraction of the
matrix rate that the counted FLOPs reach (bar: 40 %), the fraction of `fit` that is not the network (bar: under 3 %),
and hours for PF-Willow and SPair-71k. Results are saved after every measurement.

`--overhead` measures only what happens besides the network, with a stand-in for it; that works on a CPU.
"""

import argparse
import gc
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from flops import CASES, H200_FLOPS, SHARE, PartFlops, part_flops
from lightning import Callback
from measure import RESULTS, Work, command, machine, markdown, measured, save, seconds_of, watched
from overhead import LOGGERS, bound_seconds, network_seconds, standin_seconds, watchers
from problem import DATASET, SOURCE, make_unit, picture
from rich.console import Console
from rich.progress import track
from shapes import Model, load, model_named

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.precision import Precision
from sdcorr.errors import UserError
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher

OVERHEAD_BAR = 0.03
_OTHER = "target-1"  # the warm-up uses another picture, so that no latent is cached before the timed run


@dataclass(frozen=True)
class Flags:
    """How the frozen network computes."""

    precision: Precision
    channels_last: bool
    compile: bool

    def __str__(self) -> str:
        """Write them as `eval.py` takes them."""
        return " ".join(f"model.{name}={str(value).lower()}" for name, value in asdict(self).items())


def matrix_rate(device: torch.device, size: int, seconds: float = 2.0) -> float:
    """Measure the FLOP per second of a bf16 matrix product, size x size, for about `seconds`."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(2):  # the first one wakes the device
        once = seconds_of(lambda: a @ b, device)
    return 2 * size**3 / seconds_of(lambda: a @ b, device, repeats=max(3, int(seconds / once)))


def optimizer(
    backbone: FrozenDiffusion, settings: PromptSettings, points: int, parts: PartFlops, callbacks: Sequence[Callback]
) -> Callable[[], dict[str, float | None]]:
    """Make a function that optimizes a source's points with `FastMatcher.optimize` and returns what it took.

    The points are first optimized on another picture, for the two steps that wake the device and compile the model. The
    first call of the function includes the VAE's work; later calls find all latents in the cache.
    """
    matcher = FastMatcher(backbone, settings, DATASET)
    places = make_unit(points, 1).points
    warm = FastMatcher(backbone, replace(settings, steps=min(2, settings.steps)), DATASET)
    warm.optimize(picture(_OTHER), places, _OTHER, callbacks)

    def optimize() -> dict[str, float | None]:
        work = Work()
        with watched(backbone, work), measured(backbone.device) as taken:
            matcher.optimize(picture(SOURCE), places, SOURCE, callbacks)
        flops = parts.total(work["steps"], 0, work["encodes"])
        return {"seconds": taken.seconds, "peak_bytes": taken.peak_bytes, "flops": flops, "rate": flops / taken.seconds}

    return optimize


def try_flags(model: Model, flags: Flags, args: argparse.Namespace, parts: PartFlops) -> dict[str, Any]:
    """Time the optimization with some flags; returns what it took, or why it failed."""
    settings = replace(model.settings, steps=args.sweep_steps)
    try:
        backbone = load(model, args.device, **asdict(flags))
        with watchers(args.logger) as ways:
            result = optimizer(backbone, settings, args.points, parts, ways["run"])()
    except (UserError, RuntimeError) as error:  # no compiler, no memory: the others can still be measured
        result = {"failed": str(error).strip().splitlines()[0]}
    finally:
        backbone = None
        _tidy()
    return asdict(flags) | result


def measure_best(model: Model, flags: Flags, args: argparse.Namespace, parts: PartFlops) -> dict[str, Any]:
    """Measure everything for one combination of flags: a source with all steps once, and what is compared with few."""
    backbone = load(model, args.device, **asdict(flags))
    few = replace(model.settings, steps=min(args.sweep_steps, model.settings.steps))
    more = replace(few, steps=2 * few.steps)
    with watchers(args.logger) as ways:
        whole = optimizer(backbone, model.settings, args.points, parts, ways["run"])()
        taken = {name: _added(backbone, few, more, args.points, parts, way) for name, way in ways.items()}
    matcher = FastMatcher(backbone, few, DATASET)
    unit = make_unit(args.points, 1)
    module, crops = matcher.problem(picture(SOURCE), unit.points, SOURCE)
    network = few.steps * network_seconds(module, crops, repeats=min(10, few.steps))
    found = module.result().unflatten(0, (args.points, -1))
    matcher.transfer(picture(_OTHER), found, unit.points, SOURCE, _OTHER)
    target = unit.targets[0].pair.target
    transfer = seconds_of(
        lambda: matcher.transfer(picture(target), found, unit.points, SOURCE, target), backbone.device
    )
    return {
        "steps": few.steps,  # of all but `run`
        "run": whole,
        "run, added steps": taken["run"],
        "fit, added steps": taken["fit"],
        "network_seconds": network,
        "overhead": {name: 1 - network / added["seconds"] for name, added in taken.items()},
        "transfer_seconds": transfer,
        "points_an_hour": 3600 * args.points / whole["seconds"],
        "hours": {
            case.name: case.total * (whole["seconds"] / case.targets + transfer) / args.points / 3600 for case in CASES
        },
    }


def _added(
    backbone: FrozenDiffusion,
    few: PromptSettings,
    more: PromptSettings,
    points: int,
    parts: PartFlops,
    callbacks: Sequence[Callback],
) -> dict[str, float]:
    """What an optimization of `more` steps takes beyond one of `few`, with all latents there: no start, no VAE."""
    longer, shorter = (optimizer(backbone, settings, points, parts, callbacks) for settings in (more, few))
    longer(), shorter()  # whose latents stay in the cache
    long, short = longer(), shorter()
    seconds, flops = (float(long[key]) - float(short[key]) for key in ("seconds", "flops"))
    return {"seconds": seconds, "flops": flops, "rate": flops / seconds}


def _tidy() -> None:
    """Free the memory of a model, and forget what was compiled for it."""
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def sweep_page(trials: Sequence[Mapping[str, Any]], rate: float, args: argparse.Namespace) -> str:
    """Write the table of all combinations."""
    rows = []
    for trial in trials:
        flags = [str(trial["precision"]), *("yes" if trial[name] else "no" for name in ("channels_last", "compile"))]
        if "failed" in trial:
            rows.append([*flags, trial["failed"], "", "", ""])
            continue
        each = 1000 * trial["seconds"] / (args.sweep_steps * args.points * args.restarts)
        memory = f"{trial['peak_bytes'] / 2**30:.1f}" if trial["peak_bytes"] is not None else "?"
        rows.append([*flags, f"{each:.2f}", f"{trial['rate'] / 1e12:.2f}", f"{trial['rate'] / rate:.1%}", memory])
    head = ("precision", "channels_last", "compile", "ms per query and step", "TFLOP/s", "of matrix rate", "peak GB")
    return markdown(head, rows)


def best_page(best: Mapping[str, Any], flags: Flags, rate: float) -> str:
    """Describe the best combination."""
    reached = best["run"]["rate"] / rate
    beside = best["overhead"]["fit"]
    lines = [
        f"Best flags: `{flags}`.",
        (
            f"- run: {best['run']['rate'] / 1e12:.2f} TFLOP/s, {reached:.1%} of the matrix rate "
            f"(bar {SHARE:.0%}: {_verdict(reached >= SHARE)}); {best['points_an_hour']:,.0f} points per hour."
        ),
        (
            f"- fit under a Trainer with a logger: {best['fit, added steps']['rate'] / 1e12:.2f} TFLOP/s; "
            f"{beside:.1%} of it is not the network (bar {OVERHEAD_BAR:.0%}: {_verdict(beside < OVERHEAD_BAR)}); "
            f"of run, {best['overhead']['run']:.1%}."
        ),
        "- extrapolated, one device: "
        + ", ".join(f"{name} {hours:,.2f} hours" for name, hours in best["hours"].items())
        + " (each source point optimized once, then transferred; sources as benchmarks/flops.py describes them).",
    ]
    return "\n".join(lines)


def overhead_page(model: Model, parts: PartFlops, args: argparse.Namespace) -> tuple[dict[str, float], str]:
    """Measure what a step costs besides the network, and compare it with the network's own time on an H200."""
    seconds = standin_seconds(model.settings, args.points, torch.device(args.device), args.logger)
    bound = bound_seconds(parts, args.points * args.restarts)
    own = seconds["arithmetic"]
    rows = []
    for name in ("run", "fit"):
        beside = max(seconds[name] - own, 0.0)
        rows.append([name, *(f"{1000 * each:.2f}" for each in (seconds[name], own, beside)), f"{beside / bound:.1%}"])
    head = ("ms per step", "all but the network", "loss, gradient, Adam", "bookkeeping", "of the network's time")
    page = markdown(head, rows)
    page += f"\n\nA step of {args.points} points and {args.restarts} restarts takes the network at least "
    page += f"{1000 * bound:.0f} ms on an H200 ({SHARE:.0%} of {H200_FLOPS / 1e12:.0f} TFLOP/s). run: the loop of an "
    page += f"evaluation; fit: a Lightning Trainer with its loader and a logger. The bar is {OVERHEAD_BAR:.0%}."
    return seconds | {"bound": bound}, page


def _verdict(good: bool) -> str:
    return "reached" if good else "not reached"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sd14", help="sd14, golden, toybox or a folder")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--points", type=int, default=10, help="of the source image")
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of the optimization, if not the method's own")
    parser.add_argument("--crops", type=int, help="of a target, if not the method's own")
    parser.add_argument("--sweep-steps", type=int, default=16, help="steps while flags are compared")
    parser.add_argument("--precision", nargs="+", default=get_args(Precision), choices=get_args(Precision))
    parser.add_argument("--channels-last", nargs="+", default=("no", "yes"), choices=("no", "yes"))
    parser.add_argument("--compile", nargs="+", default=("no", "yes"), choices=("no", "yes"))
    parser.add_argument("--logger", default="csv", choices=LOGGERS)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices whose product is the yardstick")
    parser.add_argument("--overhead", action="store_true", help="measure only what happens besides the network")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line (or `arguments`), measure, and write the results."""
    args, console = parse(arguments), Console(soft_wrap=True, highlight=False, markup=False)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device here: give --device cpu, with --overhead or --model golden.")
    model = model_named(args.model)
    given = {"steps": args.steps, "transfer_crops": args.crops, "restarts": args.restarts}
    model = replace(model, settings=replace(model.settings, **{k: v for k, v in given.items() if v}))
    parts, facts = part_flops(model), machine(device)
    result: dict[str, Any] = {"model": model.name, "settings": asdict(model.settings), "machine": facts}
    title = f"# The optimization loop, {model.name}, {facts['device']}, torch {facts['torch']}"

    if args.overhead:
        result["overhead"], page = overhead_page(model, parts, args)
        save(f"overhead-{model.name}-{device.type}", args.out, result, f"{title}\n\n{page}\n")
        console.print(page)
        return

    result["matrix_rate"] = rate = matrix_rate(device, args.matrix)
    yardstick = f"bf16 matrix product of side {args.matrix}: {rate / 1e12:.2f} TFLOP/s."
    name, trials = f"gpu-{model.name}-{device.type}", result.setdefault("trials", [])
    layouts, compiles = ([choice == "yes" for choice in choices] for choices in (args.channels_last, args.compile))
    everything = [Flags(*each) for each in itertools.product(args.precision, layouts, compiles)]
    for flags in track(everything, "flags", console=Console(stderr=True)):
        trials.append(try_flags(model, flags, args, parts))
        table = sweep_page(trials, rate, args)
        save(name, args.out, result, f"{title}\n\n{yardstick}\n\n{table}\n")
    console.print(f"{yardstick}\n\n{table}\n")
    worked = [(trial["rate"], flags) for trial, flags in zip(trials, everything, strict=True) if "rate" in trial]
    if not worked:
        raise UserError("No combination of flags worked: the table above says why.")
    best = max(worked, key=lambda pair: pair[0])[1]
    result["best"] = asdict(best) | measure_best(model, best, args, parts)
    page = best_page(result["best"], best, rate)
    save(name, args.out, result, f"{title}\n\n{yardstick}\n\n{table}\n\n{page}\n")
    console.print(page)


if __name__ == "__main__":
    command(main)
