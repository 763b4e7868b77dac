import gzip
import json
import os

import pytest

from sdcorr.datasets.cache import recall, remember, stamps

VALUES = {"a": {"points": [[0.1, 2], [1 / 3, -5e-324]], "name": "é"}, "b": []}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def kept(root):
    (path,) = (root / ".sdcorr").iterdir()
    return path


def test_values_come_back_exactly(root):
    remember(root, "x", VALUES)
    assert recall(root, "x") == VALUES
    assert recall(root, "y") == {}


def test_every_file_has_a_stamp_that_changes_with_it(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text("as long")
    (tmp_path / "nowhere").symlink_to("nothing")
    before = stamps(tmp_path)
    assert set(before) == set("abc") and stamps(tmp_path) == before == json.loads(json.dumps(before))
    status = (tmp_path / "a").stat()
    (tmp_path / "a").write_text("as that")  # in place, so the folder's own time stays
    os.utime(tmp_path / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "b").write_text("longer than before")
    after = stamps(tmp_path)
    assert [name for name in "abc" if after[name] != before[name]] == ["a", "b"]
    assert stamps(tmp_path / "nothing") == {}


def test_a_copied_data_set_finds_nothing(root):
    remember(root, "x", VALUES)
    root.rename(root.with_name("elsewhere"))
    assert recall(root.with_name("elsewhere"), "x") == {}


def test_a_link_to_the_same_folder_finds_it(root):
    remember(root, "x", VALUES)
    link = root.with_name("link")
    link.symlink_to(root)
    assert recall(link, "x") == VALUES


def test_any_damage_finds_nothing(root):
    remember(root, "x", VALUES)
    whole = kept(root).read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole), 7)]
    # All bytes but the last of the deflated ones, whose upper bits may be padding that means nothing; the path of the
    # data set decides whether they are.
    flipped = [at for at in range(10, len(whole), 5) if at != len(whole) - 9]
    damaged += [whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :] for at in flipped]
    damaged += [gzip.compress(text) for text in (b"[]", b"7", b"{", b'{"format": 1}', b"\xff")]
    other = json.loads(gzip.decompress(whole)) | {"format": "sdcorr annotations 0"}
    for content in [*damaged, gzip.compress(json.dumps(other).encode())]:
        kept(root).write_bytes(content)
        assert recall(root, "x") == {}
    remember(root, "x", VALUES)
    assert recall(root, "x") == VALUES


def test_a_folder_that_cannot_be_written_is_not_needed(root, tmp_path):
    (root / ".sdcorr").write_text("in the way")
    remember(root, "x", VALUES)
    assert recall(root, "x") == VALUES
    (path,) = (tmp_path / "home/sdcorr").iterdir()
    other = root.with_name("other")
    other.mkdir()
    (other / ".sdcorr").write_text("in the way")
    remember(other, "x", {"a": 1})  # shares the user's folder
    assert path.exists() and recall(root, "x") == VALUES


def test_nowhere_to_write_at_all(root, tmp_path):
    (root / ".sdcorr").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    remember(root, "x", VALUES)
    assert recall(root, "x") == {}
