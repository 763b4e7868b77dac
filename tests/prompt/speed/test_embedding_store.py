import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from sdcorr.errors import UserError
from sdcorr.prompt.randomness import Query
from sdcorr.prompt.speed.embedding_store import EmbeddingStore

DETERMINANTS = {"dataset": "zoo", "model": {"layers": ["up.1", "up.2"]}, "method": {"adam_eps": 1e-8, "heads": None}}
QUERIES = [Query("bird/a:1", x, 1 / 3, restart) for x in (3.0, 0.1 + 0.2) for restart in range(2)]
EMBEDDINGS = torch.randn(4, 5, 6)


@pytest.fixture
def store(tmp_path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path, DETERMINANTS)


@pytest.fixture
def file(store) -> Path:
    """The file of a source image whose embeddings were saved."""
    store.save("bird/a:1", "pixels", QUERIES, EMBEDDINGS)
    (path,) = store.folder.glob("*.safetensors")
    return path


def everything(store: EmbeddingStore) -> dict[Query, torch.Tensor]:
    return store.load("bird/a:1", "pixels", QUERIES)


def assert_all_there(store: EmbeddingStore) -> None:
    found = everything(store)
    assert list(found) == QUERIES
    assert torch.equal(torch.stack(list(found.values())), EMBEDDINGS)


class TestSaveAndLoad:
    def test_every_digit_comes_back(self, tmp_path, store):
        odd = torch.tensor([[[torch.finfo().tiny / 3, -0.0, torch.finfo().max, 1 + torch.finfo().eps]]])
        store.save("bird/a:1", "pixels", QUERIES[:1], odd)
        again = EmbeddingStore(tmp_path, DETERMINANTS).load("bird/a:1", "pixels", QUERIES[:1])
        assert again[QUERIES[0]].dtype == torch.float32
        assert torch.equal(again[QUERIES[0]].view(torch.int32), odd[0].view(torch.int32))

    def test_those_that_are_there(self, store):
        assert everything(store) == {}
        assert not store.folder.exists()  # asking leaves nothing on disk
        store.save("bird/a:1", "pixels", QUERIES[1:3], EMBEDDINGS[1:3])
        found = everything(store)
        assert list(found) == QUERIES[1:3]
        assert torch.equal(found[QUERIES[2]], EMBEDDINGS[2])
        assert store.load("bird/b", "pixels", QUERIES) == {}

    def test_more_are_added_and_newer_ones_replace_older(self, store):
        store.save("bird/a:1", "pixels", QUERIES[:3], torch.zeros(3, 5, 6))
        store.save("bird/a:1", "pixels", [QUERIES[2], QUERIES[1], QUERIES[3]], EMBEDDINGS[[2, 1, 3]])
        found = everything(store)
        assert torch.equal(torch.stack([found[query] for query in QUERIES[1:]]), EMBEDDINGS[1:])
        assert not found[QUERIES[0]].any()

    def test_a_parameter_of_another_precision_is_saved_as_float32(self, store):
        parameter = torch.nn.Parameter(EMBEDDINGS.double())
        store.save("bird/a:1", "pixels", QUERIES, parameter)
        assert_all_there(store)

    def test_another_picture_under_the_same_key_is_another_image(self, store, file):
        assert store.load("bird/a:1", "other pixels", QUERIES) == {}
        store.save("bird/a:1", "other pixels", QUERIES[:1], EMBEDDINGS[:1])
        assert list(store.load("bird/a:1", "other pixels", QUERIES)) == QUERIES[:1]
        assert everything(store) == {}

    def test_what_the_file_holds(self, file):
        assert file.name == "bird_a_1-fd495014.safetensors"
        tensors = load_file(file)
        assert torch.equal(tensors["embeddings"], EMBEDDINGS)
        assert tensors["queries"].tolist() == [[q.x, q.y, q.restart] for q in QUERIES]

    def test_what_is_loaded_does_not_hang_on_the_file(self, store, file):
        found = everything(store)
        file.write_bytes(b"\0" * file.stat().st_size)
        assert torch.equal(torch.stack(list(found.values())), EMBEDDINGS)

    def test_a_query_with_a_target_is_a_mistake(self, store, file):
        query = QUERIES[0]._replace(target="b")
        with pytest.raises(ValueError, match="names a target"):
            store.load("bird/a:1", "pixels", [query])
        with pytest.raises(ValueError, match="names a target"):
            store.save("bird/a:1", "pixels", [query], EMBEDDINGS[:1])

    def test_one_embedding_a_query(self, store):
        with pytest.raises(ValueError):
            store.save("bird/a:1", "pixels", QUERIES, EMBEDDINGS[:3])
        assert not store.folder.exists()

    @pytest.mark.parametrize("wrong", [torch.nan, -torch.inf])
    def test_what_is_no_number_is_neither_kept_nor_found(self, store, file, wrong):
        spoiled = EMBEDDINGS.index_put((torch.tensor(2), torch.tensor(4), torch.tensor(0)), torch.tensor(wrong))
        with pytest.raises(ValueError, match="NaN or infinite"):
            store.save("bird/a:1", "pixels", QUERIES, spoiled)
        assert_all_there(store)
        rewrite(file, embeddings=spoiled)  # as an older version may have left it
        assert list(everything(store)) == [QUERIES[0], QUERIES[1], QUERIES[3]]
        store.save("bird/a:1", "pixels", QUERIES[2:3], EMBEDDINGS[2:3])
        assert torch.equal(torch.stack([everything(store)[query] for query in QUERIES]), EMBEDDINGS)

    def test_no_queries(self, store):
        store.save("bird/a:1", "pixels", [], EMBEDDINGS[:0])
        assert store.load("bird/a:1", "pixels", []) == {}


class TestRecall:
    PIXELS = torch.rand(3, 4, 4)

    def test_optimizes_what_is_not_there(self, store):
        asked = []

        def optimize(queries):
            asked.append(list(queries))
            return torch.stack([EMBEDDINGS[QUERIES.index(query)] for query in queries])

        assert torch.equal(store.recall(self.PIXELS, QUERIES[1:3], optimize), EMBEDDINGS[1:3])
        assert torch.equal(store.recall(self.PIXELS, QUERIES, optimize), EMBEDDINGS)
        assert torch.equal(store.recall(self.PIXELS, QUERIES[::-1], optimize), EMBEDDINGS.flip(0))
        assert asked == [QUERIES[1:3], [QUERIES[0], QUERIES[3]]]

    def test_a_failure_leaves_nothing(self, store):
        def optimize(queries):
            raise UserError("the loss is NaN")

        with pytest.raises(UserError, match="the loss is NaN"):
            store.recall(self.PIXELS, QUERIES, optimize)
        assert not store.folder.exists()


class TestDeterminants:
    def test_other_settings_look_elsewhere(self, tmp_path, store, file):
        other = EmbeddingStore(tmp_path, DETERMINANTS | {"method": {"adam_eps": 1e-7, "heads": None}})
        assert other.folder != store.folder
        assert everything(other) == {}
        other.save("bird/a:1", "pixels", QUERIES, EMBEDDINGS + 1)
        assert_all_there(store)

    def test_neither_order_nor_kind_of_sequence_matters(self, tmp_path, store, file):
        shuffled = dict(reversed(DETERMINANTS.items())) | {"model": {"layers": ("up.1", "up.2")}}
        assert_all_there(EmbeddingStore(tmp_path, shuffled))

    def test_the_folder_says_what_made_it(self, store, file):
        # printf '{"dataset":"zoo","method":{"adam_eps":1e-08,"heads":null},"model":{...}}' | sha256sum
        assert store.folder.name == "5f754c275992"
        assert yaml.safe_load((store.folder / "config.yaml").read_text()) == json.loads(json.dumps(DETERMINANTS))

    @pytest.mark.parametrize("text", ["dataset: park\n", "", "[1, 2", "\x00"])
    def test_a_folder_that_says_otherwise_is_refused(self, store, file, text):
        (store.folder / "config.yaml").write_text(text)
        before = file.read_bytes()
        for use in (lambda: everything(store), lambda: store.save("bird/a:1", "pixels", QUERIES, EMBEDDINGS + 1)):
            with pytest.raises(UserError, match=f"{store.folder.name}.config.yaml does not say .* delete the folder"):
                use()
        assert file.read_bytes() == before

    def test_a_folder_that_says_nothing_is_not_trusted(self, store, file):
        (store.folder / "config.yaml").unlink()
        assert everything(store) == {}
        store.save("bird/a:1", "pixels", QUERIES[:1], EMBEDDINGS[:1])
        assert list(everything(store)) == QUERIES[:1]


def rewrite(path: Path, *, drop: str | None = None, metadata: dict[str, str] | None = None, **tensors) -> None:
    """A file as `EmbeddingStore` writes it, changed."""
    kept = {name: tensor for name, tensor in (load_file(path) | tensors).items() if name != drop}
    whole = {"format": "sdcorr embeddings 1", "image": "bird/a:1", "picture": "pixels"}
    save_file({name: tensor.clone() for name, tensor in kept.items()}, path, whole | (metadata or {}))


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "torn in its header": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "text": lambda path: path.write_text("hello, this is no such file"),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "without embeddings": lambda path: rewrite(path, drop="embeddings"),
    "without queries": lambda path: rewrite(path, drop="queries"),
    "of fewer queries": lambda path: rewrite(path, queries=torch.zeros(3, 3, dtype=torch.float64)),
    "of points only": lambda path: rewrite(path, queries=torch.zeros(4, 2, dtype=torch.float64)),
    "of numbers": lambda path: rewrite(path, embeddings=torch.zeros(()), queries=torch.zeros(())),
    "of flat embeddings": lambda path: rewrite(path, embeddings=EMBEDDINGS.flatten(1)),
    "of another precision": lambda path: rewrite(path, embeddings=EMBEDDINGS.half()),
    "of another format": lambda path: rewrite(path, metadata={"format": "sdcorr embeddings 0"}),
    "of another image": lambda path: rewrite(path, metadata={"image": "bird/b"}),
    "of another program": lambda path: save_file(load_file(path), path),
}


class TestDamage:
    def test_a_rewritten_file_is_good(self, store, file):
        rewrite(file)
        assert_all_there(store)

    @pytest.mark.parametrize("kind", DAMAGE)
    def test_a_damaged_file_is_absent_and_overwritten(self, store, file, kind):
        DAMAGE[kind](file)
        assert everything(store) == {}
        store.save("bird/a:1", "pixels", QUERIES[:1], EMBEDDINGS[:1])
        assert list(everything(store)) == QUERIES[:1]

    def test_embeddings_of_another_shape_are_not_added_to(self, store, file):
        store.save("bird/a:1", "pixels", QUERIES[:2], torch.zeros(2, 7, 6))
        assert [row.shape for row in everything(store).values()] == [(7, 6)] * 2

    def test_a_file_where_the_folder_should_be_is_one_sentence(self, tmp_path):
        (tmp_path / "embeddings").write_text("")
        store = EmbeddingStore(tmp_path / "embeddings", DETERMINANTS)
        with pytest.raises(UserError, match="Cannot read .*Not a directory.* embeddings=FOLDER"):
            everything(store)

    def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(self, store, file, monkeypatch):
        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch, pytest.raises(UserError, match=r"Cannot write .*\(No space left"):
            patch.setattr(os, "fsync", full)
            store.save("bird/a:1", "pixels", QUERIES[:1], EMBEDDINGS[:1] + 1)
        assert_all_there(store)
        assert set(store.folder.iterdir()) == {file, store.folder / "config.yaml"}


def test_many_writers_leave_whole_files(tmp_path):
    """Whoever reads while others write finds nothing or the right embeddings."""

    def work(number: int) -> int:
        store, seen = EmbeddingStore(tmp_path, DETERMINANTS), 0
        for step in range(10):
            query = (number + step) % 4
            store.save("bird/a:1", "pixels", QUERIES[query : query + 1], EMBEDDINGS[query : query + 1])
            for found, row in everything(store).items():
                assert torch.equal(row, EMBEDDINGS[QUERIES.index(found)])
                seen += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert min(pool.map(work, range(4))) >= 10
