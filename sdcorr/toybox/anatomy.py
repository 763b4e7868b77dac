"""The toybox model's networks and its folder: Stable Diffusion's anatomy, two hundred times smaller.

Image 64 x 64 -> latents 4 x 16 x 16 -> cross-attention at 16 x 16, 8 x 8 and 4 x 4, 24 tokens of width 128.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from sdcorr.toybox.world import SIZE

MODEL_FOLDER = Path(__file__).parent / "model"  # the weights that ship with the package
STUDENT_FOLDER = Path(__file__).parent / "student"
TOKENS = 24
WIDTH = 128
START, END = "<|startoftext|>", "<|endoftext|>"
_SPECIAL = ("bos", "eos", "pad")


def build_vae() -> AutoencoderKL:
    """Build a small autoencoder that downsamples by 4, without attention (nothing at 16 x 16 needs it)."""
    config: dict[str, Any] = {  # diffusers annotates its tuples as if they had one element
        "block_out_channels": (16, 32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "latent_channels": 4,
        "mid_block_add_attention": False,
        "sample_size": SIZE,
    }
    return AutoencoderKL(**config)


def build_unet() -> UNet2DConditionModel:
    """Build a UNet of three levels (16, 8, 4): cross-attention in the outer two and in the middle block.

    Every head is 48 or 64 channels wide.
    """
    config: dict[str, Any] = {
        "sample_size": SIZE // 4,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (48, 96, 128),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": (1, 2, 2),  # diffusers reads this as the number of heads of each level
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(**config)


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build two layers of CLIP's text transformer, to be trained together with the UNet."""
    special: dict[str, Any] = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in _SPECIAL}
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            **special,
        )
    )


def build_scheduler() -> DDIMScheduler:
    """Build Stable Diffusion's noise schedule, with v-prediction."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def build_tokenizer(captions: Iterable[str], folder: Path) -> CLIPTokenizer:
    """Learn byte-pair merges until every word of the captions is one token.

    Args:
        captions: the texts to learn from.
        folder: CLIP's two vocabulary files are written here, where its tokenizer reads them.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        special_tokens=[START, END],
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    state = json.loads(learner.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(state["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in state["merges"]) + "\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
    )
    tokenizer.model_max_length = TOKENS
    return tokenizer


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Turn captions into `(B, TOKENS)` int64, padded.

    All captions of the toybox fit. A longer one is cut, as diffusers does.
    """
    return tokenizer(captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids


def save_half(model: AutoencoderKL | UNet2DConditionModel | CLIPTextModel, folder: Path) -> None:
    """Save a float16 copy in the layout that `from_pretrained` expects; it is loaded as float32."""
    copy.deepcopy(model).half().save_pretrained(folder, safe_serialization=True)


def write_model_index(folder: Path) -> None:
    """Write the file that makes the folder a `StableDiffusionPipeline` of diffusers."""
    parts = {
        "vae": ["diffusers", "AutoencoderKL"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False, **parts}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
