"""Paths on the command line: names of files that mean something else to Hydra, and `~`."""

import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sdcorr.cli.checks import KINDS
from sdcorr.cli.compose import compose
from sdcorr.cli.paths import PATHS, expand, override, override_list, spelled, typed
from sdcorr.errors import UserError

PLAIN = ["a.png", "a b.png", "a:b.png", "a%20.png", "a@b.png", "a+b.png", "a$b.png", "a|b.png", "a?.png", "../a-1.png"]
ODD = [
    *("a (1).png", "a=b.png", "a#b.png", "a&b.png", "a!b.png", "a;b.png", "a'b.png", 'a"b.png', "ä.png", "猫.png"),
    *("a,b.png", "${a}.png", "a[1].png", "{a}.png", "<a>.png", "a`b.png", "a^b.png", "glob(*).png"),
    *('a\\"b.png', "a\\'b.png", 'it\'s "${a}", (1) = 2; #3 & more~.png'),
]
SILENT = ["a\\${b}.png", "${oc.env:HOME}.png", "null", "7", " a ", "a\\", "a\nb"]  # no complaint, but another name
TRAIN = ["points=[[1,2]]", "target=b.png"]


def test_paths_are_those_that_are_checked_as_paths() -> None:
    of_methods = {"method.student", "method.network"}  # which have them look at what they are given
    assert set(PATHS) - of_methods == {key for key, (_, what) in KINDS.items() if "path" in what}


@pytest.mark.parametrize("name", PLAIN)
def test_what_hydra_reads_as_it_is_stays_as_it_is(name: str) -> None:
    assert spelled([f"data={name}"]) == [f"data={name}"]
    assert compose("student", f"data={name}").data == name  # the quickest to compose


@pytest.mark.parametrize("name", [*PLAIN, *ODD, *SILENT])
def test_an_override_gives_exactly_the_name(name: str) -> None:
    assert compose("student", override("data", name)).data == name


def test_an_override_gives_exactly_the_names_of_a_list() -> None:
    names = [*PLAIN, *ODD, *SILENT]
    cfg = compose("train", override("source", ODD[-1]), override_list("target", names), "points=[[1,2]]")
    assert cfg.source == ODD[-1] and list(cfg.target) == names


NEEDED = {"data": [], "source": TRAIN, "target": ["source=a.png", "points=[[1,2]]"]}  # beside it


@pytest.mark.parametrize(("key", "name"), [*(("data", name) for name in ODD), ("source", ODD[-1]), ("target", ODD[-1])])
def test_the_advice_works_when_it_is_typed(key: str, name: str) -> None:
    config, others = "student" if key == "data" else "train", NEEDED[key]
    with pytest.raises(UserError) as complaint:
        compose(config, f"{key}={name}", *others)
    (word,) = shlex.split(str(complaint.value).partition(": give ")[2].rpartition(", with both kinds")[0])
    assert compose(config, word, *others)[key] == name


def test_advice_for_a_list_of_pictures() -> None:
    with pytest.raises(UserError) as complaint:
        compose("train", "source=a.png", "points=[[1,2]]", 'target=[b (1).png,"c.png"]')
    assert """give 'target=["b (1).png","c.png"]'""" in str(complaint.value)


def test_other_settings_are_hydra_s_business() -> None:
    assert spelled(["method.steps=(", "--multirun", "points"]) == ["method.steps=(", "--multirun", "points"]


def test_a_comma_is_for_a_sweep_if_there_is_one() -> None:
    assert spelled(["dataset.root=a,~/b"], sweeps=True) == ['dataset.root=a,"~/b"']
    with pytest.raises(UserError, match="stands for several runs, which need --multirun"):
        spelled(["dataset.root=a,b"])


def test_home_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/${me}")
    keys = ["run_dir", "embeddings", "calibration", "dataset.root", "model.path", "model.unet", "method.student"]
    said = [f"{key}=~/here (1)" for key in keys]
    cfg = compose("eval", "dataset=spair", "model=sd14", "methods=[student]", *said)
    assert {OmegaConf.select(cfg, key) for key in keys} == {"/home/${me}/here (1)"}


def test_home_in_the_paths_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    cfg = compose("train", "source=~/a.png", "points=[[1,2]]", 'target=["~/b.png","c~.png"]', "run_dir=~")
    assert (cfg.source, list(cfg.target), cfg.run_dir) == ("/home/me/a.png", ["/home/me/b.png", "c~.png"], "/home/me")


def test_references_that_exist_are_kept() -> None:
    cfg = OmegaConf.create({"run_dir": "out/${name}", "name": "x"})
    expand(cfg)
    assert cfg.run_dir == "out/x" and OmegaConf.to_container(cfg)["run_dir"] == "out/${name}"


@pytest.mark.parametrize("path", ["data/PF-WILLOW", "/my data/ü (1)", "it's", "2024"])
def test_a_setting_as_one_types_it(path: str) -> None:
    (word,) = shlex.split(typed("dataset.root", path))
    assert compose("eval", "dataset=spair", word).dataset.root == path
    assert ("'" in typed("dataset.root", path)) == (Path(path).as_posix() != "data/PF-WILLOW")
