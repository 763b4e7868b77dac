"""Hostile tables, words and consoles: every case ends with its exit code and one sentence, and nothing is lost."""

import json
import os
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from sdcorr.cli import evaluate
from sdcorr.cli.main import main

QUICK = ("methods=[same_pixel]", "logger=none", "bootstrap=0", "pictures=0", "embeddings=null")
HEADER = "source,target,x,y,target_x,target_y,name,category,visible\n"
ROW = "a.png,b.png,5,6,7,8,nose,cat,1\n"


class Result(SimpleNamespace):
    """What a command ended with."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture) -> Call:
    """Calls the command `sdcorr` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = main(words)
        return Result(code=code, **capsys.readouterr()._asdict())

    return run


def folder(root: Path, table: str = HEADER + ROW, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """A folder of own pictures with their table."""
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 32), "white").save(root / name)
    (root / "pairs.csv").write_text(table, encoding="utf-8")
    return root


def content(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def one_sentence(result: Result, *words: str) -> None:
    """Exit code 2, and one line on stderr that is not about the insides of a library."""
    assert result.code == 2, result.out + result.err
    (line,) = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    for inside in ("Traceback", "hydra.cc", "Lexer", "object_type", "NoneType", "unexpected keyword"):
        assert inside not in line


MISTAKES = {
    "a setting that is not there": (["+model.foo=1"], ["'model.foo'", "layers"]),
    "at the top": (["+foo=1"], ["'foo'", "run_dir"]),
    "of the data set": (["+dataset.foo=1"], ["'dataset.foo'", "root"]),
    "of a method without settings": (["+method.foo=1"], ["'foo' of same_pixel", "none"]),
    "of the logger": (["+logger.foo=1"], ["'logger.foo'"]),
    "of the trainer": (["++trainer.foo=1"], ["'trainer.foo'", "devices"]),
    "in no section": (["+report.pairs.foo=1"], ["inside report.pairs, which is a value"]),
    "a setting taken away": (["~model.path"], ["~model.path", "model.path=VALUE"]),
    "a section taken away": (["~dataset"], ["~dataset", "dataset=VALUE"]),
    "no model": (["model=null"], ["model=null", "sd14"]),
    "no logger": (["logger=null"], ["logger=null", "none"]),
    "several models": (["model=[sd14,sd15]"], ["model=[sd14,sd15]", "one of these"]),
    "several models without a sweep": (["model=sd14,sd15"], ["--multirun"]),
    "a number for a group": (["trainer=7"], ["trainer=7", "ddp"]),
    "a value for a section": (["report=1"], ["report=1", "report.pairs=VALUE"]),
    "no value": (["method.steps"], ["method.steps is not key=value"]),
    "no key": (["@"], ["@ is not key=value"]),
    "half a bracket": (["method.steps=("], ["method.steps=(", "both kinds of quotes"]),
    "letters beyond ASCII": (["methods=[same_pixel,{name: 猫}]"], ["both kinds of quotes"]),
    "a name that leaves its folder": (["methods=[{method: same_pixel, name: '../x'}]"], ["'../x'", "NAME"]),
    "a name that is markup": (["methods=[{method: same_pixel, name: '[/bold]'}]"], ["'[/bold]'", "NAME"]),
    "a name with a space": (["methods=[{method: same_pixel, name: 'a b'}]"], ["'a b'", "NAME"]),
    "a hidden name": (["methods=[{method: same_pixel, name: .x}]"], ["'.x'", "NAME"]),
    "a name too long": ([f"methods=[{{method: same_pixel, name: {201 * 'a'}}}]"], ["at most 200"]),
    "a model that is a number": (["methods=[same_pixel,{name: z, model: 3}]"], ["by key", "not 3"]),
    "a list in the list": (["methods=[[same_pixel]]"], ["['same_pixel']", "not a method"]),
    "patches of one size": (["methods=[image_patches]", "method.sizes=3"], ["sizes=3", "[7, 13, 25]"]),
    "a network that is a number": (["methods=[vision]", "method.network=7"], ["method.network"]),
    "one mean": (["methods=[vision]", "method.network=x", "method.mean=3"], ["mean=3", "three numbers"]),
    "layers in no list": (["methods=[vision]", "method.network=x", "method.layers=3"], ["layers=3", "[-1]"]),
    "a network of nobody": (
        ["methods=[vision]", "method.network=nobody/typo"],
        ["'nobody/typo' is not on"],
    ),
    "parts in no list": (["methods=[fused]", "method.parts=3"], ["parts=3", "[prompt,unet_features]"]),
    "a comma": (["run_dir=a,b"], ["""'run_dir="a,b"'"""]),
    "a reference to nothing": (["run_dir=${x}"], ["""'run_dir="\\${x}"'"""]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_command_line(name: str, tmp_path: Path, call: Call) -> None:
    words, said = MISTAKES[name]
    folder(tmp_path / "own")
    before = content(tmp_path)
    one_sentence(call("eval", "dataset=folder", "dataset.root=own", *QUICK, *words), *said)
    assert content(tmp_path) == before  # nothing is half-written


NFC, NFD = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
TABLES = {  # rows, pictures, and how many points are matched
    "places of points that are not visible": (
        "a.png,b.png,0,0,,,n,cat,0\na.png,b.png,0,0,,,m,cat,0\na.png,b.png,-1,nan,NaN,,o,cat,0\n" + ROW,
        ("a.png", "b.png"),
        1,
    ),
    "visible of COCO and of pandas": (
        "a.png,b.png,1,2,3,4,n,cat,2\na.png,b.png,3,2,3,4,m,cat,1.0\na.png,b.png,5,2,3,4,o,cat,0.0\n",
        ("a.png", "b.png"),
        2,
    ),
    "a name composed otherwise than the file's": (f"{NFC},b.png,5,6,7,8,n,cat,1\n", (NFD, "b.png"), 1),
    "the path of another system": ("sub\\a.png,b.png,5,6,7,8,n,cat,1\n", ("sub/a.png", "b.png"), 1),
    "one pair by two spellings": (ROW + "./a.png,sub/../b.png,9,6,7,8,ear,cat,1\n", ("a.png", "b.png", "sub/c.png"), 2),
    "a picture and itself": ("a.png,a.png,5,6,7,8,n,cat,1\n", ("a.png",), 1),
    "no truth": ("a.png,b.png,5,6,,,n,cat,1\n", ("a.png", "b.png"), 1),
    "nothing visible": ("a.png,b.png,5,6,7,8,n,cat,0\n", ("a.png", "b.png"), 0),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_odd_and_right(name: str, tmp_path: Path, call: Call) -> None:
    rows, pictures, points = TABLES[name]
    (tmp_path / "own" / "sub").mkdir(parents=True)
    folder(tmp_path / "own", HEADER + rows, pictures)
    result = call("eval", "dataset=folder", "dataset.root=own", *QUICK, "run_dir=run")
    assert result.code == 0, result.err
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "run/predictions/same_pixel").glob("*.json"))
    (prediction,) = record["predictions"]
    assert len(prediction["predicted"]) == points
    assert (tmp_path / "run/report.html").exists()


WORDS = [
    "[/bold]",
    "[red]x",
    "cost$1_$2{.png",
    "$",
    "猫",
    "かな",
    "é",
    "<b>&",
    "{task}",
    "%s",
    "\\[x]",
    "nan",
    300 * "a",
]


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which categories, points and pictures are called by every one of WORDS."""
    root = tmp_path_factory.mktemp("worded")
    files = [f"{word[:20].replace('/', '')}.png" for word in WORDS]
    rows = [
        f'"{file}",b.png,5,{6 + side},7,8,"{word}{side}","{word}",1\n'
        for file, word in zip(files, WORDS, strict=True)
        for side in (0, 1)
    ]
    return folder(root, HEADER + "".join(rows), (*files, "b.png"))


def test_words_of_users_are_words(worded: Path, tmp_path: Path, call: Call) -> None:
    result = call("eval", "dataset=folder", f"dataset.root={worded}", *QUICK[:3], "pictures=2", "run_dir=run")
    assert result.code == 0, result.err
    assert not result.err  # no complaint about letters that a font lacks
    run = tmp_path / "run"
    assert len(list((run / "figures").glob("*.png"))) == 4
    summary, page = json.loads((run / "summary.json").read_text()), (run / "report.html").read_text()
    for word in WORDS:
        assert f"pck@0.10/per_point/category/{word}" in summary
        assert json.dumps(word, ensure_ascii=False)[1:-1].replace("\\\\", "\\") in page or "&" in word or "<" in word
    for word in WORDS[:-1]:
        assert word in result.out
    assert call("score", "run").code == 0
    assert call("compare", "run", "run", "--other-method", "x").code == 2
    assert call("report", "run", "--bootstrap", "0").code == 0
    assert "data:image/webp" in (run / "report.html").read_text()  # whose pictures it finds by itself


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp932"])
def test_a_console_of_another_encoding(
    encoding: str, worded: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "console").open("wb") as file:
        console = TextIOWrapper(file, encoding=encoding, errors="strict")
        monkeypatch.setattr(sys, "stdout", console)
        words = ("eval", "dataset=folder", f"dataset.root={worded}", *QUICK, "run_dir=run", "report.pairs=0")
        assert main(words) == 0
        console.flush()
        said = (tmp_path / "console").read_text(encoding=encoding)
    assert "[/bold]" in said and said.rstrip().endswith("run")
    assert ("猫" in said) == (encoding == "cp932") and ("é" in said) == (encoding in ("cp1252", "latin-1"))
    assert (tmp_path / "run/report.html").exists()


def test_the_report_and_wandb_come_before_what_is_printed(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    run = SimpleNamespace(finish=lambda: happened.append("W&B is finished"))
    monkeypatch.setattr("sdcorr.tracking.make_logger", lambda *_, **__: SimpleNamespace(experiment=run))
    for name in ("wandb.log_scores", "wandb_pairs.log_pairs"):
        monkeypatch.setattr(f"sdcorr.report.{name}", lambda *_: None)

    def show(*_: object) -> None:
        happened.append("tables are printed")
        assert (tmp_path / "run/report.html").exists() and (tmp_path / "run/summary.json").exists()

    monkeypatch.setattr(evaluate, "show", show)
    folder(tmp_path / "own")
    words = [word for word in QUICK if word != "logger=none"]
    assert call("eval", "dataset=folder", "dataset.root=own", *words, "run_dir=run").code == 0
    assert happened == ["W&B is finished", "tables are printed"]


def test_a_name_that_is_not_in_the_system_s_encoding(call: Call) -> None:
    word = os.fsdecode(b"run_dir=b\xff")
    one_sentence(call("eval", word), "run_dir=b\\udcff has bytes that are no letters", "PYTHONUTF8=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "pipe", "code"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0"}, "| cat", 0),
        ({"PYTHONIOENCODING": "cp1252"}, "| head -n 1", 141),
        ({}, ">&-", 0),
    ],
)
def test_a_real_console(environment: dict[str, str], pipe: str, code: int, tmp_path: Path) -> None:
    folder(tmp_path / "own", HEADER + "a.png,b.png,5,6,7,8,かな,猫 [/bold] é,1\n")
    command = shlex.join([sys.executable, "-m", "sdcorr", "eval", "dataset=folder", "dataset.root=own", *QUICK])
    ended = subprocess.run(
        ["bash", "-c", f"{command} run_dir=run {pipe}; echo ${{PIPESTATUS[0]}} >&2"],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    assert ended.stderr.decode().strip() == str(code)  # and nothing else is said there
    assert (tmp_path / "run/report.html").exists()


def test_what_systems_put_beside_records_is_none(tmp_path: Path, call: Call) -> None:
    folder(tmp_path / "own")
    words = ("eval", "dataset=folder", "dataset.root=own", *QUICK, "run_dir=run")
    assert call(*words).code == 0
    (tmp_path / "run/predictions/same_pixel/._a.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "run/predictions/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert call("score", "run").code == call("report", "run").code == call(*words).code == 0
