"""A model in the diffusers layout: a folder a part, in each a config.json and weights under one of many names."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sdcorr.diffusion.foreign import what_lies_there
from sdcorr.diffusion.refusals import INSTEAD, Configs
from sdcorr.errors import UserError

CONFIG_FILES: Mapping[str, str] = {  # all that is read of a model beside weights
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "scheduler": "scheduler/scheduler_config.json",
    "tokenizer": "tokenizer/tokenizer_config.json",
    "text_encoder": "text_encoder/config.json",
}
_NEEDED = ("unet", "vae")
_WEIGHTS = re.compile(
    r"diffusion_pytorch_model(\.(?P<variant>\w+))?(-(?P<number>\d{5})-of-(?P<count>\d{5})(\.(?P<late>\w+))?)?"
    r"\.(?P<kind>safetensors|bin)"
)
_PREFERRED = (None, "fp32", "fp16", "bf16")  # variants, the best first; any other after them
_LAST = ("non_ema", "no_ema")  # weights that were not averaged over the training, which draw worse


class Incomplete(UserError):
    """A model of which some is there, and some is not."""


class NoWeights(Incomplete):
    """A model whose configurations are there and whose weights are not, or not all."""


class Place(ABC):
    """Where a model lies.

    Attributes:
        name: what it is called in messages.
        commit: of a model on the hub.
    """

    name: str
    commit: str | None = None

    @abstractmethod
    def configs(self) -> Configs:
        """What its configurations say; an empty one for a part that is not there.

        Raises:
            Incomplete: if the configuration of one of its networks is missing.
            UserError: if it is no model, or a configuration cannot be read.
        """

    @abstractmethod
    def config_files(self) -> dict[str, Path]:
        """The files of the configurations that are there, by part."""

    @abstractmethod
    def weights(self, part: str, variant: str | None) -> tuple[Path, ...]:
        """The files with the weights of a part, fetched if need be.

        Raises:
            NoWeights: if they are not there.
        """

    @abstractmethod
    def variants(self, part: str) -> list[str | None]:
        """The variants of a part's weights, the best first; None for those that are no variant."""


class Layout(Place):
    """A model in the diffusers layout, wherever it lies."""

    @abstractmethod
    def listing(self, folder: str) -> list[str]:
        """Names of the files in one of its folders, "" for the model's own."""

    @abstractmethod
    def fetch(self, file: str) -> Path:
        """The file of a path in the model, which is there."""

    def configs(self) -> Configs:
        """See `Place`."""
        files = self.config_files()
        if not all(part in files for part in _NEEDED):
            what = what_lies_there(self)
            kind = Incomplete if self.has("model_index.json") or files else UserError
            raise kind(f"{self.name} {what}." if ": " in what else f"{self.name} {what}: {INSTEAD}.")
        return {part: self.read(files[part]) if part in files else {} for part in CONFIG_FILES}

    def config_files(self) -> dict[str, Path]:
        """See `Place`."""
        return {part: self.fetch(file) for part, file in CONFIG_FILES.items() if self.has(file)}

    def has(self, file: str) -> bool:
        """Whether a file is there."""
        folder, _, name = file.rpartition("/")
        return name in self.listing(folder)

    def read(self, path: Path) -> dict[str, Any]:
        """What a JSON file of the model says.

        Raises:
            UserError: if it is not whole, or holds no settings.
        """
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, OSError, RecursionError) as error:
            raise UserError(f"{path} is not whole ({error}): fetch the file again.") from error
        if not isinstance(content, dict):
            raise UserError(f"{path} holds no settings, but a {type(content).__name__}: fetch the file again.")
        return content

    def weights(self, part: str, variant: str | None) -> tuple[Path, ...]:
        """See `Place`."""
        choices = _choices(self.listing(part))
        for choice in choices:
            if choice.is_whole and variant in (None, choice.variant):
                return tuple(self.fetch(f"{part}/{name}") for name in choice.names)
        raise NoWeights(f"The {part}/ of {self.name} {_what_is_missing(choices, variant, self.listing(part))}.")

    def variants(self, part: str) -> list[str | None]:
        """See `Place`."""
        return list(dict.fromkeys(choice.variant for choice in _choices(self.listing(part))))


class Folder(Layout):
    """A model in a folder of this machine.

    Args:
        root: the folder.
        name: for messages, if not the folder's path.
        commit: of the hub's model that it is a copy of.
    """

    def __init__(self, root: Path, name: str | None = None, commit: str | None = None) -> None:
        self.root, self.name, self.commit = root, name or str(root), commit

    def listing(self, folder: str) -> list[str]:
        """See `Layout`."""
        where = self.root / folder
        try:
            return sorted(each.name for each in where.iterdir() if each.is_file()) if where.is_dir() else []
        except PermissionError as error:
            raise UserError(f"The folder {where} may not be read: change its permissions.") from error

    def fetch(self, file: str) -> Path:
        """See `Layout`."""
        return self.root / file


class _Choice(NamedTuple):
    """Weights of one variant, in one format."""

    variant: str | None
    kind: str  # safetensors or bin
    total: int  # files that it consists of
    names: list[str]  # those that are there

    @property
    def is_whole(self) -> bool:
        return len(self.names) == self.total


def _choices(names: Sequence[str]) -> list[_Choice]:
    """The weights that there are in a folder, the best first."""
    found: dict[tuple[str | None, str, int], list[str]] = {}
    for name in sorted(names):
        if match := _WEIGHTS.fullmatch(name):
            variant, count = match["variant"] or match["late"], int(match["count"] or 1)
            found.setdefault((variant, match["kind"], count), []).append(name)
    return sorted((_Choice(*key, files) for key, files in found.items()), key=_rank)


def _rank(choice: _Choice) -> tuple[int, str, bool, int]:
    variant = choice.variant
    place = _PREFERRED.index(variant) if variant in _PREFERRED else len(_PREFERRED) + (variant in _LAST)
    return place, variant or "", choice.kind == "bin", choice.total


def _what_is_missing(choices: Sequence[_Choice], variant: str | None, names: Sequence[str]) -> str:
    """The end of a sentence about a folder."""
    broken = [choice for choice in choices if variant in (None, choice.variant)]
    if broken:
        there, count = len(broken[0].names), broken[0].total
        return f"has only {there} of the {count} files of its weights ({broken[0].names[0]} ...): fetch the others"
    if choices:
        others = ", ".join(dict.fromkeys(choice.variant or "null" for choice in choices))
        return f"has no weights of the variant {variant!r}: give model.variant={others}"
    others = ", ".join(name for name in names if name != "config.json")
    return (
        f"has no weights that PyTorch reads (diffusion_pytorch_model.safetensors){f', only {others}' if others else ''}"
    )
