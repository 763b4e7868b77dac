"""Stable Diffusion's true shape on a CPU, once to the end: `python benchmarks/true_shape.py --root PF-WILLOW`.

A folder as the hub has it, with random weights, is made where there is none yet; then `python eval.py` evaluates two
pairs of PF-Willow with it, of one point each, in every precision that is asked for, each in a process of its own. Time
and memory do not depend on the weights' values; the scores of such a run mean nothing.
"""

import argparse
import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from diffusers.utils import logging
from measure import RESULTS, SCRATCH, command, machine, markdown, save

from sdcorr.datasets.pfwillow import PFWillow
from sdcorr.datasets.subset import Part
from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.structures import CLIP_TOKENS, SD_SCHEDULE, SD_VAE, STRUCTURES
from sdcorr.errors import UserError

EVAL = Path(__file__).parent.parent / "eval.py"
SETTINGS = (
    *("methods=[prompt]", "maps=0", "method.steps=2", "method.restarts=1", "method.transfer_crops=1"),
    "method.queries_per_batch=1",
)


@dataclass(frozen=True)
class Run:
    """One evaluation, from the command to its report."""

    precision: str
    wall_minutes: float
    cpu_minutes: float  # of all threads together
    peak_bytes: int  # greatest size of the resident set
    said: list[str]  # what it said of the model and of the work ahead


def save_sd14(folder: Path) -> None:
    """Write a folder in Stable Diffusion 1.4's true shape with random weights in half precision, 1.7 GB."""
    logging.set_verbosity_error()
    torch.manual_seed(0)
    family = FAMILIES["sd14"]
    unet = UNet2DConditionModel(**{**STRUCTURES[family.structure], "sample_size": family.side // 8})
    unet.half().save_pretrained(folder / "unet")
    AutoencoderKL(**SD_VAE).half().save_pretrained(folder / "vae")
    PNDMScheduler(**SD_SCHEDULE, skip_prk_steps=True).save_pretrained(folder / "scheduler")
    for name, content in {
        "text_encoder/config.json": {"max_position_embeddings": CLIP_TOKENS},
        "tokenizer/tokenizer_config.json": {"model_max_length": CLIP_TOKENS},
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def write_pairs(root: Path, table: Path) -> None:
    """Write a table of two pairs of PF-Willow, of different categories, with the first of the points of each."""
    whole = PFWillow(str(root))
    pairs = [
        {
            "source": str(whole.path(pair.source).relative_to(root)),
            "target": str(whole.path(pair.target).relative_to(root)),
            "points": pair.source_points[:1].tolist(),
            "target_points": pair.target_points[:1].tolist(),
            "category": pair.category,
        }
        for pair in Part(whole, 2).pairs
    ]
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps(pairs))


def evaluate(folder: Path, root: Path, precision: str, out: Path) -> Run:
    """Evaluate, in a process of its own, and measure that.

    Args:
        folder: of the model.
        root: of PF-Willow.
        precision: of the network.
        out: folder for the run, for what it says, and for what was measured, which is not measured again.

    Raises:
        UserError: if it does not end well.
    """
    run_dir, log, measured = out / f"run-{precision}", out / f"{precision}.log", out / f"{precision}.json"
    if measured.exists():
        return Run(**json.loads(measured.read_text()))
    if run_dir.exists():
        raise UserError(f"{run_dir} was interrupted, so that its time cannot be measured: delete it.")
    table = out / "pairs.json"
    write_pairs(root, table)
    words = ["dataset=folder", f"dataset.root={root}", f"dataset.pairs={table.resolve()}", f"model.path={folder}"]
    words += [f"model.precision={precision}", "logger=none", "embeddings=null", f"run_dir={run_dir}", *SETTINGS]
    began = os.times()
    with log.open("w") as file:
        files = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
        child = os.posix_spawn(sys.executable, [sys.executable, str(EVAL), *words], os.environ, file_actions=files)
        _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise UserError(f"The evaluation failed: {log} says why.")
    said = [
        line
        for line in log.read_text().replace(str(folder), "FOLDER").splitlines()
        if re.match(r"(.*: Stable Diffusion|ahead)", line)
    ]
    wall, cpu = os.times().elapsed - began.elapsed, used.ru_utime + used.ru_stime
    run = Run(precision, wall / 60, cpu / 60, used.ru_maxrss * 1024, said)
    measured.write_text(json.dumps(asdict(run)))
    return run


_PAGE = """# Stable Diffusion 1.4's true shape on a CPU

`python eval.py dataset=folder model.path=FOLDER {settings}`, random
weights in the true shape, to the table and the report.
{threads} thread(s) of {device}, torch {torch}. The machine was shared: CPU minutes say what was computed.

{table}

Two pairs of PF-Willow with one point each: 4 steps, 2 forward passes at transfer, 6 crops through the VAE.
"""


def main() -> None:
    """Read the command line, run, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of PF-Willow")
    parser.add_argument("--model", type=Path, default=SCRATCH / "sd14", help="folder of the model; made if not there")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], help="fp32, bf16, auto")
    parser.add_argument("--scratch", type=Path, default=SCRATCH / "true-shape", help="folder for the runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()
    if not args.model.exists():
        save_sd14(args.model)
    runs = [evaluate(args.model, args.root, precision, args.scratch) for precision in args.precisions]
    facts = machine(torch.device("cpu"))
    rows = [
        [run.precision, f"{run.wall_minutes:.1f}", f"{run.cpu_minutes:.1f}", f"{run.peak_bytes / 2**30:.1f}"]
        for run in runs
    ]
    table = markdown(["precision", "wall, min", "CPU, min", "peak memory, GiB"], rows)
    page = _PAGE.format(settings=" ".join(SETTINGS), table=table, **facts)
    plain = {"machine": facts, "settings": SETTINGS, "runs": [asdict(run) for run in runs]}
    save("true-shape-sd14", args.out, plain, page)
    print(page)


if __name__ == "__main__":
    command(main)
