"""A model like the shipped one, of a few steps' training, made by the commands that make the real one."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from sdcorr.toybox.making import train


@dataclass(frozen=True)
class Workshop:
    """Where the small training keeps things."""

    model: Path
    work: Path

    def train(self, stage: str, images: int) -> None:
        """One run of the command, up to so many images in steps of 8."""
        size = ["--images", str(images), "--batch", "8", "--pool", "24"]
        train.main([stage, *size, "--out", str(self.model), "--work", str(self.work)])


@pytest.fixture(scope="session")
def workshop(tmp_path_factory) -> Workshop:
    """Both stages after three steps each."""
    folder = tmp_path_factory.mktemp("toybox")
    workshop = Workshop(folder / "model", folder / "work")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    workshop.train("vae", 24)
    workshop.train("unet", 24)
    torch.set_num_threads(threads)
    return workshop
