"""A run folder is one W&B run with all that is known about it."""

import socket
from importlib.metadata import version

import pytest
import wandb

from sdcorr import tracking
from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.errors import UserError
from sdcorr.tracking import session
from tests.tracking.conftest import evaluate, runs


def test_name_group_tags(evaluated) -> None:
    about = evaluated.run.about
    assert (about.project, about.display_name, about.run_group) == ("sdcorr", "a-run", "folder-world")
    assert about.job_type == "evaluation"
    assert list(about.tags) == ["folder", "all", "toybox", "prompt", "ablation", "mine"]
    assert evaluated.run.ended


def test_the_configuration_is_complete(evaluated) -> None:
    config, model = evaluated.run.config, build.load().backbone
    assert config["method"]["steps"] == 2 and config["protocol"] == "standard"
    assert config["model"]["layers"] == list(model.layers)
    assert [each["name"] for each in config["methods"]] == ["prompt", "prompt_transfer_crops_1", "same_pixel"]
    facts = config["facts"]
    counts = {"pairs": 5, "points": 15, "source_images": 3, "processes": 1}
    assert {name: facts[name] for name in counts} == counts
    assert model.identity().items() <= facts["methods"]["prompt"]["model"].items()
    assert facts["methods"]["same_pixel"]["model"] is None
    assert facts["versions"]["torch"] == version("torch") and facts["versions"]["wandb"] == version("wandb")


def test_gone_on_with_it_is_the_same_run(evaluated) -> None:
    evaluate(evaluated.folder, "logger.pairs=0")
    first, second = runs(evaluated.folder)
    assert first.about.run_id == second.about.run_id
    assert second.logged("pck@0.10/per_point") == first.logged("pck@0.10/per_point")
    assert not second.logged("tables/pairs") and not [
        key for row in second.history for key in row if "attention" in key
    ]


def test_commit(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    here = session._commit()
    assert here is None or len(here.removesuffix("-dirty")) == 40
    monkeypatch.setattr(session.sdcorr, "__file__", str(tmp_path / "__init__.py"))
    assert session._commit() is None


def test_a_sweep_names_its_runs_itself(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "wandb/offline-run-20260101_000000-before").mkdir(parents=True)
    (tmp_path / "wandb/offline-run-20260101_000000-before/run-before.wandb").touch()
    cfg = compose("eval", "logger.mode=offline")
    for wanted in ("before", "swept"):
        if wanted == "swept":
            monkeypatch.setenv("WANDB_RUN_ID", "swept")
        logger = tracking.make_logger(cfg, tmp_path, group="g", job_type="test")
        assert logger.experiment.id == wanted
        logger.experiment.finish()


def test_modes_that_there_are_not(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    with pytest.raises(UserError, match="no logger.mode=cloud: choose one of auto, online, offline"):
        tracking.make_logger(compose("eval", "logger.mode=cloud"), tmp_path, group="g", job_type="test")
    monkeypatch.setenv("WANDB_MODE", "cloud")
    with pytest.raises(UserError, match="WANDB_MODE=cloud is no mode of W&B: give online, offline or disabled"):
        tracking.make_logger(compose("eval"), tmp_path, group="g", job_type="test")
    assert wandb.run is None and not list(tmp_path.iterdir())


class TestAuto:
    """`logger.mode=auto` is online only where that works, and does not wait for what cannot be reached."""

    def mode(self, monkeypatch: pytest.MonkeyPatch, tmp_path, key: str, address: str = "http://127.0.0.1:9") -> str:
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_BASE_URL", address)
        wandb.teardown()
        logger = tracking.make_logger(compose("eval"), tmp_path, group="g", job_type="test")
        mode = "offline" if logger.experiment.offline else "online"
        logger.experiment.finish()
        wandb.teardown()
        return mode

    def test_a_key_that_cannot_be_one(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
        with pytest.warns(UserWarning, match="login is not valid"):
            assert self.mode(monkeypatch, tmp_path, "abc") == "offline"

    def test_a_server_that_cannot_be_reached(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
        with pytest.warns(UserWarning, match="127.0.0.1 cannot be reached"):
            assert self.mode(monkeypatch, tmp_path, "a" * 40) == "offline"

    def test_an_address_that_cannot_be_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wandb, "login", lambda **_: wandb.Settings(base_url="foo"))
        with pytest.warns(UserWarning, match="login is not valid .base_url: Input should be a valid URL"):
            assert session._mode_that_works() == "offline"

    def test_through_a_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            address = f"127.0.0.1:{proxy.getsockname()[1]}"
            monkeypatch.delenv("no_proxy", raising=False)
            for name in ("https_proxy", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://{address}")
            assert session._is_reachable("https://api.wandb.invalid")
        assert not session._is_reachable("https://api.wandb.invalid")


def test_a_group_is_a_word() -> None:
    with pytest.raises(UserError, match=r"logger.group=\['/bold'\] is not legal: give a word, or null"):
        compose("eval", "logger.group=[/bold]")


class TestOnline:
    """`logger.mode=online` is what the user wants: where it cannot be had, that is said at once."""

    def said(self, tmp_path) -> str:
        with pytest.raises(UserError, match="give logger.mode=offline or logger=none") as caught:
            tracking.make_logger(compose("eval", "logger.mode=online"), tmp_path, group="g", job_type="test")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_out_of_reach(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
        monkeypatch.setattr(session, "_address", lambda: "http://127.0.0.1:9")
        assert "127.0.0.1 cannot be reached" in self.said(tmp_path)

    def test_settings_that_are_not_legal(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
        monkeypatch.setattr(session, "_is_reachable", lambda address: True)
        monkeypatch.setattr(wandb, "init", lambda **_: wandb.Settings(base_url="foo"))
        assert "base_url: Input should be a valid URL" in self.said(tmp_path)
