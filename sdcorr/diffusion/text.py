"""The text encoder of a model, for methods that tell the UNet what is in a picture: CLIP's last hidden state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from sdcorr.diffusion.fingerprint import identity
from sdcorr.errors import UserError

FOLDERS = ("tokenizer", "text_encoder")


class TextEncoder:
    """Texts to prompt embeddings, each encoded once."""

    def __init__(self, tokenizer: CLIPTokenizer, model: CLIPTextModel, tokens: int) -> None:
        self._tokenizer, self._model, self._tokens = tokenizer, model.eval().requires_grad_(False), tokens
        self._known: dict[str, Tensor] = {}

    def __call__(self, text: str) -> Tensor:
        """The embedding of a text, (1, T, D) float32; what is too long is cut, what is short is padded."""
        if text not in self._known:
            told = self._tokenizer(
                text, padding="max_length", max_length=self._tokens, truncation=True, return_tensors="pt"
            )
            with torch.no_grad():
                self._known[text] = self._model(told.input_ids.to(self._model.device)).last_hidden_state.float()
        return self._known[text]


def load_text_encoder(name: str, revision: str | None, device: torch.device) -> TextEncoder:
    """The text encoder of a model in the diffusers layout.

    Args:
        name: folder, or id on the Hugging Face hub.
        revision: branch, tag or commit on the hub.
        device: where it will live.

    Raises:
        UserError: if the model has none that can be read.
    """
    place: dict[str, Any] = {"revision": revision}
    try:
        tokenizer = CLIPTokenizer.from_pretrained(name, subfolder=FOLDERS[0], **place)
        model: Any = CLIPTextModel.from_pretrained(name, subfolder=FOLDERS[1], **place)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"The text encoder of {name} cannot be read ({str(error).strip().splitlines()[0].rstrip('.')}): give as "
            "model.path a folder or hub id with tokenizer/ and text_encoder/, or method.text=null for no text."
        ) from None
    return TextEncoder(tokenizer, model.to(device), model.config.max_position_embeddings)


def text_identity(name: str, revision: str | None) -> dict[str, str]:
    """Digests of the files that decide the embeddings of a model's text encoder, by their role.

    Raises:
        UserError: if they cannot be had.
    """
    folder = Path(name)
    if not all((folder / part).is_dir() for part in FOLDERS):
        load_text_encoder(name, revision, torch.device("cpu"))  # fetches it, or complains
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    suffixes = (".json", ".txt", ".safetensors", ".bin")
    files = [str(file.relative_to(folder)) for part in FOLDERS for file in sorted((folder / part).glob("*"))]
    return identity(folder, [file for file in files if Path(file).suffix in suffixes])
