from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets.base import Match, Pair, SourceUnit, group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.prompt import PromptMatcher, PromptSettings
from sdcorr.prompt.module import fit, run
from sdcorr.prompt.speed.embedding_store import EmbeddingStore

SETTINGS = PromptSettings(steps=2, restarts=2, transfer_crops=5, sigma=4.0, crop=0.8)
SIZES = {"a": (80, 48), "b": (64, 64), "c": (30, 90), "d": (64, 32)}
POINTS = np.array([[10.0, 20.0], [70.0, 40.5], [33.3, 3.0]])


def image(key: str) -> Image.Image:
    width, height = SIZES[key]
    return Image.fromarray(np.random.default_rng(ord(key)).integers(0, 255, (height, width, 3), dtype=np.uint8))


def pair(target: str, visible: list[bool]) -> Pair:
    return Pair(
        id=target,
        category="thing",
        source="a",
        target=target,
        source_size=SIZES["a"],
        target_size=SIZES[target],
        source_points=POINTS,
        target_points=POINTS,
        visible=np.array(visible),
        names=("nose", "eye", "tail"),
    )


@pytest.fixture(scope="module")
def unit() -> SourceUnit:
    pairs = [pair("b", [True, False, True]), pair("c", [True] * 3), pair("d", [False] * 3)]
    (unit,) = group_by_source(pairs)
    return unit


@pytest.fixture(scope="module")
def matches(small_backbone, unit) -> dict[str, Match]:
    return {pair.id: match for pair, match in PromptMatcher(small_backbone, SETTINGS, "test").match(unit, image)}


def assert_same(ours: Match, expected: Match) -> None:
    # Batches of another size round differently, which can move a maximum by a pixel, no more.
    np.testing.assert_allclose(ours.confidence, expected.confidence, rtol=1e-3)
    np.testing.assert_allclose(ours.points, expected.points, rtol=0, atol=3)


def test_every_pair_and_point_in_order(matches, unit):
    assert {key: len(match.points) for key, match in matches.items()} == {"b": 2, "c": 3, "d": 0}
    for key, match in matches.items():
        assert (match.points >= 0).all() and (match.points <= SIZES[key]).all()
        assert (match.confidence > 0).all()


def test_parts_give_what_the_whole_gives(small_backbone, matches):
    matcher = PromptMatcher(small_backbone, SETTINGS, "test")
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    assert embeddings.shape == (3, 2, 24, 64)
    maps = matcher.transfer(image("c"), embeddings, POINTS, "a", "c")
    assert maps.shape == (3, 3, 64, 64)
    assert_same(matcher.localize(maps, SIZES["c"]), matches["c"])


def test_batch_sizes_do_not_matter(small_backbone, unit, matches, monkeypatch):
    monkeypatch.setattr("sdcorr.prompt.matcher._MAP_BUDGET", 1)  # one target after the other
    matcher = PromptMatcher(small_backbone, replace(SETTINGS, queries_per_batch=4), "test")
    for pair_, match in matcher.match(unit, image):
        assert_same(match, matches[pair_.id])


def test_a_point_does_not_depend_on_its_neighbors(small_backbone, matches):
    (alone,) = group_by_source([pair("c", [False, True, False])])
    ((_, match),) = PromptMatcher(small_backbone, SETTINGS, "test").match(alone, image)
    assert_same(match, Match(matches["c"].points[1:2], matches["c"].confidence[1:2]))


def test_a_trainer_can_solve_it(small_backbone):
    matcher = PromptMatcher(small_backbone, SETTINGS, "test", solve=fit)
    light = PromptMatcher(small_backbone, SETTINGS, "test", solve=run)
    assert torch.equal(matcher.optimize(image("a"), POINTS, "a"), light.optimize(image("a"), POINTS, "a"))


def test_points_are_scaled_to_the_square(small_backbone):
    matcher = PromptMatcher(small_backbone, replace(SETTINGS, optimize_crops=False), "test")
    _, crops = matcher.problem(image("a"), POINTS, "a")
    expected = torch.tensor(POINTS) * torch.tensor([64 / 80, 64 / 48])
    torch.testing.assert_close(crops[0]["centers"], expected.repeat_interleave(2, 0).float())
    assert [(q.image, q.x, q.y, q.restart) for q in crops.queries[:2]] == [("a", 10, 20, 0), ("a", 10, 20, 1)]


class TestLocalize:
    def test_scales_to_the_original_image(self, small_backbone):
        maps = torch.zeros(1, 3, 64, 64)
        maps[0, :, 31, 15] = 0.5
        match = PromptMatcher(small_backbone, SETTINGS, "test").localize(maps, (128, 32))
        assert match.points.tolist() == [[15.5 * 2, 31.5 / 2]]
        assert match.confidence.tolist() == pytest.approx([1])

    def test_soft_argmax(self, small_backbone):
        maps = torch.zeros(1, 3, 64, 64)
        maps[0, :, 31, 15:17] = 0.5
        settings = replace(SETTINGS, localization="soft_argmax", combination="mean", window=3)
        match = PromptMatcher(small_backbone, settings, "test").localize(maps, (64, 64))
        assert match.points.tolist() == [[16.0, 31.5]]


def never(module, crops):
    pytest.fail("the embeddings were optimized")


def test_a_unit_that_asks_for_nothing(small_backbone):
    (silent,) = group_by_source([pair("b", [False] * 3)])
    ((_, match),) = PromptMatcher(small_backbone, SETTINGS, "test", solve=never).match(silent, image)
    assert match.points.shape == (0, 2)


def test_a_broken_target_is_noticed_before_the_work(small_backbone, unit):
    def broken(key: str) -> Image.Image:
        if key == "c":
            raise UserError("c is broken")
        return image(key)

    with pytest.raises(UserError, match="c is broken"):
        list(PromptMatcher(small_backbone, SETTINGS, "test", solve=never).match(unit, broken))


def test_too_little_memory_for_all_queries_at_once(small_backbone, unit, matches):
    sizes = []

    def cramped(module, crops):
        sizes.append(len(module.embeddings))
        if len(module.embeddings) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(module, crops)

    matcher = PromptMatcher(small_backbone, SETTINGS, "test", solve=cramped)
    with pytest.warns(UserWarning, match="6 queries at once were too many"):
        for pair_, match in matcher.match(unit, image):
            assert_same(match, matches[pair_.id])
    assert sizes == [6, 3, 3]


def test_too_little_memory_for_one(small_backbone):
    def exhausting(module, crops):
        raise torch.OutOfMemoryError("CUDA out of memory")

    matcher = PromptMatcher(small_backbone, replace(SETTINGS, restarts=1), "test", solve=exhausting)
    with pytest.raises(UserError, match="too small for a single query"):
        matcher.optimize(image("a"), POINTS[:1], "a")


@pytest.mark.parametrize("changes", [{}, {"probe": True, "crop_pool": 2}])
def test_other_layers_can_be_read_at_transfer(small_backbone, two_level_folder, changes):
    """All layers are optimized; what one of them shows at the target is what it shows among all."""
    settings = replace(SETTINGS, adaptive_crops=False, **changes)
    layer = small_backbone.layers[1]
    reader = FrozenDiffusion.load(str(two_level_folder), layers=[layer])
    both = [PromptMatcher(small_backbone, settings, "test", reader=other) for other in (None, reader)]
    embeddings = [matcher.optimize(image("a"), POINTS, "a") for matcher in both]
    assert torch.equal(*embeddings)
    every, one = (matcher.transfer(image("b"), embeddings[0], POINTS, "a", "b") for matcher in both)
    torch.testing.assert_close(one, every[:, 1:2], rtol=1e-4, atol=1e-6)


class TestStore:
    @pytest.fixture
    def store(self, tmp_path) -> EmbeddingStore:
        return EmbeddingStore(tmp_path, {"any": "thing"})

    def test_nothing_is_optimized_twice(self, small_backbone, store):
        first = PromptMatcher(small_backbone, SETTINGS, "test", store=store).optimize(image("a"), POINTS, "a")
        again = PromptMatcher(small_backbone, SETTINGS, "test", solve=never, store=store)
        assert torch.equal(again.optimize(image("a"), POINTS[[2, 0]], "a"), first[[2, 0]])

    def test_only_what_is_missing_is_optimized(self, small_backbone, store):
        solved = []

        def counting(module, crops):
            solved.extend(crops.queries)
            return run(module, crops)

        few = replace(SETTINGS, restarts=1)
        PromptMatcher(small_backbone, few, "test", store=store).optimize(image("a"), POINTS[:2], "a")
        matcher = PromptMatcher(small_backbone, SETTINGS, "test", solve=counting, store=store)
        embeddings = matcher.optimize(image("a"), POINTS, "a")
        assert [(query.x, query.restart) for query in solved] == [(10, 1), (70, 1), (33.3, 0), (33.3, 1)]
        fresh = PromptMatcher(small_backbone, SETTINGS, "test").optimize(image("a"), POINTS, "a")
        torch.testing.assert_close(embeddings, fresh, rtol=0, atol=1e-4)

    def test_another_picture_of_that_name_is_optimized(self, small_backbone, store):
        matcher = PromptMatcher(small_backbone, SETTINGS, "test", store=store)
        first = matcher.optimize(image("a"), POINTS[:1], "a")
        other = matcher.optimize(image("a").transpose(Image.Transpose.ROTATE_180), POINTS[:1], "a")
        assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"token": 24}, "method.token=24 is not in this model: give 0 to 23"),
        ({"timestep": 1000}, "method.timestep=1000 is not in this model: give 0 to 999"),
        ({"transfer_timestep": 2000}, "method.transfer_timestep=2000"),
        ({"crop": 0.01}, "method.crop=0.01 of 64 pixels is less than one"),
    ],
)
def test_settings_that_the_model_cannot_follow(small_backbone, wrong, said):
    with pytest.raises(UserError, match=said):
        PromptMatcher(small_backbone, replace(SETTINGS, **wrong), "test")


@pytest.mark.parametrize("probe", [False, True])
def test_maps_are_where_the_points_are_and_were_found(small_backbone, unit, probe: bool):
    settings = replace(SETTINGS, probe=probe, crop_pool=2)
    plain = dict(PromptMatcher(small_backbone, settings, "test").match(unit, image))
    matcher = PromptMatcher(small_backbone, settings, "test", map_cells=8)
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    seen = matcher.source_maps(image("a"), embeddings, POINTS, "a")
    found = matcher.transfer(image("b"), embeddings, POINTS, "a", "b")
    for pair, match in matcher.match(unit, image):
        assert np.array_equal(match.points, plain[pair].points)  # looking changes nothing
        if not pair.visible.any():
            continue
        asked = torch.tensor(pair.visible)
        assert match.maps.layers == (*small_backbone.layers, "combined")
        shape = (pair.visible.sum(), len(small_backbone.layers) + 1, 8, 8)
        assert match.maps.source.shape == match.maps.target.shape == shape
        of_layers = seen[asked].unflatten(-1, (8, -1)).mean(-1).unflatten(-2, (8, -1)).mean(-2)
        np.testing.assert_allclose(match.maps.source[:, :-1], of_layers.numpy(), rtol=1e-3, atol=1e-6)
        if pair.id == "b":
            combined = found[asked].flatten(2).softmax(-1).mean(1).view(-1, 8, 8, 8, 8).mean((2, 4))
            np.testing.assert_allclose(match.maps.target[:, -1], combined.numpy(), rtol=1e-3)
