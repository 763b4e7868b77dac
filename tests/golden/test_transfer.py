"""Transfer and localization against the released code, with its random draws, on our fast path.

What the adaptive crops are centered on was worked out from these files: the greatest value of the mean over layers and
heads of the running per-pixel average. `RecordedDraws` checks the bounds that follow from every center.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from sdcorr.prompt.localize import argmax, combine_layers
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache
from sdcorr.prompt.transfer import MapCanvas, transfer
from tests.golden import released

MAPS = 5e-6  # tolerance, absolute
TIE = 1e-6  # values this close, relatively, are one maximum: bilinear upsampling makes plateaus


@pytest.fixture(
    scope="module", params=sorted({path.name.split(".")[0] for path in released.FOLDER.glob("f_inference*")})
)
def recorded(request, arrays):
    return arrays(request.param)


@pytest.fixture(scope="module")
def settings(recorded, arrays):
    return released.transfer_settings(recorded, released.optimization_settings(arrays("e_optimize")))


@pytest.fixture(scope="module")
def result(backbone, images, recorded, settings) -> tuple[Tensor, list[list[Tensor]]]:
    """(contexts, L, S, S), all contexts in one batch; and for each crop what the UNet gave, on its own grids."""
    contexts = range(settings.restarts)
    native, read = [], backbone.attention_maps
    with pytest.MonkeyPatch.context() as patch:

        def spy(*args, **options):
            native.append(read(*args, **options))
            return native[-1]

        patch.setattr(backbone, "attention_maps", spy)
        maps = transfer(
            backbone,
            CachedCrops(LatentCache(backbone), images["trg"][None], settings.transfer_side(backbone.image_size)),
            torch.zeros(len(contexts), dtype=torch.int64),
            torch.from_numpy(recorded["context"]),
            released.queries(contexts, "trg"),
            settings,
            released.RecordedDraws(recorded, settings.flip),
        )
    return maps, native


@pytest.fixture(scope="module")
def maps(result) -> Tensor:
    return result[0]


def assert_is_maximum(flat_map: np.ndarray, x: float, y: float) -> None:
    """That the recorded pixel is one of the greatest of our map."""
    assert flat_map[int(y), int(x)] >= flat_map.max() * (1 - TIE)


def test_maps(maps, recorded):
    np.testing.assert_allclose(maps[:, :, 255], recorded["maps_headmean_row255"], rtol=0, atol=MAPS)
    if "maps_headmean_stride2" in recorded:
        np.testing.assert_allclose(maps[:, :, ::2, ::2], recorded["maps_headmean_stride2"], rtol=0, atol=MAPS)


def test_maps_of_each_crop(result, recorded, settings):
    for crop, native in enumerate(result[1]):
        for index, maps in zip(released.loss_indices(), native, strict=True):
            expected = recorded[f"native_{index}"][:, crop]
            np.testing.assert_allclose(maps, expected, rtol=0, atol=MAPS, err_msg=f"crop {crop}")
    assert len(result[1]) == settings.transfer_crops


def test_maps_of_each_head(result, recorded, backbone):
    y, side, x, _ = torch.from_numpy(recorded["crop_y_h_x_w"]).unbind(-1)  # (contexts, crops) each
    for head in range(len(released.kept_heads())):
        canvas = MapCanvas(len(x), len(backbone.layers), backbone.image_size, backbone.device)
        for crop, native in enumerate(result[1]):
            starts = torch.stack((x[:, crop], y[:, crop]), -1)
            canvas.paste([maps[:, head : head + 1] for maps in native], starts, int(side[0, crop]))
        expected = recorded["maps_heads_stride16"][:, :, head]
        np.testing.assert_allclose(canvas.mean()[:, :, 7::16, 7::16], expected, rtol=0, atol=MAPS)


def test_maximum_of_each_layer(maps, recorded):
    for context, layers in enumerate(recorded["layer_argmax_xy"]):
        for layer, (x, y) in enumerate(layers):
            assert_is_maximum(maps[context, layer].numpy(), x, y)


def test_final_point(maps, recorded, settings):
    combined = combine_layers(maps.mean(0)[None], settings.combination)
    np.testing.assert_allclose(combined[0, ::4, ::4], recorded["final_map_softmax_mean_stride4"], rtol=1e-5)
    np.testing.assert_allclose(combined.flatten().topk(5).values, recorded["final_top5_values"], rtol=1e-6)
    assert point_of(combined) in ties(recorded["final_ties_rel1e-6_yx"])
    assert_is_maximum(combined[0].numpy(), *recorded["final_argmax_xy"])


def test_plain_mean_point(maps, recorded):
    combined = combine_layers(maps.mean(0)[None], "mean")
    np.testing.assert_allclose(combined.max(), recorded["derived_nosoftmax_max"], rtol=1e-5)
    x, y = point_of(combined)
    assert combined[0, int(y), int(x)] == combined.max()
    assert_is_maximum(combined[0].numpy(), *recorded["derived_argmax_xy_without_softmax"])


@pytest.mark.parametrize("recorded", ["f_inference"], indirect=True)
def test_points_of_single_contexts(maps, recorded, settings):
    combined = combine_layers(maps, settings.combination)
    for single, (x, y) in zip(combined, recorded["derived_est_keypoint_single_context"], strict=True):
        assert_is_maximum(single.numpy(), x, y)
    np.testing.assert_allclose(combined[0, ::4, ::4], recorded["single0_final_map_stride4"], rtol=1e-5)
    assert point_of(combined[:1]) in ties(recorded["single0_ties_rel1e-6_yx"])


def point_of(combined: Tensor) -> tuple[float, float]:
    return tuple(argmax(combined)[0].tolist())


def ties(yx: np.ndarray) -> list[tuple[float, float]]:
    """Pixel centers of the pixels that all are right answers."""
    return [(x + 0.5, y + 0.5) for y, x in yx]
