"""The released code's tensors, and our model with the same weights, whole and truncated."""

import pytest
import torch

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.images import image_to_tensor, read_image
from tests.golden import released


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The files were made with one thread; the latents' last digits depend on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def images() -> dict[str, torch.Tensor]:
    """ "src" and "trg", (3, S, S)."""
    names = ("src", "trg")
    pictures = {name: read_image(released.FOLDER / f"{name}.png") for name in names}
    return {name: image_to_tensor(picture, picture.width) for name, picture in pictures.items()}


@pytest.fixture(scope="session")
def backbone() -> FrozenDiffusion:
    """The fast path: truncated after the last layer that enters the loss."""
    return FrozenDiffusion.load(str(released.weights()), layers=released.loss_layers())


@pytest.fixture(scope="session")
def whole() -> FrozenDiffusion:
    """The whole UNet, with every layer read that the released code counts."""
    layers = released.layer_names()
    return FrozenDiffusion.load(str(released.weights()), layers=layers, truncate=False)


@pytest.fixture(scope="session")
def arrays():
    """Reads a file of arrays by its name."""
    return released.read
