"""Networks of every kind in their true structure, at widths that cost nothing: maps equal to transformers' own."""

import time
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    ConvNextConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    ResNetConfig,
    SwinConfig,
    ViTConfig,
)

from sdcorr.errors import UserError
from sdcorr.vision import load_network
from sdcorr.vision.network import IMAGENET_MEAN

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
VIT = SMALL | {"intermediate_size": 64}
STAGES = {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}
CONFIGS = {
    "dinov2": (Dinov2Config(**SMALL, image_size=28, patch_size=14), 14, 4),
    "dinov2 with registers": (Dinov2WithRegistersConfig(**SMALL, image_size=28, patch_size=14), 14, 4),
    "dinov3": (DINOv3ViTConfig(**VIT, image_size=32, patch_size=16, num_register_tokens=4), 16, 4),
    "vit": (ViTConfig(**VIT, image_size=32, patch_size=16), 16, 4),
    "clip": (CLIPVisionConfig(**VIT, image_size=32, patch_size=16), 16, 4),
    "convnext": (ConvNextConfig(**STAGES), 4, 5),
    "resnet": (ResNetConfig(embedding_size=8, **STAGES), 4, 5),
    "swin": (
        SwinConfig(embed_dim=12, depths=[1, 1], num_heads=[2, 2], image_size=32, patch_size=4, window_size=4),
        4,
        3,
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def saved(request, tmp_path_factory) -> tuple[str, torch.nn.Module, Path, int, int]:
    config, stride, layers = CONFIGS[request.param]
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    model.save_pretrained(folder)
    return request.param, model, folder, stride, layers


def plain(name: str, model, pixels: torch.Tensor, layer: int, patch: int) -> torch.Tensor:
    """What transformers itself gives for a layer, put on a grid by hand, cell by cell."""
    options = {"interpolate_pos_encoding": True} if name in ("vit", "clip", "swin") else {}
    with torch.no_grad():
        output = model(pixels, output_hidden_states=True, **options)
    if name == "swin":
        return output.reshaped_hidden_states[layer]
    last = layer == len(output.hidden_states) - 1
    state = output.last_hidden_state if last else output.hidden_states[layer]
    if state.dim() == 4:
        return state
    extra = {"dinov2": 1, "dinov2 with registers": 5, "dinov3": 5, "vit": 1, "clip": 1}[name]
    height, width = pixels.shape[2] // patch, pixels.shape[3] // patch
    grid = torch.empty(1, state.shape[-1], height, width)
    for row in range(height):
        for column in range(width):
            grid[0, :, row, column] = state[0, extra + row * width + column]
    return grid


def test_maps_are_those_of_transformers(saved) -> None:
    name, model, folder, stride, layers = saved
    network = load_network(str(folder))
    assert network.stride == stride
    pixels = torch.rand(1, 3, 4 * stride, 6 * stride) if stride > 4 else torch.rand(1, 3, 64, 96)
    normalized = (pixels - network.get_buffer("mean")) / network.get_buffer("std")
    for layer, found in enumerate(network(pixels, range(layers))):
        expected = plain(name, model, normalized, layer, stride)
        assert found.shape == expected.shape and (found - expected).abs().max() < 1e-6
    assert network(pixels, [-1])[0].equal(network(pixels, [layers - 1])[0])


def test_weights_of_half_the_digits_compute_in_float32(tmp_path) -> None:
    model = AutoModel.from_config(CONFIGS["dinov2"][0]).half()
    model.save_pretrained(tmp_path)
    pixels = torch.rand(1, 3, 28, 28)
    (found,) = load_network(str(tmp_path), mean=(0, 0, 0), std=(1, 1, 1))(pixels, [1])
    torch.testing.assert_close(found, plain("dinov2", model.float().eval(), pixels, 1, 14), rtol=0, atol=1e-6)


def test_a_layer_that_is_not_there(saved) -> None:
    *_, folder, stride, layers = saved
    with pytest.raises(UserError, match=f"no layer {layers}: give numbers from -{layers} to {layers - 1}"):
        load_network(str(folder))(torch.rand(1, 3, 64, 64) if stride == 4 else torch.rand(1, 3, 56, 56), [layers])


class TestStatistics:
    def test_of_the_models_own_processor(self, tmp_path) -> None:
        AutoModel.from_config(CONFIGS["resnet"][0]).save_pretrained(tmp_path)
        assert load_network(str(tmp_path)).get_buffer("mean").flatten().tolist() == pytest.approx(IMAGENET_MEAN)
        (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [1, 2, 3]}')
        network = load_network(str(tmp_path))
        assert network.get_buffer("mean").flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
        assert network.get_buffer("std").flatten().tolist() == [1, 2, 3]

    def test_given(self, tmp_path) -> None:
        AutoModel.from_config(CONFIGS["resnet"][0]).save_pretrained(tmp_path)
        network = load_network(str(tmp_path), mean=[0, 0, 0], std=[1, 1, 1])
        assert network.get_buffer("mean").flatten().tolist() == [0, 0, 0]


class TestIdentity:
    def test_follows_weights_and_configuration(self, tmp_path) -> None:
        model = AutoModel.from_config(CONFIGS["resnet"][0])
        model.save_pretrained(tmp_path)
        first = load_network(str(tmp_path)).identity
        assert load_network(str(tmp_path)).identity == first
        with torch.no_grad():
            next(model.parameters()).add_(1e-3)
        model.save_pretrained(tmp_path)
        second = load_network(str(tmp_path)).identity
        assert {name for name in first if first[name] != second[name]} == {"weights"}


class Striped(torch.nn.Module):
    stride, version = 2, "7"

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[..., ::2, ::2]


class TestCallable:
    def test_is_called_with_normalized_pixels(self) -> None:
        network = load_network(f"{__name__}:Striped", mean=[0.5] * 3, std=[0.5] * 3)
        pixels = torch.rand(1, 3, 4, 6)
        (found,) = network(pixels, [0])
        assert torch.allclose(found, pixels[..., ::2, ::2] * 2 - 1, atol=1e-6) and network.stride == 2
        assert network.identity == {"callable": f"{__name__}:Striped", "version": "7"}

    def test_whole_numbers_are_numbers(self) -> None:
        pixels = torch.rand(1, 3, 2, 2)
        (found,) = load_network(f"{__name__}:Striped", mean=[0, 0, 0], std=[1, 1, 1])(pixels, [0])
        assert found.equal(pixels[..., ::2, ::2])

    @pytest.mark.parametrize("name", ["no.such.module:thing", "json:thing"])
    def test_that_cannot_be_imported(self, name) -> None:
        with pytest.raises(UserError, match=f"There is no {name}.*package.module:callable"):
            load_network(name)


class TestRefused:
    def test_a_folder_that_does_not_exist(self) -> None:
        with pytest.raises(UserError, match="There is no folder nowhere"):
            load_network("./nowhere")

    def test_a_folder_without_a_model(self, tmp_path) -> None:
        with pytest.raises(UserError, match="is no model of transformers"):
            load_network(str(tmp_path))

    def test_a_model_of_text_before_its_weights_are_read(self, tmp_path) -> None:
        config = BertConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50
        )
        BertModel(config).save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(UserError, match="is a bert model, which takes no pictures"):
            load_network(str(tmp_path))

    def test_weights_that_lack_tensors(self, tmp_path) -> None:
        from safetensors.torch import load_file, save_file

        AutoModel.from_config(CONFIGS["resnet"][0]).save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        weights.pop(next(name for name in weights if name.endswith("convolution.weight")))
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match="lack 1 tensors"):
            load_network(str(tmp_path))

    def test_weights_that_hold_nan(self, tmp_path) -> None:
        model = AutoModel.from_config(CONFIGS["resnet"][0])
        model.state_dict()["embedder.embedder.convolution.weight"][0, 0, 0, 0] = torch.nan
        model.save_pretrained(tmp_path)
        with pytest.raises(
            UserError, match=f"weights in {tmp_path} hold NaN or infinity, embedder.embedder.convolution.w"
        ):
            load_network(str(tmp_path))

    def test_a_hub_model_that_is_not_here(self, monkeypatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(UserError, match="'nobody/nothing' is not on this machine"):
            load_network("nobody/nothing")

    def test_a_hub_out_of_reach_is_asked_once(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        start = time.monotonic()
        with pytest.raises(UserError, match="'nobody/nothing' is not on this machine"):
            load_network("nobody/nothing")
        assert time.monotonic() - start < 5  # transformers tries for 24
