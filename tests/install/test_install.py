"""sdcorr as it is installed, from an sdist's wheel or editable, and used from a folder where nothing else is.

The libraries are those of the environment that runs the tests, which a new one borrows; nothing is downloaded.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from build import ProjectBuilder

import sdcorr
from sdcorr.toybox.dataset import drawing

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
QUICK = ["method.steps=1", "method.restarts=1", "method.transfer_crops=1"]
ASK = """
import json, sys, importlib.metadata, sdcorr
from sdcorr.cli.configs import CONFIGS
match = sdcorr.match("a.png", "b.png", [[20, 20]], *sys.argv[1:])
facts = {"package": sdcorr.__file__, "configs": str(CONFIGS), "version": importlib.metadata.version("sdcorr")}
print(json.dumps(facts | {"points": match.points.tolist(), "layers": len(sdcorr.load("model=toybox").backbone.layers)}))
"""


def build(kind: str, folder: Path) -> Path:
    """The wheel of a kind of installation."""
    if kind == "sdist":
        with tarfile.open(ProjectBuilder(ROOT).build("sdist", folder)) as archive:
            archive.extractall(folder, filter="data")
        (source,) = (path for path in folder.iterdir() if path.is_dir())
        return Path(ProjectBuilder(source).build("wheel", folder))
    return Path(ProjectBuilder(ROOT).build(kind, folder))


@pytest.fixture(scope="module", params=["sdist", "editable"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An installation: its `kind`, `wheel`, folder `prefix`, and `run`, which runs one of its programs."""
    prefix = tmp_path_factory.mktemp("environment")
    wheel = build(request.param, tmp_path_factory.mktemp("dist"))
    venv.create(prefix, with_pip=False, symlinks=True)
    python = prefix / "bin" / "python"
    offline = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel], check=True)
    (site_packages,) = prefix.glob("lib/*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # not the .pth files in there
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def start(program: str, *words: str, folder: Path) -> subprocess.Popen:
        command = [str(prefix / "bin" / program), *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=folder, env=environment, **pipes)

    def run(program: str, *words: str, folder: Path) -> str:
        process = start(program, *words, folder=folder)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    return SimpleNamespace(kind=request.param, wheel=wheel, prefix=prefix, start=start, run=run)


@pytest.fixture
def installed(either: SimpleNamespace) -> SimpleNamespace:
    """The one without a clone; the other differs in where its files are, which `test_from_python` looks at."""
    if either.kind == "editable":
        pytest.skip("the same program")
    return either


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with two pictures and a table of one pair, and nothing of sdcorr."""
    drawing("2/cat/0").image.save(tmp_path / "a.png")
    drawing("2/cat/0/0").image.save(tmp_path / "b.png")
    (tmp_path / "pairs.csv").write_text("source,target,x,y,target_x,target_y\na.png,b.png,20,20,22,20\n")
    return tmp_path


def files_of(folder: Path) -> set[str]:
    """The files in a folder, by their paths from it."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "__pycache__" not in name}


def test_a_wheel_has_every_file_of_the_package_and_every_configuration(
    installed: SimpleNamespace, tmp_path: Path
) -> None:
    expected = {f"sdcorr/{name}" for name in files_of(ROOT / "sdcorr")}
    expected |= {f"sdcorr/configs/{name}" for name in files_of(ROOT / "configs")}
    assert "sdcorr/toybox/model/unet/diffusion_pytorch_model.safetensors" in expected
    assert {"sdcorr/web/pair.js", "sdcorr/app/page.html", "sdcorr/py.typed", "sdcorr/configs/eval.yaml"} <= expected
    for wheel in (installed.wheel, build("wheel", tmp_path)):
        assert {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("sdcorr/")} == expected


def test_from_python(either: SimpleNamespace, pictures: Path) -> None:
    found = json.loads(either.run("python", "-c", ASK, *QUICK, folder=pictures))
    if either.kind == "editable":
        assert found["package"] == str(ROOT / "sdcorr/__init__.py") and found["configs"] == str(ROOT / "configs")
    else:
        assert found["package"].startswith(str(either.prefix))
        assert found["configs"] == str(Path(found["package"]).parent / "configs")
    assert found["version"] == sdcorr.__version__ and found["layers"] == 4
    assert found["points"] == pytest.approx(
        sdcorr.match(pictures / "a.png", pictures / "b.png", [[20, 20]], *QUICK).points
    )


def test_the_command(installed: SimpleNamespace, pictures: Path) -> None:
    assert installed.run("sdcorr", "--version", folder=pictures) == f"sdcorr {sdcorr.__version__}\n"
    assert "28" in installed.run("sdcorr", "inspect", folder=pictures)  # pairs of drawings, which come with it
    assert "sdcorr train task=student data=" in installed.run(
        "sdcorr", "train", "task=student", "--help", folder=pictures
    )
    own = [*QUICK, "dataset=folder", "dataset.root=.", "methods=[prompt,student]"]
    settings = [*own, "logger=none", "pictures=0", "bootstrap=10"]
    run = installed.run("sdcorr", "eval", *settings, folder=pictures).splitlines()[-1]
    summary = json.loads((pictures / run / "summary.json").read_text())
    assert summary["pairs"] == 1 and 0 <= summary["pck@0.10/per_point"] <= 1
    assert (pictures / run / "report.html").stat().st_size > 10_000
    said = installed.run("sdcorr", "match", "a.png", "b.png", "--points", "20,20", *QUICK, folder=pictures)
    assert said.splitlines()[-1] == "outputs/points"
    assert len(json.loads((pictures / "outputs/points/points.json").read_text())["targets"]) == 1


def test_the_page(installed: SimpleNamespace, pictures: Path) -> None:
    server = installed.start("sdcorr", "app", "--port", "0", "method=read_once", folder=pictures)
    with server:
        try:
            address = next(line.split()[0] for line in server.stdout if line.startswith("http"))
            for name, words in {"/": b"<title>sdcorr", "/pair.js": b"function", "/style.css": b"{"}.items():
                with urllib.request.urlopen(address + name) as answer:
                    assert words in answer.read()
            session = urllib.request.Request(f"{address}/api/session", method="POST", headers={"origin": address})
            with urllib.request.urlopen(session) as answer:
                assert json.loads(answer.read())["model"] == "toybox"
        finally:
            server.terminate()
