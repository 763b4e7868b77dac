import errno
import os
import stat
import time
from pathlib import Path

import pytest

from sdcorr import files
from sdcorr.errors import UserError
from sdcorr.files import write_whole

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def by_function(path: Path) -> None:
    path.write_bytes(b"gr\xc3\xbcn\n")


def half_written(path: Path) -> None:
    path.write_bytes(b"gr")
    raise FULL


def raises(error: Exception):
    def fail(*unused: object):
        raise error

    return fail


@pytest.mark.parametrize("content", ["grün\n", b"gr\xc3\xbcn\n", by_function])
def test_content_appears_in_a_new_folder_and_over_an_old_file(tmp_path, content):
    path = tmp_path / "a" / "b" / "file.txt"
    for _ in range(2):
        write_whole(path, content)
        assert path.read_bytes() == b"gr\xc3\xbcn\n"
        assert list(path.parent.iterdir()) == [path]
        path.write_text("old")


@pytest.mark.parametrize("content", ["text", by_function])
def test_others_may_read_what_is_written(tmp_path, content):
    write_whole(tmp_path / "file", content)
    (tmp_path / "plain").write_text("text")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_file_is_on_disk_before_it_has_its_name_and_the_name_before_it_returns(tmp_path, monkeypatch):
    events = []

    def fsync(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else os.fstat(handle).st_size)

    def replace(old: Path, new: Path, really=os.replace) -> None:
        events.append(new.name)
        really(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    for content in ("12345", b"12345", lambda path: path.write_text("12345")):
        write_whole(tmp_path / "file", content)
        assert events == [5, "file", "folder"]
        events.clear()


class TestTrouble:
    @pytest.mark.parametrize("step", ["writing", "syncing", "renaming"])
    def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(self, tmp_path, monkeypatch, step):
        path = tmp_path / "file.json"
        path.write_text("old")
        if step != "writing":
            monkeypatch.setattr(os, {"syncing": "fsync", "renaming": "replace"}[step], raises(FULL))
        with pytest.raises(UserError, match=r"^Cannot write .*file.json \(No space left on device\): make room"):
            write_whole(path, half_written if step == "writing" else "new")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_an_error_without_a_number_is_told_in_its_words(self, tmp_path):
        with pytest.raises(UserError, match=r"Cannot write .*a.png \(encoder error -2\)"):
            write_whole(tmp_path / "a.png", raises(OSError("encoder error -2")))

    def test_a_file_where_the_folder_should_be(self, tmp_path):
        (tmp_path / "run").write_text("a file")
        with pytest.raises(UserError, match=r"Cannot write .*run.file.json \("):
            write_whole(tmp_path / "run" / "file.json", "text")

    def test_another_mistake_is_not_taken_for_the_disk_and_leaves_nothing(self, tmp_path):
        def wrong(path: Path) -> None:
            path.write_text("half")
            raise KeyError("x")

        with pytest.raises(KeyError):
            write_whole(tmp_path / "file", wrong)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_synced_is_no_mistake(self, tmp_path, monkeypatch):
        def fsync(handle: int, really=os.fsync) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            really(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        write_whole(tmp_path / "file", "text")
        assert (tmp_path / "file").read_text() == "text"


class TestLeftovers:
    @pytest.fixture
    def aged(self, tmp_path):
        """Makes a file of some age in seconds."""

        def make(name: str, age: float) -> Path:
            path = tmp_path / name
            path.write_text("{")
            os.utime(path, (time.time() - age, time.time() - age))
            return path

        return make

    def test_what_killed_processes_left_is_removed_when_nobody_can_be_writing_it(self, tmp_path, aged):
        aged(".file.json.0123abcd.tmp", 3700)
        aged(".another.json.ffffffff.tmp", 10**6)
        young = aged(".file.json.89abcdef.tmp", 3500)
        strange = [aged(name, 10**6) for name in ("file.tmp", ".file.json.tmp", ".a.0123abcg.tmp", "a.0123abcd.tmp")]
        write_whole(tmp_path / "file.json", "text")
        assert set(tmp_path.iterdir()) == {tmp_path / "file.json", young, *strange}

    def test_what_is_left_by_a_kill_is_such_a_file(self, tmp_path):
        def killed(path: Path) -> None:
            path.write_text("{")
            os.utime(path, (0, 0))
            path.rename(path.with_suffix(".copy"))  # stands for what a process leaves that is killed here
            raise FULL

        with pytest.raises(UserError):
            write_whole(tmp_path / "file.json", killed)
        (left,) = tmp_path.iterdir()
        left.rename(left.with_suffix(".tmp"))
        write_whole(tmp_path / "other.json", "text")
        assert list(tmp_path.iterdir()) == [tmp_path / "other.json"]

    def test_one_that_another_process_has_just_removed_is_no_mistake(self, tmp_path, aged, monkeypatch):
        aged(".file.json.0123abcd.tmp", 3700)
        monkeypatch.setattr(files.os, "unlink", raises(FileNotFoundError()))
        write_whole(tmp_path / "file.json", "text")
        assert (tmp_path / "file.json").read_text() == "text"
