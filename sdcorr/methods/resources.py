"""What methods may draw on: the frozen model, stored embeddings, callbacks. Nothing is loaded before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import Callback

from sdcorr.diffusion import FrozenDiffusion, FrozenModel
from sdcorr.diffusion.files import ModelFiles, find_model
from sdcorr.diffusion.fingerprint import identity_of, identity_of_files, snapshot_of
from sdcorr.diffusion.joint import JointDiffusion
from sdcorr.diffusion.precision import Precision, settle
from sdcorr.diffusion.recognize import describe
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.toybox.anatomy import MODEL_FOLDER

WITHOUT_EFFECT = ("name", "family", "methods", "channels_last", "compile")  # model settings that change no result


def nobody_watches(source: str) -> list[Callback]:
    """The callbacks of an optimization that nobody watches: none."""
    return []


PLACE = ("path", "revision", "variant", "unet")  # settings that say where a model is; its identity says what it is
JOINT = ("transformer", "vae")  # the networks of a model with joint attention


class Models:
    """Loads frozen models, each once: several methods of a run share one."""

    def __init__(self) -> None:
        self._loaded: dict[str, FrozenModel] = {}

    def load(self, path: str, device: torch.device, **settings: Any) -> FrozenModel:
        """The model of `FrozenDiffusion.load`, kept for the next who asks for the same."""
        key = repr((path, str(device), sorted(settings.items())))
        if key not in self._loaded:
            kind = FrozenDiffusion if "family" in settings else JointDiffusion
            self._loaded[key] = kind.load(path, device=device, **settings)
        return self._loaded[key]


class Resources:
    """What one method may draw on.

    Attributes:
        dataset: name of the data set; with the images' keys, it names the random draws.
        device: where the model lives.
        map_cells: cells a side of the attention maps to keep with each match; 0 for none.
        callbacks: takes the key of a source image and gives the Lightning callbacks that watch its optimization.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        *,
        dataset: str,
        device: torch.device | str = "cpu",
        embeddings: Path | None = None,
        map_cells: int = 0,
        callbacks: Callable[[str], Sequence[Callback]] = nobody_watches,
        models: Models | None = None,
    ):
        """
        Args:
            model: `cfg.model` as plain values: path, layers and so on, see `FrozenDiffusion.load`.
            dataset: name of the data set.
            device: where the model is to live.
            embeddings: the folder of all stored embeddings; None: none are stored.
            map_cells: cells a side of the attention maps to keep.
            callbacks: takes the key of a source image and gives what watches its optimization.
            models: those that are loaded already.
        """
        self.dataset, self.device = dataset, torch.device(device)
        self.map_cells, self.callbacks = map_cells, callbacks
        self._model, self._embeddings = dict(model), embeddings
        if self._model.get("path") == "toybox":
            self._model["path"] = str(MODEL_FOLDER)
        self._models = models or Models()

    def on(self, model: Mapping[str, Any]) -> Resources:
        """The same with another model, or with changes of this one.

        Args:
            model: a whole `cfg.model` if it has a `path`, else what is to be changed of this one.
        """
        return Resources(
            model if "path" in model else self._model | dict(model),
            dataset=self.dataset,
            device=self.device,
            embeddings=self._embeddings,
            map_cells=self.map_cells,
            callbacks=self.callbacks,
            models=self._models,
        )

    def backbone(self, truncate: bool = True) -> FrozenModel:
        """The frozen model; cut after the last layer that is read, unless `truncate` is false.

        Raises:
            UserError: if the weights cannot be had, or it has not what the settings ask for.
        """
        return self._load(self._model["layers"], truncate)

    def reader(self) -> FrozenModel | None:
        """The same model with the layers that are read at a target, if these are others."""
        layers = self._model.get("transfer_layers")
        return self._load(layers, truncate=True) if layers else None

    def blueprint(self, truncate: bool = True, *, transfer: bool = False) -> FrozenModel:
        """The model on the meta device, where it has shapes and no numbers, to count what it costs.

        Args:
            truncate: as for `backbone`.
            transfer: whether it has the layers that are read at a target.

        Raises:
            UserError: as for `backbone`.
        """
        layers = self._model.get("transfer_layers") if transfer else None
        return self._load(layers or self._model["layers"], truncate, torch.device("meta"))

    @property
    def precision(self) -> Precision:
        """In which the model computes."""
        return settle(self._model["precision"], self.device, bool(self._files and self._files.recognized.large))

    def model_settings(self) -> dict[str, Any]:
        """What is asked of the model, as far as it decides a result: its name or path, its layers and so on."""
        return {name: value for name, value in self._model.items() if name not in WITHOUT_EFFECT}

    def model_identity(self) -> dict[str, Any]:
        """All that decides the model's part in a result: its weights, its configurations, what is read of it.

        Raises:
            UserError: if the model cannot be had.
        """
        told: dict[str, Any] = {name: self._model.get(name) for name in PLACE}
        settings = {name: value for name, value in self.model_settings().items() if name not in PLACE}
        if found := self._files:
            told = found.decided | {"precision": self.precision}
            return settings | told | identity_of_files(found.files, found.commit)
        path, revision = told["path"], told["revision"]
        if not Path(path).expanduser().is_dir() and snapshot_of(path, revision, JOINT) is None:
            self.backbone()  # fetches it
        return settings | identity_of(path, revision, JOINT)

    def describe_model(self) -> str | None:
        """What the model is, as one line; None for what needs no explanation: the toybox's, and joint attention."""
        if (found := self._files) is None or found.recognized.family == "toybox":
            return None
        return describe(found.recognized, str(self._model["path"]))

    @cached_property
    def _files(self) -> ModelFiles | None:
        """The files of a model with a UNet, fetched if need be; what cannot work is refused before that."""
        if "family" not in self._model:
            return None
        asked = (*PLACE, "family", "layers", "image_size", "tokens")
        told: dict[str, Any] = {name: self._model.get(name) for name in asked}
        return find_model(told.pop("path"), **told)

    def text_folder(self) -> tuple[str, str | None]:
        """Where the model's tokenizer and text encoder lie: a folder or a hub id, and the revision."""
        return str(Path(self._model["path"]).expanduser()), self._model.get("revision")

    def embedding_store(self, settings: Mapping[str, Any]) -> EmbeddingStore | None:
        """Where embeddings are kept that were optimized with this model and these settings; None: nowhere.

        Args:
            settings: of the method, those that an embedding depends on.
        """
        if self._embeddings is None:
            return None
        model = {name: value for name, value in self.model_identity().items() if name != "transfer_layers"}
        return EmbeddingStore(self._embeddings, {"dataset": self.dataset, "model": model, "method": dict(settings)})

    def _load(self, layers: Sequence[str], truncate: bool, device: torch.device | None = None) -> FrozenModel:
        unread = ("name", "methods", "transfer_layers")
        told = {name: value for name, value in self._model.items() if name not in unread}
        told |= {"layers": tuple(layers), "truncate": truncate}
        return self._models.load(**told, device=device or self.device)
