"""`sdcorr match`: its arguments become the settings of train.py, whatever the pictures are called."""

import json
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from sdcorr.cli import match
from sdcorr.cli.compose import compose
from sdcorr.cli.main import main
from sdcorr.errors import UserError
from sdcorr.scoring.calibration_file import SHIPPED
from sdcorr.toybox.dataset import drawing
from tests.cli.test_paths import ODD, PLAIN, SILENT

QUICK = ["method.steps=1", "method.restarts=1", "method.transfer_crops=1", "embeddings=null"]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[DictConfig]:
    """The configurations that `main` would work with; it does no work here."""
    monkeypatch.chdir(tmp_path)
    found: list[DictConfig] = []
    monkeypatch.setattr("sdcorr.cli.transfer.main", lambda words: found.append(compose("train", *words)))
    return found


def test_arguments_become_settings(configured: list[DictConfig]) -> None:
    match.main(["a.jpg", "b.jpg", "c.jpg", "--points", "120,80", "40.5,1e2", "method.steps=3", "model=sd14"])
    (cfg,) = configured
    assert (cfg.source, cfg.target, cfg.run_dir) == ("a.jpg", ["b.jpg", "c.jpg"], "outputs/points")
    assert cfg.points == [[120, 80], [40.5, 100]] and cfg.method.steps == 3 and cfg.model.name == "sd14"


def test_any_name_is_taken_as_it_is(configured: list[DictConfig]) -> None:
    names = [*PLAIN, *ODD, *SILENT]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    for first in (0, 12, 24):  # every name as a target, one in each place
        source, out = names[first], names[-1 - first]
        match.main([source, "b.jpg", *names, "--points", "1,2", "--out", out])
        cfg = configured[-1]
        assert (cfg.source, list(cfg.target), cfg.run_dir) == (source, ["b.jpg", *names], out)


def test_a_picture_may_look_like_a_setting_if_it_is_there(configured: list[DictConfig]) -> None:
    Path("model=1.png").touch()
    match.main(["model=1.png", "b.png", "--points", "1,2", "embeddings=null"])
    assert configured[0].source == "model=1.png" and configured[0].embeddings is None


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["a.jpg", "--points", "1,2"], "TARGET.*sdcorr match --help"),
        (["a.jpg", "b.jpg"], "--points"),
        (["a.jpg", "b.jpg", "--points"], "--points"),
        (["a.jpg", "b.jpg", "--points", "12"], "'12' is not a point: give the pictures, then --points"),
        (["a.jpg", "b.jpg", "--points", "1,2,3"], "'1,2,3' is not a point"),
        (["--points", "1,2", "a.jpg", "b.jpg"], "'a.jpg' is not a point"),
        (["a.jpg", "b.jpg", "--points", "1,2", "--share"], "--share"),
    ],
)
def test_mistakes(words: list[str], complaint: str, configured: list[DictConfig]) -> None:
    with pytest.raises(UserError, match=complaint):
        match.main(words)
    assert not configured


def test_it_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    drawing("2/cat/0").image.save("the [bold] cat, seen = (1).png")
    drawing("2/cat/0/0").image.resize((96, 64)).save("b;#'\".png")
    asked = ["the [bold] cat, seen = (1).png", "b;#'\".png", "--points", "20,20", "40.5,30", "--out", "to [red] here"]
    assert main(["match", *asked, *QUICK]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "to [red] here"
    assert said[-3].startswith("(20, 20) -> b;#'\".png (") and said[-2].startswith("(40.5, 30) -> b;#'\".png (")
    record = json.loads(Path("to [red] here/points.json").read_text())
    assert record["source"]["image"] == asked[0] and record["source"]["points"] == [[20, 20], [40.5, 30]]
    assert record["targets"][0]["image"] == asked[1] and record["targets"][0]["size"] == [96, 64]


def test_a_picture_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    assert main(["match", "no (1).png", "b.png", "--points", "1,2"]) == 2
    assert capsys.readouterr().err.startswith("error: There is no image no (1).png")
    assert not list(tmp_path.iterdir())


def test_a_calibration_says_how_likely_matches_are_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of another way is refused before anything is optimized."""
    for name, key in (("a.png", "2/crab/0"), ("b.png", "2/crab/0/2")):
        drawing(key).image.save(tmp_path / name)
    words = ["match", *(str(tmp_path / name) for name in ("a.png", "b.png")), "--points", "20,30", "--out"]
    words += [str(tmp_path / "out"), "method=read_once", "embeddings=null"]
    words += [f"calibration={SHIPPED / 'toybox_read_once.yaml'}"]
    assert main([*words, "method.restarts=2"]) == 2
    assert (
        "toybox_read_once.yaml does not fit: it is of other settings, settings.restarts is 5" in capsys.readouterr().err
    )
    assert main(words) == 0
    record = json.loads((tmp_path / "out" / "points.json").read_text())
    (likely,) = record["targets"][0]["probability"]
    assert 0 < likely < 1 and record["calibration"] == "toybox val, 84 pairs"
    assert f"{100 * likely:.0f} % likely right" in capsys.readouterr().out
