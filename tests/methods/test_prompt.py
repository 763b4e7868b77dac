"""The method on a unit of work, with what it works with faked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback
from PIL import Image

from sdcorr.datasets import Match, SourceUnit, group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.read_once import ReadOnce
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from tests.prompt import pictures
from tests.prompt.pictures import POINTS, assert_same, image, pair
from tests.prompt.test_method import Spy

SETTINGS = {"steps": 2, "restarts": 2, "transfer_crops": 5, "sigma": 4.0, "crop": 0.8}
METHODS = pytest.mark.parametrize("kind", [Prompt, ReadOnce])


@dataclass
class FakeResources:
    """As `sdcorr.methods.resources.Resources`."""

    model: FrozenDiffusion
    map_cells: int = 0
    store: EmbeddingStore | None = None
    spies: list[Callback] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    dataset = "test"

    def backbone(self, truncate: bool = True) -> FrozenDiffusion:
        self.asked.append("model")
        return self.model

    def reader(self) -> FrozenDiffusion | None:
        return None

    def embedding_store(self, determinants: Mapping[str, Any]) -> EmbeddingStore | None:
        self.asked.append(dict(determinants))
        return self.store

    def callbacks(self, source: str) -> list[Callback]:
        self.asked.append(source)
        return self.spies


@pytest.fixture
def resources(small_backbone: FrozenDiffusion) -> FakeResources:
    return FakeResources(small_backbone)


@pytest.fixture(scope="module")
def unit() -> SourceUnit:
    return pictures.unit()


def found(method: Prompt, unit: SourceUnit) -> dict[str, Match]:
    return {pair.id: match for pair, match in method.match(unit, image)}


@METHODS
def test_every_pair_and_point_in_order(kind: type[Prompt], resources: FakeResources, unit: SourceUnit) -> None:
    matches = found(kind(resources, **SETTINGS), unit)
    assert {key: len(match.points) for key, match in matches.items()} == {"b": 2, "c": 3, "d": 0}
    assert next(iter(matches)) == "d"
    for key, match in matches.items():
        assert (match.points >= 0).all() and (match.points <= pictures.SIZES[key]).all()
        assert (match.confidence > 0).all() and match.maps is None
    ((_, alone),) = kind(resources, **SETTINGS).match(group_by_source([pair("c", [False, True, False])])[0], image)
    assert_same(alone, Match(matches["c"].points[1:2], matches["c"].confidence[1:2]))


@METHODS
def test_is_the_three_verbs(kind: type[Prompt], resources: FakeResources, unit: SourceUnit) -> None:
    method = kind(resources, **SETTINGS)
    matcher = method.matcher
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    maps = matcher.transfer(image("c"), embeddings, POINTS, "a", "c")
    assert_same(matcher.localize(maps, pictures.SIZES["c"]), found(method, unit)["c"])


@METHODS
def test_a_match_leaves_evidence(kind: type[Prompt], resources: FakeResources, unit: SourceUnit) -> None:
    settings = SETTINGS | {"consensus_block": "mid_block"}
    match = found(kind(resources, **settings), unit)["c"]
    several = {"peak", "margin", "entropy", "back", "likeness", "astray", "votes", "restarts", "layers"}
    assert set(match.evidence) == several
    alone = found(kind(resources, **settings | {"restarts": 1}), unit)["c"]
    assert set(alone.evidence) == several - {"restarts"}


def test_a_network_cut_before_the_features_leaves_less_evidence(resources: FakeResources, unit: SourceUnit) -> None:
    match = found(ReadOnce(resources, **SETTINGS, consensus_block="up_blocks.1"), unit)["c"]
    assert set(match.evidence) == {"peak", "margin", "entropy", "restarts", "layers"}


def test_they_are_two_methods(resources: FakeResources, unit: SourceUnit) -> None:
    ours, theirs = (found(kind(resources, **SETTINGS, crop_pool=4), unit)["c"] for kind in (Prompt, ReadOnce))
    assert not np.allclose(ours.confidence, theirs.confidence)


@METHODS
def test_making_one_is_quick_and_checks_its_settings(kind: type[Prompt], resources: FakeResources) -> None:
    with pytest.raises(UserError, match="There is no method setting 'stepps': there is timestep,"):
        kind(resources, stepps=3)
    with pytest.raises(UserError, match="method.steps=0 is not legal"):
        kind(resources, steps=0)
    method = kind(resources, token=99)
    assert resources.asked == []
    with pytest.raises(UserError, match="method.token=99 is not in this model"):
        method.prepare()
    assert "model" in resources.asked


def test_reading_once_needs_a_pool(resources: FakeResources) -> None:
    with pytest.raises(UserError, match="method.crop_pool=0"):
        ReadOnce(resources, crop_pool=0)


@METHODS
def test_settings_without_effect_change_nothing_to_speak_of(kind: type[Prompt], resources, unit) -> None:
    others = {"queries_per_batch": 1, "adaptive_crops": False, "evidence_timestep": 50}
    matches = found(kind(resources, **SETTINGS), unit)
    changed = found(kind(resources, **SETTINGS, **{name: others[name] for name in kind.without_effect}), unit)
    for key, match in matches.items():
        assert_same(changed[key], match)


def test_embeddings_are_kept_by_what_decides_them(resources, unit, tmp_path, monkeypatch) -> None:
    resources.store = EmbeddingStore(tmp_path, {"any": "thing"})
    method = Prompt(resources, **SETTINGS)
    matches = found(method, unit)
    assert method.settings.of_optimization() in resources.asked
    monkeypatch.setattr("sdcorr.prompt.method.run", lambda *problem: pytest.fail("the embeddings were optimized"))
    again = found(Prompt(resources, **SETTINGS | {"transfer_crops": 5}), unit)
    assert_same(again["c"], matches["c"])


@METHODS
def test_callbacks_of_the_source_look_on(kind: type[Prompt], resources: FakeResources, unit: SourceUnit) -> None:
    matches = found(kind(resources, **SETTINGS), unit)
    resources.spies = [Spy()]
    watched = found(kind(resources, **SETTINGS), unit)
    assert resources.spies[0].steps == [0, 1] and resources.asked.count("a") == 2
    for key, match in matches.items():
        assert np.array_equal(watched[key].points, match.points)


def never(module: object, crops: object) -> None:
    pytest.fail("the embeddings were optimized")


def test_a_unit_that_asks_for_nothing(resources: FakeResources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdcorr.prompt.method.run", never)
    (silent,) = group_by_source([pair("b", [False] * 3)])
    ((_, match),) = Prompt(resources, **SETTINGS).match(silent, image)
    assert match.points.shape == (0, 2)


def test_a_broken_target_is_noticed_before_the_work(resources, unit, monkeypatch) -> None:
    def broken(key: str) -> Image.Image:
        if key == "c":
            raise UserError("c is broken")
        return image(key)

    monkeypatch.setattr("sdcorr.prompt.method.run", never)
    with pytest.raises(UserError, match="c is broken"):
        list(Prompt(resources, **SETTINGS).match(unit, broken))


def test_a_benchmark_s_point_outside_its_picture_is_matched(resources: FakeResources) -> None:
    beyond = replace(pair("b", [True] * 3), source_points=POINTS + [10, 0])
    ((_, match),) = Prompt(resources, **SETTINGS).match(group_by_source([beyond])[0], image)
    assert len(match.points) == 3


@METHODS
def test_a_network_that_gives_nan_gives_no_match(kind: type[Prompt], resources, unit, monkeypatch) -> None:
    weight = resources.model.unet.conv_in.weight
    monkeypatch.setattr(weight, "data", weight.data.index_fill(0, torch.tensor([0]), torch.nan))
    with pytest.raises(UserError, match="NaN or infinite: the weights are damaged"):
        found(kind(resources, **SETTINGS), unit)


@METHODS
def test_maps_are_where_the_points_are_and_were_found(kind: type[Prompt], resources, unit) -> None:
    settings = SETTINGS | {"crop_pool": 2}
    plain = found(kind(resources, **settings), unit)
    method = kind(replace(resources, map_cells=8), **settings)
    embeddings = method.matcher.optimize(image("a"), POINTS, "a")
    seen = method.matcher.source_maps(image("a"), embeddings, POINTS, "a")
    at_target = method.matcher.transfer(image("b"), embeddings, POINTS, "a", "b")
    layers = resources.model.layers
    for asking, match in method.match(unit, image):
        assert np.array_equal(match.points, plain[asking.id].points)  # looking changes nothing
        if not asking.visible.any():
            continue
        asked = torch.tensor(asking.visible)
        assert match.maps.layers == (*layers, "combined")
        assert match.maps.source.shape == match.maps.target.shape == (asking.visible.sum(), len(layers) + 1, 8, 8)
        of_layers = seen[asked].unflatten(-1, (8, -1)).mean(-1).unflatten(-2, (8, -1)).mean(-2)
        np.testing.assert_allclose(match.maps.source[:, :-1], of_layers.numpy(), rtol=1e-3, atol=1e-6)
        if asking.id == "b":
            combined = at_target[asked].flatten(2).softmax(-1).mean(1).view(-1, 8, 8, 8, 8).mean((2, 4))
            np.testing.assert_allclose(match.maps.target[:, -1], combined.numpy(), rtol=1e-3)


def test_a_consensus_leaves_what_it_weighed_beside_the_maps(resources: FakeResources, unit: SourceUnit) -> None:
    """The match is read from the surroundings of the peak that comes first; without maps nothing is kept."""
    settings = SETTINGS | {"consensus_block": "mid_block", "consensus": "dense"}
    for key, match in found(ReadOnce(replace(resources, map_cells=8), **settings), unit).items():
        if not len(match.points):
            continue
        assert match.maps is not None and match.maps.ballot is not None, key
        ballot = match.maps.ballot
        sums = np.log(np.maximum(ballot.shares, 1e-30)) + ballot.votes
        assert (np.diff(sums, axis=1) <= 1e-5).all()
        assert np.abs(ballot.places[:, 0] - match.points).max() <= 3 / 64 * 100
        assert np.isfinite(ballot.grid).all()
    assert all(match.maps is None for match in found(ReadOnce(resources, **settings), unit).values())
