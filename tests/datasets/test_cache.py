import gzip
import json

import pytest

from sdcorr.datasets.cache import fingerprint, recall, remember

KEY = {"layout": fingerprint("a\n"), "split": "test"}
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
    remember(root, "x", KEY, VALUES)
    assert recall(root, "x", KEY) == VALUES
    assert recall(root, "y", KEY) == {}


@pytest.mark.parametrize("change", [{"layout": fingerprint("a")}, {"split": "val"}, {"more": 1}])
def test_another_key_finds_nothing(root, change):
    remember(root, "x", KEY, VALUES)
    assert recall(root, "x", KEY | change) == {}


def test_a_copied_data_set_finds_nothing(root):
    remember(root, "x", KEY, VALUES)
    root.rename(root.with_name("elsewhere"))
    assert recall(root.with_name("elsewhere"), "x", KEY) == {}


def test_a_link_to_the_same_folder_finds_it(root):
    remember(root, "x", KEY, VALUES)
    link = root.with_name("link")
    link.symlink_to(root)
    assert recall(link, "x", KEY) == VALUES


def test_any_damage_finds_nothing(root):
    remember(root, "x", KEY, VALUES)
    whole = kept(root).read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole), 7)]
    damaged += [whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :] for at in range(10, len(whole), 5)]
    damaged += [gzip.compress(text) for text in (b"[]", b"7", b"{", b'{"format": 1}', b"\xff")]
    other = json.loads(gzip.decompress(whole)) | {"format": "sdcorr annotations 0"}
    for content in [*damaged, gzip.compress(json.dumps(other).encode())]:
        kept(root).write_bytes(content)
        assert recall(root, "x", KEY) == {}
    remember(root, "x", KEY, VALUES)
    assert recall(root, "x", KEY) == VALUES


def test_a_folder_that_cannot_be_written_is_not_needed(root, tmp_path):
    (root / ".sdcorr").write_text("in the way")
    remember(root, "x", KEY, VALUES)
    assert recall(root, "x", KEY) == VALUES
    (path,) = (tmp_path / "home/sdcorr").iterdir()
    other = root.with_name("other")
    other.mkdir()
    (other / ".sdcorr").write_text("in the way")
    remember(other, "x", KEY, {"a": 1})  # shares the user's folder
    assert path.exists() and recall(root, "x", KEY) == VALUES


def test_nowhere_to_write_at_all(root, tmp_path):
    (root / ".sdcorr").write_text("in the way")
    (tmp_path / "home").write_text("in the way")
    remember(root, "x", KEY, VALUES)
    assert recall(root, "x", KEY) == {}
