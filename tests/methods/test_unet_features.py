import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.finite import NotFinite
from sdcorr.methods.features import cosine_maps, features_at
from sdcorr.methods.unet_features import UNetFeatures
from tests.golden.released import weights
from tests.methods.test_image_patches import texture
from tests.run.fakes import make_pair


class Given:
    """Resources with one model, which is given."""

    def __init__(self, backbone) -> None:
        self._backbone = backbone

    def backbone(self, truncate: bool = True):
        assert not truncate, "the block may lie beyond the last map"
        return self._backbone


class FakeBackbone:
    """Its latents are the image at an eighth of its side, and its features their 3 x 3 surroundings."""

    image_size, tokens, width, device, precision = 256, 4, 6, torch.device("cpu"), "bf16"
    alphas_cumprod = torch.ones(1000)

    def __init__(self):
        self.encoded, self.batches = 0, []

    def encode(self, images):
        assert images.shape[1:] == (3, 256, 256) and 0 <= images.min() and images.max() <= 1
        self.encoded += len(images)
        return F.avg_pool2d(images, 8) * 2 - 1

    def add_noise(self, latents, noise, timestep):
        return latents + timestep / 1000 * noise

    def features(self, noisy, timestep, embeddings, blocks):
        assert embeddings.shape == (len(noisy), self.tokens, self.width) and not embeddings.any()
        self.batches.append(noisy)
        surroundings = F.unfold(noisy, 3, padding=1).unflatten(-1, noisy.shape[-2:])  # (B, 27, h, w)
        return dict.fromkeys(blocks, surroundings)


def unit_of(*pairs):
    (unit,) = group_by_source(pairs)
    return unit


def pair_of(id, source, target, points):
    points = np.array(points, dtype=float)
    return make_pair(
        id,
        points=len(points),
        source_size=source.size,
        target_size=target.size,
        source_points=points,
        target_points=points * target.size / source.size,
    )


class TestFeaturesAt:
    def test_cell_centers_and_between(self):
        features = torch.arange(4.0).expand(2, 4, 4)
        at = features_at(features, torch.tensor([[0.5, 2.0], [1.0, 2.0], [0.0, 0.0], [4.0, 4.0]]))
        assert at.shape == (4, 2)
        assert at[:, 0].tolist() == pytest.approx([0, 0.5, 0, 3])


class TestCosineMaps:
    def test_equal_to_enlarging_everything(self):
        queries, features = torch.randn(3, 150), torch.randn(150, 4, 4)
        enlarged = F.interpolate(features[None], size=(32, 32), mode="bilinear", align_corners=False)[0]
        expected = torch.einsum("vc,chw->vhw", F.normalize(queries, dim=1), F.normalize(enlarged, dim=0))
        assert torch.allclose(cosine_maps(queries, features, (32, 32)), expected, atol=1e-5)

    def test_features_of_nothing_are_like_nothing(self):
        assert cosine_maps(torch.randn(1, 5), torch.zeros(5, 4, 4), (8, 8)).abs().max() == 0


class TestUNetFeatures:
    def test_points_are_found_again(self):
        source = texture(128, 96)
        target = source.resize((200, 300), Image.Resampling.BICUBIC)
        pair = pair_of("a-b", source, target, [[31, 30], [64, 50], [100, 60]])
        method = UNetFeatures(Given(FakeBackbone()), "up_blocks.1", timestep=50)
        ((_, match),) = method.match(unit_of(pair), {"a": source, "b": target}.__getitem__)
        errors = np.abs(match.points - pair.true_points) / target.size
        assert errors.max() < 1 / 32  # one cell of the features
        assert match.confidence.min() > 0.9

    def test_the_noise_belongs_to_the_image(self):
        images = {name: texture(64, 64, seed) for seed, name in enumerate("abc")}
        pairs = [pair_of(f"a-{name}", images["a"], images[name], [[20, 30], [40, 50]]) for name in "bc"]

        def points(pairs, seed=0):
            method = UNetFeatures(Given(FakeBackbone()), "up_blocks.1", timestep=300, draws=2, seed=seed)
            return {pair.id: match.points for pair, match in method.match(unit_of(*pairs), images.__getitem__)}

        together, alone, reseeded = points(pairs), points(pairs[1:]), points(pairs, seed=1)
        assert np.array_equal(together["a-c"], alone["a-c"])
        assert any(not np.array_equal(together[id], reseeded[id]) for id in together)

    def test_draws_differ_and_are_averaged(self):
        image, backbone = texture(64, 64), FakeBackbone()
        method = UNetFeatures(Given(backbone), "block", timestep=500, draws=5)
        list(method.match(unit_of(pair_of("a-a", image, image, [[20, 30]])), {"a": image}.__getitem__))
        (noisy,) = backbone.batches
        assert noisy.shape == (5, 3, 32, 32)
        noise = (noisy - noisy.mean(0)) / 0.5
        assert noise.std().item() == pytest.approx((4 / 5) ** 0.5, rel=0.05)

    def test_a_timestep_that_the_model_has_not(self):
        with pytest.raises(UserError, match="timestep=1000 of unet_features is not in this model: give 0 to 999"):
            UNetFeatures(Given(FakeBackbone()), "block", timestep=1000).prepare()

    @pytest.mark.parametrize("settings", [{"timestep": -1}, {"draws": -1}, {"seed": 0.5}, {"localization": "max"}])
    def test_a_setting_that_is_not_legal(self, settings):
        (name,) = settings
        with pytest.raises(UserError, match=f"{name}=.* of unet_features is not legal"):
            UNetFeatures(None, **({"block": "block", "timestep": 1} | settings))

    def test_nothing_is_kept_of_features_that_are_no_numbers(self, monkeypatch):
        images, backbone = {name: texture(64, 64, seed) for seed, name in enumerate("ab")}, FakeBackbone()
        method = UNetFeatures(Given(backbone), "block", timestep=50)
        unit, features = unit_of(pair_of("a-b", images["a"], images["b"], [[20, 30]])), backbone.features

        def overflowing(noisy, *given):
            scale = torch.inf if backbone.encoded == 2 else 1.0  # at the target
            return {block: each * scale for block, each in features(noisy, *given).items()}

        monkeypatch.setattr(backbone, "features", overflowing)
        with pytest.raises(
            NotFinite, match="features of b are NaN or infinite: numbers grow too large for bf16"
        ) as told:
            list(method.match(unit, images.__getitem__))
        assert told.value.image == "b"
        assert len(list(method.match(unit, images.__getitem__))) == 1 and backbone.encoded == 3  # b alone, once more

    def test_an_image_is_read_once(self):
        images, backbone = {name: texture(64, 64, seed) for seed, name in enumerate("ab")}, FakeBackbone()
        method = UNetFeatures(Given(backbone), "block", timestep=50)
        read = images.__getitem__
        for id in ("a-b", "b-a", "a-b"):
            list(method.match(unit_of(pair_of(id, images["a"], images["b"], [[20, 30]])), read))
        assert backbone.encoded == 2


def test_with_a_real_backbone():
    """A picture under two names gets two draws of noise; its points are found again even with random weights."""
    layers = ["up_blocks.1.attentions.0"]
    backbone = FrozenDiffusion.load(str(weights()), layers=layers, image_size=128, truncate=False)
    picture = texture(128, 128)
    pair = pair_of("a-b", picture, picture, [[31.5, 30.5], [64.5, 50.5], [100.5, 60.5]])
    method = UNetFeatures(Given(backbone), "up_blocks.2", timestep=20, draws=4)
    ((_, match),) = method.match(unit_of(pair), {"a": picture, "b": picture}.__getitem__)
    assert np.abs(match.points - pair.true_points).max() < 8  # pixels of a latent
    assert (match.confidence > 0.5).all()
