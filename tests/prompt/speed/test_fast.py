from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.localize import argmax
from sdcorr.prompt.module import PromptOptimization, run
from sdcorr.prompt.speed import FastMatcher, fast
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.prompt.speed.fast import Wanted
from sdcorr.prompt.speed.plateau import StoppingOptimization
from tests.prompt.pictures import POINTS, SETTINGS, image

TARGETS = [
    Wanted(image_to_tensor(image(key), 64), key, points)
    for key, points in (("b", [0, 2]), ("c", [0, 1, 2]), ("d", [1]))
]


@pytest.fixture(scope="module")
def matcher(small_backbone: FrozenDiffusion) -> FastMatcher:
    return FastMatcher(small_backbone, SETTINGS, "test")


@pytest.fixture(scope="module")
def embeddings(matcher: FastMatcher) -> torch.Tensor:
    return matcher.optimize(image("a"), POINTS, "a")


@pytest.mark.parametrize("changes", [{}, {"adaptive_crops": False, "shared_draws": False, "flip": 0.5}])
def test_gives_what_the_plain_method_gives(small_backbone: FrozenDiffusion, changes: dict) -> None:
    plain, quick = (kind(small_backbone, replace(SETTINGS, **changes), "test") for kind in (PromptMatcher, FastMatcher))
    expected, ours = (each.optimize(image("a"), POINTS, "a") for each in (plain, quick))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)
    for verb in ("transfer", "source_maps"):
        keys = ["a", "b"] if verb == "transfer" else ["a"]
        ours, theirs = (getattr(each, verb)(image(keys[-1]), expected, POINTS, *keys) for each in (quick, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("budget", [2**27, 4 * 2 * 3 * 64**2, 1])  # all targets, four points, one target at once
def test_targets_together_are_targets_alone(matcher, embeddings, monkeypatch, budget: int) -> None:
    monkeypatch.setattr(fast, "_MAP_BUDGET", budget)
    together = list(matcher.transfer_to_all(TARGETS, embeddings, POINTS, "a"))
    assert [len(seen.maps) for seen in together] == [2, 3, 1]
    for target, seen in zip(TARGETS, together, strict=True):
        alone = matcher.transfer(image(target.key), embeddings, POINTS, "a", target.key)
        torch.testing.assert_close(seen.maps, alone[list(target.points)], rtol=1e-3, atol=1e-6)
        assert seen.peaks.shape == (len(target.points), 2, 2)


def test_peaks_are_those_of_each_restart_alone(matcher, embeddings) -> None:
    (seen,) = matcher.transfer_to_all([TARGETS[2]], embeddings, POINTS, "a")  # asks for point 1
    (first,) = matcher.transfer_to_all([TARGETS[2]], embeddings[:, :1], POINTS, "a")
    torch.testing.assert_close(seen.peaks[0, 0], argmax(first.maps.mean(1))[0])
    assert not torch.equal(seen.peaks[0, 0], seen.peaks[0, 1])


def test_batch_sizes_do_not_matter(small_backbone: FrozenDiffusion, embeddings: torch.Tensor, monkeypatch) -> None:
    sizes = []
    monkeypatch.setattr(
        "sdcorr.prompt.method.run", lambda module, crops: sizes.append(len(crops.queries)) or run(module, crops)
    )
    matcher = FastMatcher(small_backbone, replace(SETTINGS, queries_per_batch=4), "test")
    torch.testing.assert_close(matcher.optimize(image("a"), POINTS, "a"), embeddings, rtol=0, atol=1e-4)
    assert sizes == [3, 3]


def test_a_crop_is_encoded_once(small_backbone: FrozenDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = small_backbone.encode
    monkeypatch.setattr(small_backbone, "encode", lambda images: encoded.append(len(images)) or encode(images))
    matcher = FastMatcher(small_backbone, replace(SETTINGS, crop_pool=2), "test")
    found = matcher.optimize(image("a"), POINTS, "a")
    list(matcher.transfer_to_all([TARGETS[1]._replace(pixels=image_to_tensor(image("a"), 64))], found, POINTS, "a"))
    assert 2 <= sum(encoded) <= 4  # of 2 x 2 places, at optimization and transfer


def test_queries_stop_where_there_is_a_plateau(small_backbone: FrozenDiffusion) -> None:
    kinds = []
    for plateau in (0.0, 0.5):
        matcher = FastMatcher(small_backbone, replace(SETTINGS, plateau=plateau), "test")
        kinds.append(type(matcher.problem(image("a"), POINTS, "a")[0]))
    assert kinds == [PromptOptimization, StoppingOptimization]


class TestMemory:
    def test_too_little_for_all_queries_at_once(self, small_backbone, embeddings, monkeypatch) -> None:
        sizes = []

        def cramped(module, crops):
            sizes.append(len(module.embeddings))
            if len(module.embeddings) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return run(module, crops)

        monkeypatch.setattr("sdcorr.prompt.method.run", cramped)
        matcher = FastMatcher(small_backbone, SETTINGS, "test")
        with pytest.warns(UserWarning, match="6 queries at once were too many"):
            found = matcher.optimize(image("a"), POINTS, "a")
        torch.testing.assert_close(found, embeddings, rtol=0, atol=1e-4)
        assert sizes == [6, 3, 3]

    def test_too_little_for_one(self, small_backbone: FrozenDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
        def exhausting(module, crops):
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr("sdcorr.prompt.method.run", exhausting)
        matcher = FastMatcher(small_backbone, replace(SETTINGS, restarts=1), "test")
        with pytest.raises(UserError, match="too small for a single query"):
            matcher.optimize(image("a"), POINTS[:1], "a")


def never(module, crops):
    pytest.fail("the embeddings were optimized")


class TestStore:
    @pytest.fixture
    def store(self, tmp_path) -> EmbeddingStore:
        return EmbeddingStore(tmp_path, {"any": "thing"})

    def test_nothing_is_optimized_twice(self, small_backbone, store, monkeypatch) -> None:
        first = FastMatcher(small_backbone, SETTINGS, "test", store=store).optimize(image("a"), POINTS, "a")
        monkeypatch.setattr("sdcorr.prompt.method.run", never)
        again = FastMatcher(small_backbone, SETTINGS, "test", store=store)
        assert torch.equal(again.optimize(image("a"), POINTS[[2, 0]], "a"), first[[2, 0]])

    def test_only_what_is_missing_is_optimized(self, small_backbone, store, embeddings, monkeypatch) -> None:
        few = replace(SETTINGS, restarts=1)
        FastMatcher(small_backbone, few, "test", store=store).optimize(image("a"), POINTS[:2], "a")
        solved = []
        monkeypatch.setattr(
            "sdcorr.prompt.method.run", lambda module, crops: solved.extend(crops.queries) or run(module, crops)
        )
        found = FastMatcher(small_backbone, SETTINGS, "test", store=store).optimize(image("a"), POINTS, "a")
        assert [(query.x, query.restart) for query in solved] == [(10, 1), (70, 1), (33.3, 0), (33.3, 1)]
        torch.testing.assert_close(found, embeddings, rtol=0, atol=1e-4)

    def test_another_picture_of_that_name_is_optimized(self, small_backbone, store) -> None:
        matcher = FastMatcher(small_backbone, SETTINGS, "test", store=store)
        first = matcher.optimize(image("a"), POINTS[:1], "a")
        other = matcher.optimize(image("a").transpose(Image.Transpose.ROTATE_180), POINTS[:1], "a")
        assert not torch.equal(first, other)

    def test_nothing_is_kept_of_a_network_that_gives_nan(self, small_backbone, store, monkeypatch) -> None:
        read = small_backbone.attention_maps
        monkeypatch.setattr(
            small_backbone, "attention_maps", lambda *args, **how: [layer * np.nan for layer in read(*args, **how)]
        )
        matcher = FastMatcher(small_backbone, SETTINGS, "test", store=store)
        with pytest.raises(UserError, match="The loss at step 0 of the query .* is NaN or infinite"):
            matcher.optimize(image("a"), POINTS, "a")
        assert not store.folder.exists()
