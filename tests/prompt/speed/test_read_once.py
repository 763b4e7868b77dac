from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sdcorr.datasets.base import Pair, group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.methods.prompt_units import match_unit
from sdcorr.prompt.module import fit, run
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.speed import ReadOnceMatcher, ReadOnceSettings
from sdcorr.prompt.speed.latents import LatentCache
from sdcorr.prompt.speed.pool import CropPool
from sdcorr.prompt.speed.read_once import PictureReader, ReadCrops, ReadOnceOptimization, read_out

SETTINGS = ReadOnceSettings(
    timestep=100, transfer_timestep=100, steps=6, restarts=2, sigma=4.0, crop=0.75, crop_pool=3, heads="all"
)
DRAWS = Draws(0, "test", "uniform")
PICTURE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
POINTS = torch.tensor([[20.0, 30.0], [63.0, 5.0]])
QUERIES = [Query("a", x, y, restart) for x, y in POINTS.tolist() for restart in range(2)]


class SpyBackbone:
    """Counts the crops that are read, and refuses every other pass of the UNet."""

    def __init__(self, backbone):
        self._backbone, self.read = backbone, 0

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def attention_queries(self, noisy, *args, **options):
        self.read += len(noisy)
        return self._backbone.attention_queries(noisy, *args, **options)

    def attention_maps(self, *args, **options):
        pytest.fail("the UNet is in the loop")


@pytest.fixture
def backbone(small_backbone) -> SpyBackbone:
    return SpyBackbone(small_backbone)


@pytest.fixture
def crops(backbone) -> CropPool:
    return CropPool(LatentCache(backbone), PICTURE, 48, 3)


@pytest.fixture
def reading(crops, backbone):
    return PictureReader(backbone, SETTINGS, DRAWS).read("a", crops, 100)


def problem(backbone, crops, reading, settings=SETTINGS):
    points = POINTS.repeat_interleave(2, 0)
    start = DRAWS.embeddings(QUERIES, backbone.tokens, backbone.width)
    module = ReadOnceOptimization(backbone, start, settings, reading)
    return module, ReadCrops(crops, points, QUERIES, settings, DRAWS)


def test_settings_need_a_pool_of_crops_and_no_mirror():
    with pytest.raises(UserError, match="crop_pool=0 is not legal: give 4, say"):
        ReadOnceSettings(crop_pool=0)
    with pytest.raises(UserError, match="flip=0.5 is not legal: give 0"):
        ReadOnceSettings(flip=0.5)
    assert ReadOnceSettings().crop_pool == 4
    with pytest.raises(UserError, match="method.steps=0"):
        ReadOnceSettings(steps=0)


class TestReading:
    def test_is_the_attention_queries_of_each_crop(self, reading, crops, backbone):
        assert sorted(reading.starts.tolist()) == [[x, y] for x in (0, 8, 16) for y in (0, 8, 16)]
        number = 5
        x, y = reading.starts[number].tolist()
        latents = backbone.encode(crops.pixels(torch.tensor([[0, x, y, 0]])))
        noisy = backbone.add_noise(latents, DRAWS.noise([Query("a", 0, 0, 0)], number, latents.shape[1:]), 100)
        empty = torch.zeros(1, backbone.tokens, backbone.width)
        for layer, alone in zip(
            reading.queries, backbone.attention_queries(noisy, 100, empty, heads="all"), strict=True
        ):
            torch.testing.assert_close(layer[number : number + 1], alone, rtol=1e-4, atol=1e-5)

    def test_a_picture_is_read_once_a_timestep(self, backbone, crops):
        reader = PictureReader(backbone, SETTINGS, DRAWS)
        assert reader.read("a", crops, 100) is reader.read("a", CropPool(LatentCache(backbone), PICTURE, 48, 3), 100)
        assert backbone.read == 9
        reader.read("a", crops, 40)
        reader.read("a", CropPool(LatentCache(backbone), PICTURE / 2, 48, 3), 100)  # another picture of that name
        assert backbone.read == 27

    def test_what_is_no_number_is_not_kept(self, backbone, crops):
        reader = PictureReader(backbone, SETTINGS, DRAWS)
        backbone.attention_queries = lambda *args, **how: [torch.full((9, 2, 4, 8), torch.nan)]
        with pytest.raises(UserError, match="The attention queries of a are NaN or infinite"):
            reader.read("a", crops, 100)
        del backbone.attention_queries
        assert all(layer.isfinite().all() for layer in reader.read("a", crops, 100).queries)

    def test_the_oldest_are_forgotten(self, backbone, crops, reading):
        size = sum(layer.numel() * 4 for layer in reading.queries)
        reader = PictureReader(backbone, SETTINGS, DRAWS, budget=2 * size)
        kept = [reader.read(key, crops, 100) for key in "abac"]
        assert kept[0] is kept[2] and reader.read("a", crops, 100) is kept[0]
        assert reader.read("b", crops, 100) is not kept[1]


class TestReadCrops:
    def test_numbers_are_those_of_the_boxes(self, backbone, crops, reading):
        _, steps = problem(backbone, crops, reading)
        assert len(steps) == 6
        for step in range(6):
            batch = steps[step]
            assert torch.equal(reading.starts[batch["numbers"]], batch["boxes"][:, 1:3])
            expected = (POINTS.repeat_interleave(2, 0) - batch["boxes"][:, 1:3]) * 64 / 48
            torch.testing.assert_close(batch["centers"], expected)

    def test_a_point_at_the_border_gets_the_crops_at_the_border(self, backbone, crops, reading):
        _, steps = problem(backbone, crops, reading)
        boxes = torch.stack([steps[step]["boxes"][2:] for step in range(6)])
        assert set(boxes[..., 1].flatten().tolist()) == {16} and set(boxes[..., 2].flatten().tolist()) == {0}


class TestOptimization:
    def test_loss_falls_without_the_unet(self, backbone, crops, reading):
        settings = replace(SETTINGS, steps=40, sigma=8.0, learning_rate=0.05)
        read, losses = backbone.read, []
        run(*problem(backbone, crops, reading, settings), lambda step, loss: losses.append(loss.item()))
        assert np.mean(losses[-8:]) < 0.97 * np.mean(losses[:8])
        assert backbone.read == read

    def test_a_trainer_gives_the_same(self, backbone, crops, reading):
        light = run(*problem(backbone, crops, reading))
        assert torch.equal(fit(*problem(backbone, crops, reading)), light)


def test_read_out_is_the_mean_over_crops_and_restarts(backbone, reading):
    embeddings = torch.randn(2, 2, backbone.tokens, backbone.width, generator=torch.Generator().manual_seed(1))
    maps, peaks = read_out(backbone, reading, embeddings, SETTINGS)
    assert maps.shape == (2, 3, 64, 64) and not maps.requires_grad
    sums, counts = torch.zeros(3, 64, 64), torch.zeros(64, 64)
    alone = torch.zeros(2, 64, 64)
    for number, (x, y) in enumerate(reading.starts.tolist()):
        for restart in range(2):
            one = backbone.attend(
                [q[number : number + 1] for q in reading.queries], embeddings[1:, restart], heads="all"
            )
            resized = [F.interpolate(m.mean(1, keepdim=True), size=(48, 48), mode="bilinear")[0, 0] for m in one]
            sums[:, y : y + 48, x : x + 48] += torch.stack(resized)
            alone[restart, y : y + 48, x : x + 48] += torch.stack(resized).mean(0)
            counts[y : y + 48, x : x + 48] += 1
    torch.testing.assert_close(maps[1], sums / counts, rtol=1e-4, atol=1e-6)
    heights = alone / (counts / 2)  # of the restarts' own maps, which come by way of the finest layer's grid
    for restart, (x, y) in enumerate((peaks[1] - 0.5).long().tolist()):
        assert heights[restart, y, x] >= heights[restart].max() * 0.99


def image(key: str) -> Image.Image:
    return Image.fromarray(np.random.default_rng(ord(key)).integers(0, 255, (64, 64, 3), dtype=np.uint8))


def pair(source: str, target: str) -> Pair:
    points = POINTS.double().numpy()
    sizes = {"source_size": (64, 64), "target_size": (64, 64)}
    return Pair(source + target, "thing", source, target, **sizes, source_points=points, target_points=points,
                visible=np.ones(2, bool), names=("nose", "tail"))  # fmt: skip


def test_a_picture_costs_the_same_however_many_pairs_it_is_in(backbone):
    pairs = [pair("a", "b"), pair("a", "c"), pair("b", "a"), pair("b", "c"), pair("c", "a")]
    matcher = ReadOnceMatcher(backbone, SETTINGS, "test")
    found = {}
    for unit in group_by_source(pairs):
        for pair_, match in match_unit(matcher, unit, image):
            found[pair_.id] = match
    assert set(found) == {"ab", "ac", "ba", "bc", "ca"}
    assert all(match.points.shape == (2, 2) for match in found.values())
    assert backbone.read == 3 * 9 + 1  # one to learn how much memory a query takes


def test_a_match_does_not_depend_on_the_others(backbone):
    (unit,), (alone,) = group_by_source([pair("a", "b"), pair("a", "c")]), group_by_source([pair("a", "c")])
    together = {
        pair_.id: match for pair_, match in match_unit(ReadOnceMatcher(backbone, SETTINGS, "test"), unit, image)
    }
    ((_, match),) = match_unit(ReadOnceMatcher(backbone, SETTINGS, "test"), alone, image)
    np.testing.assert_allclose(match.points, together["ac"].points)


def test_other_layers_can_be_read_at_transfer(small_backbone, two_level_folder):
    layer, points = small_backbone.layers[1], POINTS.numpy()
    reader = FrozenDiffusion.load(str(two_level_folder), layers=[layer])
    both = [ReadOnceMatcher(small_backbone, SETTINGS, "test", other) for other in (None, reader)]
    embeddings = [matcher.optimize(image("a"), points, "a") for matcher in both]
    assert torch.equal(*embeddings)
    every, one = (matcher.transfer(image("b"), embeddings[0], points, "a", "b") for matcher in both)
    torch.testing.assert_close(one, every[:, 1:2], rtol=1e-4, atol=1e-6)


def test_maps_that_are_no_numbers_are_refused(small_backbone, monkeypatch):
    matcher = ReadOnceMatcher(small_backbone, SETTINGS, "test")
    embeddings = matcher.optimize(image("a"), POINTS.numpy(), "a")
    attend = small_backbone.attend
    monkeypatch.setattr(small_backbone, "attend", lambda *args, **how: [m * torch.nan for m in attend(*args, **how)])
    with pytest.raises(UserError, match="The attention maps on b are NaN"):
        matcher.transfer(image("b"), embeddings, POINTS.numpy(), "a", "b")
    with pytest.raises(UserError, match="The loss at step 0 of the query"):
        matcher.optimize(image("a"), POINTS.numpy(), "a")
