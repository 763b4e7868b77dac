from random import Random

import pytest
import torch
from torch import nn

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.truncate import drop_unreached
from sdcorr.toybox.anatomy import MODEL_FOLDER
from tests import models
from tests.golden import released


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.floors = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3))
        self.roof = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, height: int) -> torch.Tensor:
        for floor in self.floors[:height]:
            x = floor(x)
        return x if height < len(self.floors) else self.roof(x)


def test_what_is_not_called_is_dropped():
    tower, x = Tower(), torch.randn(3, 2)
    before = tower(x, 2)
    assert drop_unreached(tower, lambda: tower(x, 2)) == ("floors.2", "roof")
    assert torch.equal(tower(x, 2), before)
    assert len(tower.floors) == 3  # places stay
    assert sum(p.numel() for p in tower.parameters()) == 2 * 6
    assert not any(module._forward_pre_hooks for module in tower.modules())


@pytest.fixture(scope="module", params=["sd1", "sd2", "toybox", "two_level", "one_head"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    return {
        "sd1": released.weights,
        "sd2": lambda: models.save_sd2_like(path),
        "toybox": lambda: MODEL_FOLDER,
        "two_level": lambda: models.save_two_level(path),
        "one_head": lambda: models.save_two_level(path, heads=1),
    }[request.param]()


def load(folder, layers, **options) -> FrozenDiffusion:
    return FrozenDiffusion.load(str(folder), layers=layers, image_size=64, **options)


def maps_and_gradient(model: FrozenDiffusion) -> tuple[list[torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(2, 4, model.latent_size, model.latent_size, generator=generator)
    embeddings = torch.randn(2, model.tokens, model.width, generator=generator).requires_grad_()
    maps = model.attention_maps(noisy, 140, embeddings)
    sum((m * torch.linspace(0, 1, m.numel()).view_as(m)).sum() for m in maps).backward()
    return maps, embeddings.grad


def test_same_maps_and_gradients_for_any_choice_of_layers(folder):
    every = load(folder, ["mid_block.attentions.0"], truncate=False)
    layers = every.all_layers
    random, sizes = Random(0), []
    for last in range(len(layers)):
        chosen = [*random.sample(layers[:last], random.randint(0, last)), layers[last]]
        random.shuffle(chosen)
        cut, whole = (load(folder, chosen, truncate=truncate) for truncate in (True, False))
        (maps, gradient), (expected_maps, expected_gradient) = maps_and_gradient(cut), maps_and_gradient(whole)
        for ours, expected in zip(maps, expected_maps, strict=True):
            assert torch.equal(ours, expected), chosen
        assert torch.equal(gradient, expected_gradient), chosen
        assert gradient.abs().sum() > 0
        sizes.append(sum(p.numel() for p in cut.unet.parameters()))
    assert sizes == sorted(set(sizes))  # each later cut keeps more
    assert sizes[-1] < sum(p.numel() for p in every.unet.parameters())


def test_layers_keep_the_order_asked_for(folder):
    layers = load(folder, ["mid_block.attentions.0"]).all_layers
    first, last = layers[0], "mid_block.attentions.0"
    forward, backward = load(folder, [first, last]), load(folder, [last, first])
    assert backward.layers == (last, first)
    for ours, expected in zip(maps_and_gradient(backward)[0], reversed(maps_and_gradient(forward)[0]), strict=True):
        assert torch.equal(ours, expected)


def test_memory_format_changes_no_map_and_no_gradient(folder):
    layers = load(folder, ["mid_block.attentions.0"], truncate=False).all_layers
    read = [maps_and_gradient(load(folder, layers, channels_last=channels_last)) for channels_last in (False, True)]
    torch.testing.assert_close(*read, rtol=0, atol=1e-5)
