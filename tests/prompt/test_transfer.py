from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from sdcorr.finite import NotFinite
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache
from sdcorr.prompt.transfer import MapCanvas
from sdcorr.prompt.transfer import transfer as transfer_rows

SETTINGS = PromptSettings(transfer_crops=6, sigma=4.0)
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
DRAWS = Draws(0, "test", "uniform", shared=False)
QUERIES = [Query("source", x, 5.0, restart, "ab"[image]) for image in (0, 1) for x in (3.0, 9.0) for restart in (0, 1)]
IMAGE_OF = [0, 0, 0, 0, 1, 1, 1, 1]


def embeddings(backbone) -> torch.Tensor:
    return DRAWS.embeddings([query._replace(target=None) for query in QUERIES], backbone.tokens, backbone.width)


class SpyBackbone:
    """A backbone whose every call is remembered."""

    def __init__(self, backbone):
        self._backbone, self.batches, self.encoded = backbone, [], 0

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def encode(self, images):
        self.encoded += len(images)
        return self._backbone.encode(images)

    def attention_maps(self, noisy, *args, **options):
        self.batches.append(len(noisy))
        return self._backbone.attention_maps(noisy, *args, **options)


def transfer(backbone, images, image_of, embeddings, queries, settings, draws):
    crops = CachedCrops(LatentCache(backbone), images, settings.transfer_side(backbone.image_size))
    return transfer_rows(backbone, crops, torch.tensor(image_of), embeddings, queries, settings, draws)


class TestMapCanvas:
    def test_hand_computed(self):
        canvas = MapCanvas(1, 1, 4, torch.device("cpu"))
        canvas.paste([torch.full((1, 2, 1, 1), 2.0)], torch.tensor([[0, 0]]), 3)
        canvas.paste([torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)], torch.tensor([[1, 2]]), 2)  # mean over heads 4
        assert canvas.mean()[0, 0].tolist() == [[2, 2, 2, 0], [2, 2, 2, 0], [2, 3, 3, 0], [0, 4, 4, 0]]
        assert canvas.peaks().tolist() == [[1.5, 3.5]]

    def test_maps_are_resized_to_their_crops(self):
        maps = [torch.rand(2, 3, 4, 4), torch.rand(2, 1, 8, 8)]
        canvas = MapCanvas(2, 2, 16, torch.device("cpu"))
        starts = torch.tensor([[5, 0], [1, 4]])
        canvas.paste(maps, starts, 11)
        for row, (x, y) in enumerate(starts.tolist()):
            for layer, layer_maps in enumerate(maps):
                expected = F.interpolate(layer_maps.mean(1, keepdim=True), size=(11, 11), mode="bilinear")[row, 0]
                torch.testing.assert_close(canvas.mean()[row, layer, y : y + 11, x : x + 11], expected)
        assert canvas.mean()[0, :, :, :5].abs().sum() == 0

    def test_peak_is_that_of_the_average_not_of_the_sum(self):
        canvas = MapCanvas(1, 1, 4, torch.device("cpu"))
        for _ in range(3):
            canvas.paste([torch.full((1, 1, 1, 1), 1.0)], torch.tensor([[0, 0]]), 2)
        canvas.paste([torch.full((1, 1, 1, 1), 2.0)], torch.tensor([[2, 2]]), 2)
        assert canvas.peaks().tolist() == [[2.5, 2.5]]


class TestTransfer:
    def test_shape(self, small_backbone):
        maps = transfer(small_backbone, IMAGES, IMAGE_OF, embeddings(small_backbone), QUERIES, SETTINGS, DRAWS)
        assert maps.shape == (8, 3, 64, 64)
        assert 0 <= maps.min() and maps.max() <= 1 and not maps.requires_grad

    @pytest.mark.parametrize("adaptive", [True, False])
    def test_a_row_does_not_depend_on_the_others(self, small_backbone, adaptive):
        settings = replace(SETTINGS, adaptive_crops=adaptive)
        spy = SpyBackbone(small_backbone)
        e = embeddings(spy)
        together = transfer(spy, IMAGES, IMAGE_OF, e, QUERIES, settings, DRAWS)
        assert spy.batches == [8] * 6
        some = [1, 2, 5]
        few = transfer(spy, IMAGES, [IMAGE_OF[i] for i in some], e[some], [QUERIES[i] for i in some], settings, DRAWS)
        torch.testing.assert_close(few, together[some], rtol=1e-4, atol=1e-6)
        alone = transfer(spy, IMAGES[1:], [0], e[6:7], QUERIES[6:7], settings, DRAWS)
        torch.testing.assert_close(alone[0], together[6], rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("adaptive", [True, False])
    def test_maps_that_are_no_numbers_are_refused(self, small_backbone, adaptive):
        class Broken(SpyBackbone):
            def attention_maps(self, noisy, *args, **options):
                maps = super().attention_maps(noisy, *args, **options)
                maps[1][5, 0, 2, 2] = torch.nan
                return maps

        backbone = Broken(small_backbone)
        settings = replace(SETTINGS, adaptive_crops=adaptive)
        with pytest.raises(NotFinite, match="attention maps on b are NaN or infinite: ") as told:
            transfer(backbone, IMAGES, IMAGE_OF, embeddings(backbone), QUERIES, settings, DRAWS)
        assert told.value.image == QUERIES[5].target == "b"

    def test_one_crop_is_the_whole_image(self, small_backbone):
        settings = replace(SETTINGS, transfer_crops=1)
        e = embeddings(small_backbone)
        maps = transfer(small_backbone, IMAGES, IMAGE_OF, e, QUERIES, settings, DRAWS)
        latents = small_backbone.encode(IMAGES)[IMAGE_OF]
        noisy = small_backbone.add_noise(latents, DRAWS.noise(QUERIES, 0, latents.shape[1:]), 40)
        expected = [
            F.interpolate(m.mean(1, keepdim=True), size=(64, 64), mode="bilinear")
            for m in small_backbone.attention_maps(noisy, 40, e)
        ]
        torch.testing.assert_close(maps, torch.cat(expected, 1))

    def test_corners_first(self, small_backbone, monkeypatch):
        corners = []
        paste = MapCanvas.paste
        monkeypatch.setattr(
            MapCanvas,
            "paste",
            lambda self, maps, starts, side: corners.append(starts) or paste(self, maps, starts, side),
        )
        transfer(small_backbone, IMAGES, IMAGE_OF, embeddings(small_backbone), QUERIES, SETTINGS, DRAWS)
        end = 64 - int(64 * SETTINGS.crop)
        for starts, corner in zip(corners[:4], [(0, 0), (0, end), (end, 0), (end, end)], strict=True):
            assert starts.tolist() == [list(corner)] * 8
        assert len({tuple(start) for start in corners[5].tolist()}) > 1  # each query has its own

    def test_later_crops_follow_the_peak(self, small_backbone):
        # Only the crop in the right top corner, the third, sees something: at its right edge, 16.5 px from the top.
        class Peaked(SpyBackbone):
            def attention_maps(self, noisy, *args, **options):
                super().attention_maps(noisy, *args, **options)
                maps = torch.zeros(len(noisy), 1, 16, 16)
                maps[:, :, 8, 15] = len(self.batches) == 3
                return [maps] * 3

        starts = []
        draws = Draws(0, "test", "uniform", shared=False)
        draw = draws.crop_starts
        draws.crop_starts = lambda *args: starts.append(draw(*args)) or starts[-1]
        backbone = Peaked(small_backbone)
        settings = replace(SETTINGS, crop=0.5)
        transfer(backbone, IMAGES, IMAGE_OF, embeddings(backbone), QUERIES, settings, draws)
        x, y = starts[4].unbind(-1)
        assert (x == 32).all()
        assert (y <= 16 - int(32 * settings.crop_margin)).all() and len(set(y.tolist())) > 1

    def test_shared_crops_are_encoded_once_a_target(self, small_backbone):
        spy = SpyBackbone(small_backbone)
        settings = replace(SETTINGS, adaptive_crops=False, crop=0.5)
        transfer(spy, IMAGES, IMAGE_OF, embeddings(spy), QUERIES, settings, DRAWS)
        assert spy.encoded == 2 * SETTINGS.transfer_crops
