"""Every command that README and the docs show, read by the program: what it names is there.

Commands on a run are carried out on a small one. Those that take hours, photographs or a server are read as far as
their first piece of work: their settings are composed, or their arguments parsed.
"""

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from sdcorr.cli import app, calibrate, imports, index, prepare, search, transfer
from sdcorr.cli.configs import choices
from sdcorr.cli.main import main
from sdcorr.cli.match import is_setting
from tests import models

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
ELSEWHERE = {  # what each is run by instead
    "source": "a shell",
    "pre-commit": "CI, as ruff and tests/test_habits.py",
    "sbatch": "a cluster",
    "wandb": "tests/test_sweeps.py and tests/tracking, without an account",
}


def documented() -> Iterator[tuple[str, str]]:
    """The page and the line of every command."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text().replace("\\\n", " ")):
            for line in map(str.strip, block.splitlines()):
                if line and not line.startswith("#"):
                    yield page.name, line


ALL = list(documented())


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the pages' placeholders stand for."""
    folder = tmp_path_factory.mktemp("documented")
    settings = ["limit=2", "maps=0", "logger=none", "bootstrap=10"]
    for name, methods in (("a", "same_pixel,unet_features"), ("b", "image_patches")):
        assert main(["eval", f"methods=[{methods}]", f"run_dir={folder / name}", *settings]) == 0
    runs = {"RUN": folder / "a", "RUN_A": folder / "a", "RUN_B": folder / "b"}
    return runs | {"FOLDER": models.save_family(folder / "model", "sd14"), "DIR": folder}


@pytest.mark.parametrize(
    ("page", "line"), ALL, ids=[f"{page}: {shlex.join(shlex.split(line, True))}" for page, line in ALL]
)
def test_is_understood(
    page: str, line: str, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program, *words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words  # where the shell writes what is printed
    if "redo" in words:  # which takes away what other commands need
        places = places | {"RUN": Path(shutil.copytree(places["RUN"], tmp_path / "copy"))}
    words = [re.sub(r"\b(RUN|RUN_A|RUN_B|FOLDER|DIR)$", lambda name: str(places[name[1]]), word) for word in words]
    monkeypatch.chdir(tmp_path)
    if program == "make":
        assert set(words) <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    elif program in ("python", "torchrun"):
        of_a_script([word for word in words if not word.startswith("--nproc")])
    elif program == "sdcorr":
        of_sdcorr(words, monkeypatch)
    else:
        assert program in ELSEWHERE


def of_a_script(words: Sequence[str]) -> None:
    if words[0] == "eval.py":
        assert main(["eval", *words[1:], "--cfg"]) == 0
        return
    if words[0] == "-m":
        spec = find_spec(words[1])
        assert spec is not None and spec.origin is not None
        source = Path(spec.origin)
    else:
        source = ROOT / words[0]
    options = [word for word in words[1:] if word.startswith("--")]
    assert all(f'"{option}"' in source.read_text() for option in options)


def of_sdcorr(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, *rest = words
    if name in ("eval", "inspect", "label"):
        assert main([name, *rest, "--cfg"]) == 0
    elif name == "train":
        assert main([*words, "--cfg"]) == 0
    elif name == "match":
        asked = []
        monkeypatch.setattr(transfer, "main", lambda words: asked.extend(words) or 0)
        assert main(words) == 0
        monkeypatch.undo()
        assert main(["train", *asked, "--cfg"]) == 0
    elif name == "app":
        assert main(["train", *app._parser().parse_intermixed_args(rest).settings, "--cfg"]) == 0
    elif name == "prepare" and rest[0] != "--list":
        assert prepare._parser().parse_args(rest).name in prepare.SOURCES
    elif name == "calibrate":  # the small run has too few points
        assert calibrate._parser().parse_args(rest).run
    elif name in ("index", "search"):  # carried out in tests/retrieval
        of = {"index": index, "search": search}[name]
        assert of._parser().parse_args([word for word in rest if not is_setting(word)]).pictures
        assert main(["eval", "method=student", *filter(is_setting, rest), "--cfg"]) == 0
    elif name == "import":
        assert imports._parser().parse_args(rest).dataset in choices("dataset")
    else:  # carried out
        assert main(words) == 0
