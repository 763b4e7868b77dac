"""Models on the hub: small files first, this machine's copy before the network, and no waiting for a network."""

import logging
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.files import find_model, look_at
from sdcorr.diffusion.hub import is_hub_id
from sdcorr.errors import UserError
from tests import models
from tests.diffusion.hub_server import COMMIT, Hub, serve

NAME = "someone/small-model"


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    """A hub on this machine, and an empty cache."""
    with serve() as hub:
        reach(hub.url, tmp_path / "cache", monkeypatch)
        yield hub


def reach(url: str, cache: Path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def free_port() -> int:
    """Of this machine, where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def offline(hub, two_level_folder, tmp_path, monkeypatch) -> None:
    """A model was fetched, and then the network went away."""
    hub.models[NAME] = two_level_folder
    find_model(NAME)
    reach(f"http://127.0.0.1:{free_port()}", tmp_path / "cache", monkeypatch)


def said(name: str = NAME, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        find_model(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestOnline:
    def test_small_files_before_weights_and_nothing_else(self, hub, two_level_folder, tmp_path):
        folder = Path(shutil.copytree(two_level_folder, tmp_path / "full"))
        (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"never read")
        (folder / "text_encoder" / "model.safetensors").write_bytes(b"never read")
        hub.models[NAME] = folder
        found = find_model(NAME)
        assert hub.fetched == [
            "unet/config.json",
            "vae/config.json",
            "text_encoder/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
        ]
        assert found.commit == COMMIT and found.name == NAME
        assert FrozenDiffusion.load(NAME).tokens == 24

    def test_what_cannot_be_read_costs_no_weights(self, hub, tmp_path):
        hub.models[NAME] = models.save_family(tmp_path / "model", "sd14", in_channels=9)
        assert f"{NAME} is an inpainting model" in said()
        assert set(hub.fetched) == {"unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"}

    def test_a_look_fetches_no_weights(self, hub, two_level_folder):
        hub.models[NAME] = two_level_folder
        assert look_at(NAME).tokens == 24
        assert all(file.endswith(".json") for file in hub.fetched)

    def test_a_copy_in_part_is_completed(self, hub, two_level_folder, tmp_path):
        hub.models[NAME] = two_level_folder
        find_model(NAME)
        (config,) = (tmp_path / "cache").glob("*/snapshots/*/vae/config.json")
        config.unlink()
        assert find_model(NAME).config_files["vae"].is_file()

    def test_a_unet_of_ones_own_costs_no_other(self, hub, two_level_folder):
        hub.models[NAME] = two_level_folder
        find_model(NAME, unet=str(two_level_folder / "unet"))
        assert "unet/diffusion_pytorch_model.safetensors" not in hub.fetched

    def test_a_model_that_is_not_there(self, hub):
        assert said("nobody/nothing") == (
            "There is neither a folder nobody/nothing here nor a model of that name on the Hugging Face hub: check the "
            "name, or log in with `hf auth login` if the model is private."
        )

    def test_a_model_that_has_moved(self, hub):
        said_of = said("runwayml/stable-diffusion-v1-5")
        assert "it has moved, give model.path=stable-diffusion-v1-5/stable-diffusion-v1-5" in said_of

    def test_a_gated_model(self, hub, two_level_folder):
        hub.models[NAME], hub.gated = two_level_folder, True
        assert f"{NAME} is gated: accept its terms on https://huggingface.co/{NAME} and log in" in said()

    def test_an_unknown_revision(self, hub, two_level_folder):
        hub.models[NAME] = two_level_folder
        assert f"{NAME} has no revision 'v9' on the Hugging Face hub" in said(revision="v9")

    def test_a_hub_that_is_down(self, hub):
        hub.refuses = 503
        assert f"The Hugging Face hub answers with error 503 when it is asked for {NAME}" in said()


class TestOffline:
    def test_a_copy_is_taken_without_asking(self, offline, caplog):
        logging.getLogger("huggingface_hub").addHandler(caplog.handler)
        start = time.monotonic()
        assert find_model(NAME).commit == COMMIT
        assert time.monotonic() - start < 5
        assert not caplog.records

    def test_a_copy_that_cannot_be_read_is_told_for_what_it_is(self, hub, tmp_path, monkeypatch):
        hub.models[NAME] = models.save_family(tmp_path / "model", "sd14", in_channels=9)
        said()
        reach(f"http://127.0.0.1:{free_port()}", tmp_path / "cache", monkeypatch)
        assert f"{NAME} is an inpainting model" in said()

    def test_a_copy_without_all_weights(self, offline, tmp_path):
        (weights,) = (tmp_path / "cache").glob("*/snapshots/*/vae/*.safetensors")
        weights.unlink()
        assert said().startswith(
            f"There is no folder {NAME} here, and as a model of the hub it is not on this machine, and the Hugging Face"
        )

    def test_a_copy_without_a_configuration(self, offline, tmp_path):
        (config,) = (tmp_path / "cache").glob("*/snapshots/*/vae/config.json")
        config.unlink()
        assert "is not on this machine" in said()

    def test_no_copy(self, offline, caplog):
        logging.getLogger("huggingface_hub").addHandler(caplog.handler)
        start = time.monotonic()
        assert said("CompVis/stable-diffusion-v1-4") == (
            "CompVis/stable-diffusion-v1-4 (Stable Diffusion 1.4) is not on this machine, and the Hugging Face hub is "
            "out of reach: where there is a network, run `hf download CompVis/stable-diffusion-v1-4` and give the "
            "folder that it prints as model.path."
        )
        assert time.monotonic() - start < 5
        assert not caplog.records

    def test_by_the_users_own_will(self, hub, monkeypatch):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert "is not on this machine, and HF_HUB_OFFLINE is set" in said()
        assert not hub.fetched


@pytest.mark.parametrize(
    "name, expected",
    [
        ("CompVis/stable-diffusion-v1-4", True),
        ("nowhere/typo", True),
        ("a.b/c-d_e", True),
        ("models/x.safetensors", False),
        ("a/b/c", False),
        ("word", False),
        ("./a", False),
        ("~/a", False),
        ("a/b c", False),
    ],
)
def test_names_that_can_be_of_the_hub(name, expected):
    assert is_hub_id(name) == expected
