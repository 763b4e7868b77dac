"""Published systems against a plain computation of what they do, on models of the true structure at small widths."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer, Dinov2Config

from sdcorr.datasets import group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.methods.sd_dino import SDDino, reduce_together
from sdcorr.methods.unet_features import UNetFeatures
from tests.methods.test_image_patches import texture
from tests.methods.test_unet_features import pair_of
from tests.models import save_family, write_json

SIDE = 128
LEVELS = ("up_blocks.0.resnets.2", "up_blocks.1.attentions.2", "up_blocks.2.attentions.2")
PICTURES = {"a": texture(96, 64), "b": texture(64, 96, 1)}


class Folder:
    """Resources with the model of a folder."""

    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def backbone(self, truncate: bool = True) -> FrozenDiffusion:
        return FrozenDiffusion.load(str(self.folder), image_size=SIDE, truncate=truncate)

    def text_folder(self) -> tuple[str, None]:
        return str(self.folder), None

    def model_identity(self) -> dict[str, str]:
        return {"unet/weights": "of a test"}


@pytest.fixture(scope="module")
def sd21(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 2.1 at reduced widths, with a tokenizer of bytes and a text encoder."""
    folder = save_family(tmp_path_factory.mktemp("sd21"), "sd21")
    config = CLIPTextConfig(
        vocab_size=514, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(2)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    write_json(folder / "tokenizer" / "vocab.json", {word: number for number, word in enumerate(words)})
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer.from_pretrained(folder / "tokenizer").save_pretrained(folder / "tokenizer")
    return folder


def noise_of(key: str, draws: int, shape: torch.Size) -> torch.Tensor:
    """As the method's docstring has it: every picture has draws of its own."""
    seed = int.from_bytes(hashlib.sha256(f"0/{key}".encode()).digest()[:7])
    return torch.randn(draws, *shape[1:], generator=torch.Generator().manual_seed(seed))


def pixels_of(picture) -> torch.Tensor:
    squashed = picture.resize((SIDE, SIDE), 2)  # bilinear
    return torch.from_numpy(np.array(squashed)).permute(2, 0, 1)[None] / 127.5 - 1


@torch.no_grad()
def plain_dift(folder: Path, key: str, draws: int) -> torch.Tensor:
    """Diffusers and transformers alone, a whole forward pass, the second block on the way up."""
    vae, unet = (
        kind.from_pretrained(folder / part) for kind, part in ((AutoencoderKL, "vae"), (UNet2DConditionModel, "unet"))
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    ids = tokenizer(
        "a photo of a cat", padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    prompt = encoder(ids)[0]
    latents = vae.encode(pixels_of(PICTURES[key])).latent_dist.mean * vae.config.scaling_factor
    noisy = latents
    if draws:
        scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        noise = noise_of(key, draws, latents.shape)
        noisy = scheduler.add_noise(latents.expand(draws, -1, -1, -1), noise, torch.tensor([261] * draws))
    kept = []
    unet.up_blocks[1].register_forward_hook(lambda module, inputs, output: kept.append(output))
    unet(noisy, 261, prompt.expand(len(noisy), -1, -1))
    return kept[0].mean(0)


@pytest.mark.parametrize(("draws", "name"), [(8, "dift"), (0, "cleandift")])
def test_dift_and_cleandift(sd21: Path, draws: int, name: str) -> None:
    method = UNetFeatures(Folder(sd21), "up_blocks.1", 261, draws=draws, text="a photo of a {category}")
    method.prepare()
    found = method.read("a", PICTURES.__getitem__, "cat").values
    expected = plain_dift(sd21, "a", draws)
    print(f"{name}: {(found - expected).abs().max():.1e} of {expected.abs().max():.2f}")
    assert found.shape == expected.shape and torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, method.read("a", PICTURES.__getitem__, "dog").values, atol=1e-3)


def test_the_text_encoder_is_part_of_what_decides(sd21: Path) -> None:
    told = UNetFeatures(Folder(sd21), "up_blocks.1", 261, text="a {category}").model_identity()
    assert {"unet/weights", "text_encoder/weights", "text_encoder/config.json"} <= told.keys()
    assert UNetFeatures(Folder(sd21), "up_blocks.1", 261).model_identity().keys() == {"unet/weights"}


def test_a_model_without_a_text_encoder(tmp_path: Path) -> None:
    method = UNetFeatures(Folder(tmp_path), "up_blocks.1", 261, text="")
    with pytest.raises(UserError, match=r"text encoder of .* cannot be read.*method.text=null"):
        method.model_identity()


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Stable Diffusion 1.5 and DINOv2 at reduced widths."""
    folder, dino = save_family(tmp_path_factory.mktemp("sd15"), "sd15"), tmp_path_factory.mktemp("dino")
    torch.manual_seed(3)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    AutoModel.from_config(config).save_pretrained(dino)
    return folder, dino


@torch.no_grad()
def plain_sd_dino(folder: Path, dino: Path, query: tuple[int, int]) -> torch.Tensor:
    """Distances of one cell of a with all of b, as sd-dino has them: least squared distance, PCA by SVD."""
    vae, unet = AutoencoderKL.from_pretrained(folder / "vae"), UNet2DConditionModel.from_pretrained(folder / "unet")
    vision, grids, tokens = AutoModel.from_pretrained(dino).eval(), {}, {}
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for key, picture in PICTURES.items():

        def padded(side: int, picture=picture) -> torch.Tensor:
            scale = side / max(picture.size)
            width, height = (round(length * scale) for length in picture.size)
            whole = np.zeros((side, side, 3), dtype=np.uint8)
            left, top = (side - width) // 2, (side - height) // 2
            whole[top : top + height, left : left + width] = np.array(picture.resize((width, height), 2))
            return torch.from_numpy(whole).permute(2, 0, 1) / 255

        latents = vae.encode(padded(SIDE)[None] * 2 - 1).latent_dist.mean * vae.config.scaling_factor
        scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        noisy = scheduler.add_noise(latents, noise_of(key, 1, latents.shape), torch.tensor([100]))
        kept: dict[str, torch.Tensor] = {}
        for name in LEVELS:

            def keep(module, inputs, output, name=name, kept=kept) -> None:
                kept[name] = output if isinstance(output, torch.Tensor) else output[0]

            unet.get_submodule(name).register_forward_hook(keep)
        unet(noisy, 100, torch.zeros(1, 77, unet.config.cross_attention_dim))
        grids[key] = [kept[name][0] for name in LEVELS]
        state = vision(((padded(112) - mean) / std)[None]).last_hidden_state[0, 1:]
        tokens[key] = state / state.norm(dim=1, keepdim=True)
    halves: dict[str, list[torch.Tensor]] = {"a": [], "b": []}
    for first, second in zip(grids["a"], grids["b"], strict=True):
        cells = torch.cat([first.flatten(1).T, second.flatten(1).T])
        centered = cells - cells.mean(0)
        axes = torch.linalg.svd(centered, full_matrices=False)[2][:8]
        for key, of in (("a", first), ("b", second)):
            part = ((of.flatten(1).T - cells.mean(0)) @ axes.T).T.reshape(1, 8, *of.shape[1:])
            halves[key].append(F.interpolate(part, (8, 8), mode="bilinear", align_corners=False)[0])
    joined = {}
    for key, levels in halves.items():
        unet_half = torch.cat(levels).flatten(1).T
        joined[key] = torch.cat([unet_half / unet_half.norm(dim=1, keepdim=True), tokens[key]], dim=1)
    return (joined["b"] - joined["a"][query[1] * 8 + query[0]]).square().sum(1).view(8, 8)


def sd_dino(folder: Path, dino: Path, **changes) -> SDDino:
    settings = {"blocks": LEVELS, "timestep": 100, "components": 8, "network": str(dino), "layer": -1, "side": 112}
    return SDDino(Folder(folder), **settings | {"grid": 8} | changes)


def test_sd_dino(sd15: tuple[Path, Path]) -> None:
    pair = pair_of("a-b", PICTURES["a"], PICTURES["b"], [[30, 40]])  # on the square of 96: (30, 56), cell (2, 4)
    (unit,) = group_by_source([pair])
    method = sd_dino(*sd15)
    method.prepare()
    ((_, maps),) = method.maps(unit, PICTURES.__getitem__)
    expected = 1 - plain_sd_dino(*sd15, (2, 4)) / 4  # both halves of length 1: |x - y|^2 = 4 - 4 cos
    print(f"sd_dino: {(maps.values[0] - expected).abs().max():.1e}")
    assert torch.allclose(maps.values[0], expected, atol=1e-4)
    ((_, match),) = method.match(unit, PICTURES.__getitem__)
    assert 0 <= match.points.min() and (match.points <= PICTURES["b"].size).all()  # padding is never found


def test_components_are_found_of_both_pictures() -> None:
    """Two pictures that differ along the first channel alone: that is what one component keeps."""
    ours, theirs = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    theirs[0] = 4
    first, second = reduce_together([ours], [theirs], 1, (2, 2))
    assert (first - second).abs().tolist() == [[[4, 4], [4, 4]]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"weight": 2}, "weight=2"), ({"components": 0}, "components=0"), ({"localization": "mutual"}, "mutual")],
)
def test_a_setting_that_is_not_legal(changes: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        sd_dino(Path(), Path(), **changes)
