import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback

import sdcorr.prompt
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.prompt import PromptMatcher
from tests.prompt.pictures import POINTS, SETTINGS, SIZES, image


@pytest.fixture(scope="module")
def matcher(small_backbone: FrozenDiffusion) -> PromptMatcher:
    return PromptMatcher(small_backbone, SETTINGS, "test")


def test_three_verbs(matcher: PromptMatcher) -> None:
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    assert embeddings.shape == (3, 2, 24, 64) and embeddings.dtype == torch.float32
    maps = matcher.transfer(image("c"), embeddings, POINTS, "a", "c")
    assert maps.shape == (3, 3, 64, 64)
    match = matcher.localize(maps, SIZES["c"])
    assert match.points.shape == (3, 2) and match.confidence.shape == (3,)
    assert (match.points >= 0).all() and (match.points <= SIZES["c"]).all() and (match.confidence > 0).all()


def test_a_point_does_not_depend_on_its_neighbors(matcher: PromptMatcher) -> None:
    together, alone = (matcher.optimize(image("a"), points, "a") for points in (POINTS, POINTS[1:2]))
    torch.testing.assert_close(alone[0], together[1], rtol=0, atol=1e-4)
    maps = [matcher.transfer(image("b"), e, p, "a", "b") for e, p in ((together, POINTS), (alone, POINTS[1:2]))]
    torch.testing.assert_close(maps[1][0], maps[0][1], rtol=1e-3, atol=1e-6)


def test_fewer_restarts_can_be_transferred(matcher: PromptMatcher) -> None:
    """A restart has the crops and the noise that it has among the others."""
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    every = matcher.transfer(image("b"), embeddings, POINTS, "a", "b")
    first = matcher.transfer(image("b"), embeddings[:, :1], POINTS, "a", "b")
    few = PromptMatcher(matcher.backbone, replace(SETTINGS, restarts=1), "test")
    torch.testing.assert_close(first, few.transfer(image("b"), embeddings[:, :1], POINTS, "a", "b"))
    assert not torch.allclose(first, every)


def test_source_maps_are_of_the_whole_image(matcher: PromptMatcher) -> None:
    embeddings = matcher.optimize(image("a"), POINTS, "a")
    whole = PromptMatcher(matcher.backbone, replace(SETTINGS, transfer_crops=1), "test")
    expected = whole.transfer(image("a"), embeddings, POINTS, "a", "a")
    torch.testing.assert_close(matcher.source_maps(image("a"), embeddings, POINTS, "a"), expected)


class Spy(Callback):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.steps.append(batch_idx)


def test_callbacks_look_on_and_change_nothing(matcher: PromptMatcher) -> None:
    spy = Spy()
    watched = matcher.optimize(image("a"), POINTS, "a", callbacks=[spy])
    assert spy.steps == [0, 1]
    assert torch.equal(watched, matcher.optimize(image("a"), POINTS, "a"))


def test_points_are_scaled_to_the_square(small_backbone: FrozenDiffusion) -> None:
    matcher = PromptMatcher(small_backbone, replace(SETTINGS, optimize_crops=False), "test")
    _, crops = matcher.problem(image("a"), POINTS, "a")
    expected = torch.tensor(POINTS) * torch.tensor([64 / 80, 64 / 48])
    torch.testing.assert_close(crops[0]["centers"], expected.repeat_interleave(2, 0).float())
    assert [(q.image, q.x, q.y, q.restart) for q in crops.queries[:2]] == [("a", 10, 20, 0), ("a", 10, 20, 1)]


@pytest.mark.parametrize(
    "points, complaint",
    [
        (
            [[10, 20], [np.nan, 3]],
            r"Point 2, \(nan, 3\), is not in the picture, which is 80 x 48 pixels: give x from 0",
        ),
        ([[10, np.inf]], r"Point 1, \(10, inf\)"),
        ([[80, 48], [80.5, 3]], r"Point 2, \(80.5, 3\)"),
        ([[0, 0], [3, -1]], r"Point 2, \(3, -1\).* y from 0 to 48"),
        ([1, 2], r"shape \(2,\) are given: give \(P, 2\)"),
        ([[1, 2, 3]], r"shape \(1, 3\)"),
        (np.empty((0, 2)), r"shape \(0, 2\)"),
    ],
)
def test_points_that_are_none_of_the_picture(matcher: PromptMatcher, points: list, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        matcher.optimize(image("a"), np.array(points), "a")


def test_a_benchmark_may_have_points_outside_but_not_nan(matcher: PromptMatcher) -> None:
    assert matcher.optimize(image("a"), np.array([[80.5, -1]]), "a", strict=False).isfinite().all()
    with pytest.raises(UserError, match="nan"):
        matcher.optimize(image("a"), np.array([[80.5, np.nan]]), "a", strict=False)


class TestLocalize:
    def test_scales_to_the_original_image(self, matcher: PromptMatcher) -> None:
        maps = torch.zeros(1, 3, 64, 64)
        maps[0, :, 31, 15] = 0.5
        match = matcher.localize(maps, (128, 32))
        assert match.points.tolist() == [[15.5 * 2, 31.5 / 2]]
        assert match.confidence.tolist() == pytest.approx([1])

    def test_soft_argmax(self, small_backbone: FrozenDiffusion) -> None:
        maps = torch.zeros(1, 3, 64, 64)
        maps[0, :, 31, 15:17] = 0.5
        settings = replace(SETTINGS, localization="soft_argmax", combination="mean", window=3)
        match = PromptMatcher(small_backbone, settings, "test").localize(maps, (64, 64))
        assert match.points.tolist() == [[16.0, 31.5]]


def test_other_layers_can_be_read_at_transfer(small_backbone: FrozenDiffusion, two_level_folder: Path) -> None:
    """All layers are optimized; what one of them shows at the target is what it shows among all."""
    settings = replace(SETTINGS, adaptive_crops=False)
    layer = small_backbone.layers[1]
    reader = FrozenDiffusion.load(str(two_level_folder), layers=[layer])
    both = [PromptMatcher(small_backbone, settings, "test", other) for other in (None, reader)]
    embeddings = [matcher.optimize(image("a"), POINTS, "a") for matcher in both]
    assert torch.equal(*embeddings)
    every, one = (matcher.transfer(image("b"), embeddings[0], POINTS, "a", "b") for matcher in both)
    torch.testing.assert_close(one, every[:, 1:2], rtol=1e-4, atol=1e-6)
    assert both[1].map_names == (layer, "combined")


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"token": 24}, "method.token=24 is not in this model: give 0 to 23"),
        ({"timestep": 1000}, "method.timestep=1000 is not in this model: give 0 to 999"),
        ({"transfer_timestep": 2000}, "method.transfer_timestep=2000"),
        ({"crop": 0.01}, "method.crop=0.01 is not one pixel of 64: give a greater share"),
    ],
)
def test_settings_that_the_model_cannot_follow(small_backbone: FrozenDiffusion, wrong: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        PromptMatcher(small_backbone, replace(SETTINGS, **wrong), "test")


class TestHouse:
    CORE = sorted(Path(sdcorr.prompt.__file__).parent.glob("*.py"))

    def test_the_core_knows_nothing_of_speed(self) -> None:
        for path in self.CORE:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                assert not any(name.startswith("sdcorr.prompt.speed") for name in names), path.name

    def test_the_core_reads_in_an_hour(self) -> None:
        assert sum(len(path.read_text().splitlines()) for path in self.CORE) < 900
