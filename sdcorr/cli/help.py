"""What `--help` says of the commands whose settings are composed from configs/: what they do, examples, choices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sdcorr.cli.configs import CONFIGS, choices, groups

_EVALUATION = """\
usage: sdcorr eval [group=choice ...] [key=value ...] [--multirun] [--cfg job]

Predict, save, score: finds the annotated points of a data set's pairs, keeps what was found in a run folder, and prints
PCK with 95 % intervals beside other methods on the same pairs. The run folder's path is the last line that is printed;
its report.html shows everything. A run that was stopped goes on where it was: give the same command again.

examples:
  sdcorr eval                                                 28 pairs of drawings; minutes on two CPU cores
  sdcorr eval dataset=spair dataset.root=FOLDER limit=10      ten pairs of SPair-71k; photographs bring model=sd14
  sdcorr eval --multirun method.restarts=1,5                  two runs, one after the other
"""
_EVALUATION_SETTINGS = {
    "dataset.root=FOLDER": "where a data set is, if it is not in data/",
    "dataset.split=SPLIT": "which part of it; the toybox has demo, val and test",
    "model.path=PATH": "a folder in the diffusers layout, a single file or a hub id, of any family that model= names",
    "methods=[a,b]": "what is run; the first is compared with the others, e.g. [same_pixel] or [prompt,{restarts: 1}]",
    "method.restarts=N": "settings of the first of them; here: embeddings for each point",
    "limit=N": "the first N pairs of an even spread over the categories: for a first look",
    "run_dir=FOLDER": "of the run; by default below outputs/, named by what decides it",
    "protocol=NAME": "how it is scored; `sdcorr score` can do that later, under all of them",
    "logger=none": "no run of Weights & Biases",
}
_TRANSFER = """\
usage: sdcorr train source=PICTURE points=[[X,Y],...] target=PICTURE [group=choice ...] [key=value ...]

Find points of one picture in others. `sdcorr match` does the same and takes file names as they are; here, names with
spaces, commas, brackets and the like need quotes within quotes.

examples:
  sdcorr train source=a.jpg points='[[120,80],[40,200]]' target=b.jpg model=sd14
  sdcorr train source='"a (1).jpg"' points='[[120,80]]' target='["b.jpg","c, too.jpg"]' run_dir=outputs/cats
  sdcorr train task=student --help                            the other task: train a network from pseudo-labels
"""
_STUDENT = """\
usage: sdcorr train task=student data=FOLDER [group=choice ...] [key=value ...]

Train a small network from pseudo-labels, so that points are found at once: one pass a picture, no optimization. A run
that was stopped goes on where it was: give the same command again.

examples:
  sdcorr train task=student data=labels                                a small network of its own, for drawings
  sdcorr train task=student data=labels run_dir=outputs/mine student.learning.epochs=100
  sdcorr eval methods=[student] method.student=outputs/mine            what it has learned
"""
_STUDENT_SETTINGS = {
    "data=FOLDER": "labels, as `sdcorr label` writes them",
    "run_dir=FOLDER": "of the student: config.json, model.safetensors, checkpoints/",
    "start=FOLDER": "a student of the same network to begin from, with other labels for instance",
    "precision=bf16-mixed": "half the time on a CPU or GPU that multiplies in bf16",
    "workers=N": "processes that read pictures",
    "logger=none": "no run of Weights & Biases",
}
MATCH = """\
Find points of one picture in others. Prints each match with its confidence, and writes points.json (the matches, in
pixels of the pictures as you see them), matches.png (to look at) and embeddings.safetensors into a folder.

examples:
  sdcorr match a.jpg b.jpg --points 120,80 40,200 model=sd14
  sdcorr match a.jpg b.jpg c.jpg --points 120,80 --out outputs/cats model=sd14 method=read_once
"""
MATCH_SETTINGS = {
    "model=sd14": "Stable Diffusion 1.4, which photographs need; the default knows nothing but drawings",
    "method=read_once": "much faster, a little less accurate",
    "method.consensus=NAME": "left or right, by the whole pictures: dense, or with their mirror images dense_flip",
    "method.refine=pixels": "where exactly, by the pictures' own pixels",
    "model.path=PATH": "a folder in the diffusers layout, a single file or a hub id, of any family that model= names",
    "method.restarts=N": "embeddings for each point; fewer are faster, more are better",
    "embeddings=null": "keep no embeddings, by which the same points need no optimization for other targets",
    "logger=wandb": "log the optimization to Weights & Biases",
}
APP = """\
Serves a page on which you click points of one picture and see their matches in another, with the attention maps behind
them. Only this machine reaches it unless you give --host; there is no password.

examples:
  sdcorr app                                  at http://127.0.0.1:7860, with examples that the small model knows
  sdcorr app model=sd14 --port 8000 --open    Stable Diffusion 1.4, for photographs
"""
APP_GROUPS = ("method", "model")
APP_SETTINGS = {
    **{setting: what for setting, what in MATCH_SETTINGS.items() if setting.startswith(APP_GROUPS)},
    "calibration=FILE": "of `sdcorr calibrate`: how likely a match is right, and where it knows that, there at all",
}
INDEX = """\
Reads a folder of pictures once, and keeps on disk what points are found by. Give the same command again to bring the
index up to date or to go on after a stop: what was read is not read again, a picture that has changed is, and one that
is gone is forgotten. Needs pip install 'sdcorr[search]'.

examples:
  sdcorr index pictures                                   by the toybox's student, which knows only drawings
  sdcorr index pictures method.student=outputs/mine       by a student of your own
  sdcorr index pictures method=dinov2                     by any method that compares features
"""
INDEX_SETTINGS = {
    "method=dinov2": "what reads the pictures; the same reads those that are searched for",
    "method.student=FOLDER": "a student, as `train.py task=student` writes one",
}
SEARCH = """\
Finds a point of a picture in the pictures of an index: prints the likeliest ones with the place in each, and writes
hits.json and hits.png, a sheet to look at.

example:
  sdcorr search pictures mine.jpg --point 120,80 --most 20 --out outputs/ear
"""
_LABELING = """\
usage: sdcorr label dataset=NAME [group=choice ...] [key=value ...]

Finds correspondences in pictures alone, and writes those that pass its filters as a data set: Parquet files with the
labels and the pictures, a datasheet, a sheet of random samples. Interrupted, it goes on where it was.

examples:
  sdcorr label dataset=toybox dataset.split=train out=outputs/toybox-labels
  sdcorr label dataset=pictures dataset.root=FOLDER model=sd14 targets=20
"""
_LABELING_SETTINGS = {
    "out=FOLDER": "where the labels go",
    "points=N": "points that are chosen in a source picture",
    "pictures=N": "pictures of each group; sources=N: those whose points are followed; targets=N: to how many",
    "filters.NAME=VALUE": "what is kept; null for no such filter",
    "export=[coco,tracks]": "also as key-points of COCO, as tracks through many pictures",
    "trainer=ddp": "several processes, as for eval",
}
_INSPECTION = """\
usage: sdcorr inspect dataset=NAME [dataset.root=FOLDER] [dataset.split=SPLIT] [key=value ...]

Counts what a data set on this disk holds: pairs, images, points, points outside their image, boxes, categories. What
differs from the published counts is marked.

examples:
  sdcorr inspect dataset=pfwillow
  sdcorr inspect dataset=spair dataset.split=val dataset.root=FOLDER
"""


def labeling() -> str:
    """Of `sdcorr label`."""
    return f"{_LABELING}\n{settings('label', _LABELING_SETTINGS)}"


def evaluation() -> str:
    """Of `sdcorr eval` and `python eval.py`."""
    return f"{_EVALUATION}\n{settings('eval', _EVALUATION_SETTINGS)}"


def transfer() -> str:
    """Of `sdcorr train` and `python train.py`."""
    return f"{_TRANSFER}\n{settings('train', MATCH_SETTINGS)}"


def student() -> str:
    """Of `sdcorr train task=student`."""
    return f"{_STUDENT}\n{settings('student', _STUDENT_SETTINGS)}"


def inspection() -> str:
    """Of `sdcorr inspect`."""
    names = ", ".join(choices("dataset"))
    return f"{_INSPECTION}\ndata sets: {names}\nThe settings of each, with their defaults: {CONFIGS / 'dataset'}\n"


def settings(config_name: str, useful: Mapping[str, str], shown: Collection[str] | None = None) -> str:
    """How a command is set: the groups with their choices, the settings that are used most, where all are.

    Args:
        config_name: `eval`, `train` or `student`.
        useful: settings as one would write them, and what each does.
        shown: the groups that matter to the command; by default all.
    """
    chosen = {group: default for group, default in groups(config_name).items() if shown is None or group in shown}
    lines = ["choices, each of which stands for a file of settings:"]
    lines += [f"  {group + '=':<12}{_named(choices(group, config_name), default)}" for group, default in chosen.items()]
    lines += ["", "settings that are used often; lists are written '[1,2]', and null means none:"]
    lines += [f"  {setting:<22}{what}" for setting, what in useful.items()]
    lines += ["", f"All settings and what they mean: {CONFIGS / config_name}.yaml, and the folders beside it."]
    return "\n".join(lines) + "\n"


def _named(names: Sequence[str], default: str | None) -> str:
    return ", ".join(f"{name} (default)" if name == default else name for name in names)
