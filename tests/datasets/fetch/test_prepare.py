import hashlib
import json
import os
import re
from dataclasses import replace

import pytest
from filelock import FileLock

from sdcorr.datasets.fetch import download, prepare
from sdcorr.datasets.fetch.prepare import Preparation
from sdcorr.datasets.fetch.sources import Address, Extra, Source, by_hand
from sdcorr.errors import UserError
from tests.datasets.fetch.server import FileServer
from tests.datasets.fetch.test_archives import tree, write_tar, write_zip

ARCHIVE = "official/birds.tar.gz"  # its place on the server
LIST = b"imageA,imageB\r\na,b\r\n"
HTML = b"<!DOCTYPE html><title>Google Drive - Virus scan warning</title>"
FILES = {"one/a.png": b"a" * 1000, "two/000001-x-y:bird.json": b"{}"}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 0)
    with FileServer() as opened:
        yield opened


@pytest.fixture
def content(tmp_path):
    """An archive of the data set as its publisher packs it: under another name, without the list, with rubbish."""
    members = [*((f"birds-dataset/{name}", data) for name, data in FILES.items()), ("__MACOSX/._a", b"rubbish")]
    return write_tar(tmp_path / "packed.tar.gz", [*members, ("attributes.txt", b"beside the folder")]).read_bytes()


@pytest.fixture
def source(server, content):
    """A data set with two addresses, of which the first has its archive, and a pair list apart."""
    server.files |= {ARCHIVE: content, "list.csv": LIST}
    return Source(
        name="birds",
        title="Birds",
        folder="BIRDS",
        archives=(
            Address(server.url(ARCHIVE), "birds.tar.gz"),
            Address(server.url("copy"), "copy.zip"),
        ),
        holds=("one", "two"),
        terms="cite the birds",
        most=10**6,
        extras=(Extra(("pairs.csv", "test_pairs.csv"), (Address(server.url("list.csv"), "list.csv"),)),),
    )


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def only(root):
    """What is in the root folder, the lock of a file system that keeps it apart."""
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


class TestPreparation:
    def test_downloads_unpacks_and_records_and_leaves_nothing_else(self, source, root, content, server):
        assert Preparation(source, root).run() == root / "BIRDS"
        files = tree(root / "BIRDS")
        record = json.loads(files.pop("prepared.json"))
        assert files == FILES | {"pairs.csv": LIST}
        assert record["from"] == server.url(ARCHIVE)
        assert (record["bytes"], record["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert record["lists"][0]["sha256"] == hashlib.sha256(LIST).hexdigest()
        assert only(root) == ["BIRDS"]

    def test_a_second_run_says_that_it_is_there_and_asks_nobody(self, source, root, server, capsys):
        Preparation(source, root).run()
        server.requests.clear()
        Preparation(source, root).run()
        assert f"{root / 'BIRDS'} is there already" in capsys.readouterr().out
        assert not server.requests

    def test_a_folder_unpacked_by_hand_gets_the_list_that_it_lacks(self, source, root, server):
        for name, data in FILES.items():
            (root / "BIRDS" / name).parent.mkdir(parents=True)
            (root / "BIRDS" / name).write_bytes(data)
        Preparation(source, root).run()
        assert tree(root / "BIRDS") == FILES | {"pairs.csv": LIST}
        assert not server.asked_for(ARCHIVE)

    def test_a_list_under_another_known_name_is_enough(self, source, root, server, tmp_path):
        path = write_zip(tmp_path / "x.zip", [*FILES.items(), ("test_pairs.csv", LIST)])
        Preparation(source, root).run([str(path)])
        assert "pairs.csv" not in tree(root / "BIRDS") and not server.requests

    def test_keep_leaves_the_archive_for_the_next_time(self, source, root, server, content, capsys):
        Preparation(source, root, keep=True).run()
        (kept,) = root.glob("downloads/*/birds.tar.gz")
        assert kept.read_bytes() == content and f"kept in {kept}" in capsys.readouterr().out
        (root / "BIRDS").rename(root / "gone")
        server.requests.clear()
        Preparation(source, root).run()
        assert not server.asked_for(ARCHIVE) and only(root) == ["BIRDS", "gone"]

    def test_an_interrupted_transfer_goes_on(self, source, root, server, tmp_path):
        members = [*((f"d/{name}", data) for name, data in FILES.items()), ("d/big", os.urandom(900_000))]
        server.files[ARCHIVE] = write_tar(tmp_path / "big.tar.gz", members).read_bytes()
        server.breaks[ARCHIVE] = [700_000]
        Preparation(source, root).run()
        assert len(tree(root / "BIRDS")["big"]) == 900_000
        assert int(re.fullmatch(r"bytes=(\d+)-", server.asked_for(ARCHIVE)[-1])[1]) > 0

    @pytest.mark.parametrize(
        "bad, words",
        [
            (None, "404 Not Found"),
            (HTML, "is a web page"),
            (b"", "is empty"),
            ("truncated", "is damaged, cut short"),
            ("another", "is not BIRDS: no folder in it has one, two"),
            ("evil", "is not safe"),
        ],
    )
    def test_falls_back_to_the_second_address(self, source, root, server, content, tmp_path, capsys, bad, words):
        made = {
            "truncated": lambda: content[:-20],
            "another": lambda: write_zip(tmp_path / "x.zip", [("dogs/f", b"")]).read_bytes(),
            "evil": lambda: write_tar(tmp_path / "x.tgz", [*FILES.items(), ("../../evil", b"")]).read_bytes(),
        }
        server.files["copy"] = write_zip(
            tmp_path / "copy.zip", [(f"BIRDS/{k}", v) for k, v in FILES.items()]
        ).read_bytes()
        if bad is None:
            del server.files[ARCHIVE]
        else:
            server.files[ARCHIVE] = made[bad]() if bad in made else bad
        Preparation(source, root).run()
        files = tree(root / "BIRDS")
        assert json.loads(files.pop("prepared.json"))["from"] == server.url("copy")
        assert files == FILES | {"pairs.csv": LIST}
        assert only(root) == ["BIRDS"]
        out = capsys.readouterr().out
        assert words in out and "trying the next address" in out

    def test_if_every_address_fails_it_says_what_to_do_by_hand(self, source, root, server):
        server.files = {"copy": HTML}
        with pytest.raises(UserError) as caught:
            Preparation(source, root).run()
        sentence, _, steps = str(caught.value).partition("\n")
        assert "404 Not Found" in sentence and "is a web page" in sentence
        assert steps == by_hand(source)
        assert server.url("copy") in steps and "prepare birds --from FILE" in steps
        assert "BIRDS" not in only(root)

    def test_a_missing_list_leaves_no_folder_and_costs_no_second_download(self, source, root, server):
        server.files["list.csv"] = HTML
        with pytest.raises(UserError, match="is no list of pairs"):
            Preparation(source, root).run()
        assert only(root) == ["downloads"]
        server.files["list.csv"] = LIST
        server.requests.clear()
        Preparation(source, root).run()
        assert not server.asked_for(ARCHIVE) and only(root) == ["BIRDS"]

    def test_a_list_that_is_not_needed_may_be_missing_and_come_later(self, source, root, server, tmp_path, capsys):
        extra = replace(source.extras[0], needed=False, purpose="only dreams need it")
        source = replace(source, extras=(extra,))
        del server.files["list.csv"]
        Preparation(source, root).run()
        assert "without pairs.csv; only dreams need it" in capsys.readouterr().out
        (tmp_path / "pairs.csv").write_bytes(LIST)
        Preparation(source, root).run([str(tmp_path / "pairs.csv")])
        assert tree(root / "BIRDS")["pairs.csv"] == LIST

    def test_a_checksum_that_is_asked_for_is_held_to(self, source, root, content):
        sha256 = hashlib.sha256(content).hexdigest()
        with pytest.raises(UserError, match=f"has the sha256 {sha256} and not {'0' * 64}"):
            Preparation(source, root, sha256="0" * 64).run()
        assert "BIRDS" not in only(root)
        Preparation(source, root, sha256=sha256.upper()).run()

    @pytest.mark.parametrize("quoted", [{"size": 7}, {"md5": "0" * 32}])
    def test_a_quoted_checksum_only_warns(self, source, root, capsys, quoted):
        archives = (replace(source.archives[0], **quoted),)
        Preparation(replace(source, archives=archives), root).run()
        assert "it may be another version" in capsys.readouterr().out

    def test_what_is_as_quoted_is_not_remarked_on(self, source, root, content, capsys):
        exact = replace(source.archives[0], size=len(content), md5=hashlib.md5(content).hexdigest())
        Preparation(replace(source, archives=(exact,)), root).run()
        assert "note:" not in capsys.readouterr().out

    def test_a_bomb_is_stopped_and_swept_up(self, source, root, tmp_path):
        path = write_zip(tmp_path / "bomb.zip", [*FILES.items(), ("zeros", bytes(5_000_000))])
        with pytest.raises(UserError, match="unpacks to more than 0.001 GB"):
            Preparation(source, root).run([str(path)])
        assert only(root) == [] and path.exists()

    def test_a_folder_that_is_something_else_is_left_alone(self, source, root, server):
        (root / "BIRDS" / "one").mkdir(parents=True)
        with pytest.raises(UserError, match="exists but is not the whole data set, for it lacks two"):
            Preparation(source, root).run()
        assert (root / "BIRDS" / "one").is_dir() and not server.requests

    def test_an_empty_folder_is_filled(self, source, root):
        (root / "BIRDS").mkdir(parents=True)
        Preparation(source, root).run()
        assert (root / "BIRDS" / "one" / "a.png").exists()

    def test_two_at_once_do_not_disturb_each_other(self, source, root, server):
        (root / ".BIRDS.unpacking").mkdir(parents=True)
        with FileLock(root / ".BIRDS.lock"), pytest.raises(UserError, match="Another command is preparing"):
            Preparation(source, root).run()
        assert (root / ".BIRDS.unpacking").is_dir() and not server.requests

    def test_a_full_disk_is_one_sentence_and_the_download_is_kept(self, source, root, monkeypatch, server):
        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(prepare, "unpack", full)
            with pytest.raises(UserError, match=r"^The disk of .* is full: make room and run the same command again"):
                Preparation(source, root).run()
        assert only(root) == ["downloads"]
        server.requests.clear()
        Preparation(source, root).run()
        assert not server.asked_for(ARCHIVE)

    def test_a_file_system_without_colons_is_explained(self, source, root, monkeypatch):
        def refuse(*_):
            raise OSError(22, "Invalid argument", "two/000001-x-y:bird.json")

        monkeypatch.setattr(prepare, "unpack", refuse)
        with pytest.raises(UserError, match="no room for a colon in a name, as in two/000001-x-y:bird.json"):
            Preparation(source, root).run()

    def test_a_root_that_cannot_be_written(self, source, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match="Cannot read or write .*file"):
            Preparation(source, tmp_path / "file" / "data").run()


class TestFrom:
    def test_takes_files_and_leaves_them(self, source, root, server, content, tmp_path):
        (tmp_path / "mine.tgz").write_bytes(content)
        (tmp_path / "test_pairs.csv").write_bytes(LIST)
        Preparation(source, root).run([str(tmp_path / "test_pairs.csv"), str(tmp_path / "mine.tgz")])
        assert tree(root / "BIRDS")["test_pairs.csv"] == LIST
        assert not server.requests and (tmp_path / "mine.tgz").exists() and (tmp_path / "test_pairs.csv").exists()

    def test_takes_a_url(self, source, root, server, content):
        server.files["my/birds%20too.tgz"] = content
        Preparation(source, root).run([server.url("my/birds%20too.tgz")])
        assert (root / "BIRDS" / "one").is_dir() and not server.asked_for(ARCHIVE)

    def test_a_bad_file_is_explained_and_not_deleted(self, source, root, tmp_path):
        (tmp_path / "page.zip").write_bytes(HTML)
        with pytest.raises(UserError, match="page.zip is a web page"):
            Preparation(source, root).run([str(tmp_path / "page.zip")])
        assert (tmp_path / "page.zip").exists()

    @pytest.mark.parametrize(
        "given, words",
        [
            (["missing.zip"], "There is no file missing.zip"),
            (["ftp://host/a.zip"], "There is no file ftp:"),
            (["."], r"\. is a folder: if it is the data set, say dataset.root=\."),
            (["http://h/a.zip", "http://h/b.zip"], r"2 archives \(a.zip, b.zip\): name one, .* pairs.csv"),
        ],
    )
    def test_mistakes(self, source, root, given, words):
        with pytest.raises(UserError, match=words):
            Preparation(source, root).run(given)
