import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from sdcorr.datasets.fetch import download, ensure, sources
from sdcorr.datasets.fetch.sources import SOURCES, Address
from sdcorr.datasets.pfwillow import PFWillow
from sdcorr.errors import UserError
from tests.datasets.fetch.server import FileServer
from tests.datasets.fetch.test_archives import tree, write_zip
from tests.datasets.fixtures import evaluate
from tests.golden.released import FOLDER as GOLDEN

ROOT = "data/PF-WILLOW"
NOWHERE = "http://127.0.0.1:9/PF-dataset.zip"  # where nobody listens


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves PF-Willow, as far as the test's own files are that, at its first address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 0)
    files = {f"PF-dataset/{name}": data for name, data in tree(GOLDEN / "fake_datasets/PF-WILLOW").items()}
    files |= {f"PF-dataset/{name}/x.png": b"" for name in SOURCES["pfwillow"].holds}
    with FileServer() as opened:
        opened.files["PF-dataset.zip"] = write_zip(tmp_path / "packed.zip", files.items()).read_bytes()
        (tmp_path / "packed.zip").unlink()
        serve(monkeypatch, opened.url("PF-dataset.zip"))
        yield opened


def serve(monkeypatch, *urls):
    addresses = tuple(Address(url, "PF-dataset.zip") for url in urls)
    monkeypatch.setitem(sources.SOURCES, "pfwillow", replace(SOURCES["pfwillow"], archives=addresses, extras=()))


class TestFetches:
    def test_what_is_not_there(self, server, capsys):
        ensure.ensure("pfwillow", ROOT, download=True)
        record = json.loads(Path(ROOT, "prepared.json").read_text())
        assert record["from"] == server.url("PF-dataset.zip") and len(record["sha256"]) == 64
        told = capsys.readouterr()
        assert SOURCES["pfwillow"].terms in told.out and "PF-dataset.zip" in told.err  # the bar
        with pytest.warns(UserWarning, match="900"):
            assert not PFWillow(ROOT).broken
        server.requests.clear()
        ensure.ensure("pfwillow", Path(ROOT), download=True)
        assert not server.requests and not capsys.readouterr().out  # a second time nothing is done or said

    def test_into_an_empty_folder(self, server):
        Path(ROOT).mkdir(parents=True)
        ensure.ensure("pfwillow", ROOT, download=True)
        assert Path(ROOT, "prepared.json").exists()

    def test_goes_on_where_it_was_broken_off(self, server, tmp_path):
        path = "PF-dataset.zip"
        members = [*((f"d/{name}/x.png", b"") for name in SOURCES["pfwillow"].holds), ("d/big", os.urandom(900_000))]
        server.files[path] = write_zip(tmp_path / "large.zip", members).read_bytes()
        server.breaks[path] = [700_000]
        ensure.ensure("pfwillow", ROOT, download=True)
        assert server.asked_for(path)[-1].startswith("bytes=") and Path(ROOT, "prepared.json").exists()

    def test_once_for_several_processes(self, server):
        ranks = [threading.Thread(target=ensure.ensure, args=("pfwillow", ROOT, True)) for _ in range(3)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
        assert Path(ROOT, "prepared.json").exists() and len(server.asked_for("PF-dataset.zip")) == 1

    def test_if_any_of_its_addresses_answers(self, server, monkeypatch):
        serve(monkeypatch, NOWHERE, server.url("PF-dataset.zip"))
        ensure.ensure("pfwillow", ROOT, download=True)
        assert Path(ROOT, "prepared.json").exists()


class TestLeavesAlone:
    @pytest.mark.parametrize(
        "name, root, allowed",
        [
            ("pfwillow", ROOT, False),
            ("pfwillow", "elsewhere/PF-WILLOW", True),
            ("pfwillow", "data", True),
            ("folder", "data/folder", True),
            ("toybox", "", True),
        ],
    )
    def test_what_is_not_to_be_fetched(self, server, tmp_path, name, root, allowed):
        ensure.ensure(name, root, download=allowed)
        assert not server.requests and not list(tmp_path.iterdir())

    def test_a_folder_that_holds_something(self, server):
        Path(ROOT).mkdir(parents=True)
        Path(ROOT, "mine.txt").write_text("")
        ensure.ensure("pfwillow", ROOT, download=True)
        assert not server.requests and [path.name for path in Path(ROOT).iterdir()] == ["mine.txt"]


class TestWithoutNetwork:
    def test_is_one_sentence_that_says_what_to_do(self, server, monkeypatch, tmp_path):
        serve(monkeypatch, NOWHERE, NOWHERE.replace("127.0.0.1", "localhost"))
        with pytest.raises(UserError) as caught:
            ensure.ensure("pfwillow", ROOT, download=True)
        said = str(caught.value)
        assert said.startswith(
            "PF-Willow is not in data/PF-WILLOW, and cannot be fetched, since there is no connection to"
        )
        assert "prepare pfwillow --from FILE" in said and "dataset.root=FOLDER" in said and "\n" not in said
        assert not list(tmp_path.iterdir())

    def test_servers_that_say_nothing_are_not_waited_for(self, server, monkeypatch):
        monkeypatch.setattr(ensure, "PATIENCE", 0.3)
        ready = threading.Event()

        def nothing(*_, **__):
            ready.wait(5)
            raise requests.ConnectionError

        monkeypatch.setattr(requests, "head", nothing)
        start = time.monotonic()
        with pytest.raises(UserError, match="no connection to 127.0.0.1"):
            ensure.ensure("pfwillow", ROOT, download=True)
        assert time.monotonic() - start < 3
        ready.set()

    def test_a_server_that_has_not_got_it(self, server):
        server.files.clear()
        with pytest.raises(UserError) as caught:
            ensure.ensure("pfwillow", ROOT, download=True)
        said = str(caught.value)
        assert "PF-Willow cannot be fetched" in said and "404 Not Found" in said and "\n" not in said
        assert "prepare pfwillow` says how to do it by hand" in said and not Path(ROOT).exists()


class TestTheUsersCommand:
    def test_fetches_and_evaluates(self, server, monkeypatch, capfd):
        arguments = ["dataset=pfwillow", "run_dir=run"]
        result = evaluate(monkeypatch, capfd, *arguments)
        assert result.returncode == 0, result.stderr
        assert Path("run/summary.json").exists() and Path(ROOT, "prepared.json").exists()
        config = Path("run/config.yaml").read_text()
        server.requests.clear()
        result = evaluate(monkeypatch, capfd, *arguments, "dataset.download=false")
        assert result.returncode == 0, result.stderr  # goes on in the same run: a download decides nothing
        assert not server.requests and Path("run/config.yaml").read_text() == config and "download" not in config

    @pytest.mark.parametrize(
        "arguments, words",
        [
            (["dataset.download=false"], "There is no PF-Willow in data/PF-WILLOW"),
            (["dataset.root=elsewhere"], "There is no PF-Willow in elsewhere"),
            (["dataset.download=perhaps"], "dataset.download=perhaps is not legal: give true or false"),
        ],
    )
    def test_does_not_where_it_may_not(self, server, monkeypatch, capfd, tmp_path, arguments, words):
        result = evaluate(monkeypatch, capfd, "dataset=pfwillow", *arguments)
        assert result.returncode == 2 and words in result.stderr and result.stderr.count("\n") == 1
        assert not server.requests and not list(tmp_path.iterdir())

    def test_offline_is_one_sentence(self, server, monkeypatch, capfd, tmp_path):
        serve(monkeypatch, NOWHERE)
        result = evaluate(monkeypatch, capfd, "dataset=pfwillow")
        assert result.returncode == 2 and "no connection to 127.0.0.1" in result.stderr
        assert result.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_every_source_belongs_to_a_data_set_that_may_be_fetched():
    """What `configs/dataset` says of a data set is what `sources` fetches, and to where."""
    from sdcorr.cli.compose import compose

    for name, source in SOURCES.items():
        cfg = compose("eval", f"dataset={name}").dataset
        assert Path(cfg.root) == sources.DATA / source.folder and cfg.download is True
