"""Digests that are kept for later processes are tested with what keeps them, `tests/diffusion/test_fingerprint.py`."""

import os
from pathlib import Path

import pytest

from sdcorr import digests
from sdcorr.digests import FileDigests, combined, digest, value_digest


def test_a_value_is_the_same_in_any_order() -> None:
    assert value_digest({"a": 1, "b": [1, None]}) == value_digest({"b": [1, None], "a": 1})
    assert len({value_digest(value) for value in ({"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": None}, [1], "a")}) == 6


def test_several_are_one_in_their_order() -> None:
    assert combined(["0a"]) == "0a"
    assert len({combined(each) for each in (["a", "b"], ["b", "a"], ["a", "b", ""], ["ab", ""])}) == 4


def test_a_file_is_named_by_its_bytes_wherever_it_is(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to(tmp_path / "c")
    of = FileDigests().of
    assert of(tmp_path / "a") == of(str(tmp_path / "b")) == digest(b"one")
    assert of(tmp_path / "link") == of(tmp_path / "c") == digest("two") and of(tmp_path / "empty") == digest("")
    with pytest.raises(FileNotFoundError):
        of(tmp_path / "nothing")


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "SETTLED", -1)  # all files are old enough
    (tmp_path / "a").write_bytes(b"one")
    of = FileDigests().of
    of(tmp_path / "a")
    monkeypatch.setattr(digests.hashlib, "file_digest", None)  # who reads trips over it
    assert of(tmp_path / "a") == digest(b"one")
    os.utime(tmp_path / "a", ns=(1, 1))
    with pytest.raises(TypeError):
        of(tmp_path / "a")


def test_a_file_that_was_just_written_is_read_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "stamp", lambda status: (0, 0, 0))  # a clock too coarse to tell two changes apart
    of = FileDigests().of
    for content in (b"one", b"two"):
        (tmp_path / "a").write_bytes(content)
        assert of(tmp_path / "a") == digest(content)
