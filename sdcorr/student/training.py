"""From a folder of labels to a student: the Trainer, its checkpoints, and what is kept in the end."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from sdcorr.errors import UserError
from sdcorr.student.clusters import LabelData, Sampling
from sdcorr.student.files import load_student, make_network, save_student
from sdcorr.student.labels import Labels
from sdcorr.student.module import Learning, StudentTraining
from sdcorr.student.warps import Range

CHOSEN_BY = "val/agreement"  # with labels of held sources; no keypoint is seen
CHECKPOINTS = "checkpoints"


def train_student(
    folder: Path,
    labels: Labels,
    made_by: Mapping[str, Any],
    *,
    learning: Learning,
    sampling: Sampling,
    within: Range,
    workers: int = 0,
    trainer: Mapping[str, Any] | None = None,
    start: Path | None = None,
    logger: Logger | None = None,
    watchers: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Train a student, or go on where an earlier call in that folder was stopped, and write it to the folder.

    The folder gets `config.json` and `model.safetensors` whenever the student is better than before, so that it can be
    used while it is trained; a call that is killed loses the epoch that it was in.

    Args:
        folder: of the student.
        labels: what it learns from.
        made_by: `_target_` and arguments of the network's class.
        learning: how.
        sampling: how many of everything a step has.
        within: how far pictures are changed.
        workers: processes that read pictures.
        trainer: arguments of Lightning's Trainer: accelerator, devices, precision and so on.
        start: folder of a student of the same network to begin from; None: random weights.
        logger: what curves go to.
        watchers: further callbacks.

    Returns:
        What is known of the training, as `config.json` has it.

    Raises:
        UserError: if the labels are not enough, or a setting is not legal.
    """
    L.seed_everything(sampling.seed, verbose=False)
    network = make_network(made_by)
    with torch.no_grad():
        network(torch.zeros(2, 3, network.side, network.side))  # lazy parts get their shapes
    before = {}
    if start is not None:
        first = load_student(start)
        before = {"began_from": dict(first.facts)}
        network.load_state_dict(first.network.state_dict())
    module = StudentTraining(network, learning)
    data = LabelData(labels, network.side, sampling, within, workers)
    facts = {
        "labels": labels.count,
        "label_files": labels.identity,
        "pictures": len(labels.pictures),
        "sources": len(data.learned),
        "sources_to_choose_by": len(data.held),
        "seed": sampling.seed,
        **before,
    }
    keeper = Keeper(folder, made_by, facts)
    # Who looks comes before the average: the module then still has the averaged weights.
    made = Trainer(
        **{"accelerator": "auto", "devices": 1, **(trainer or {})},
        max_epochs=learning.epochs,
        callbacks=[
            *watchers,
            keeper,
            EMAWeightAveraging(decay=learning.average),
            EarlyStopping(CHOSEN_BY, mode="max", patience=learning.patience),
            ModelCheckpoint(folder / CHECKPOINTS, save_last=True, save_top_k=0),
        ],
        logger=logger or False,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,  # LabelData shares the batches
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        gradient_clip_val=1.0,
    )
    data.check_shared_by(made.world_size)
    last = folder / CHECKPOINTS / "last.ckpt"
    if last.exists() and _labels_of(last) != labels.identity:
        raise UserError(
            f"{folder} has a student that was begun on other labels: give another run_dir, or start={folder} as well "
            "to begin from it."
        )
    made.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    return keeper.told


class Keeper(Callback):
    """Writes the student whenever it agrees better with the held labels than before.

    Args:
        folder: of the student.
        made_by: `_target_` and arguments of the network's class.
        facts: of the training, beside what is known only later.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.folder, self.made_by = folder, made_by
        self.told = dict(facts) | {"machine": _machine(), "seconds": 0.0, "best": {}}
        self._since = time.monotonic()

    def on_fit_start(self, trainer: Trainer, pl_module: L.LightningModule) -> None:
        """The clock starts."""
        self._since = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: L.LightningModule) -> None:
        """Keep the student, if it is better."""
        now = time.monotonic()
        self.told["seconds"], self._since = self.told["seconds"] + now - self._since, now
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if found[CHOSEN_BY] <= self.told["best"].get(CHOSEN_BY, -1.0):
            return
        self.told["best"] = {"epoch": trainer.current_epoch + 1, "steps": trainer.global_step, **found}
        if trainer.is_global_zero:
            assert isinstance(pl_module, StudentTraining)
            temperature = float(pl_module.log_temperature.exp())
            save_student(self.folder, pl_module.student, self.made_by, temperature, self.told)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return self.told

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.told = dict(state_dict)


class EpochLines(Callback):
    """Prints one line per epoch."""

    def on_validation_end(self, trainer: Trainer, pl_module: L.LightningModule) -> None:
        """After each epoch of which something is known."""
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if trainer.is_global_zero:
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: loss {found['train/loss']:.3f}, agrees with "
                f"{found[CHOSEN_BY]:.1%} of the held labels",
                flush=True,
            )


def _labels_of(checkpoint: Path) -> str:
    """The identity of the labels that a checkpoint was trained on."""
    callbacks = torch.load(checkpoint, map_location="cpu", weights_only=False)["callbacks"]
    return callbacks[Keeper.__qualname__]["label_files"]


def _machine() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
