"""Which files a model is made of: found, and decided upon, before any weight is read or fetched."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sdcorr.diffusion.hub import HubModel, cached, is_hub_id
from sdcorr.diffusion.layout import Folder, Incomplete, Place
from sdcorr.diffusion.recognize import Recognized, recognize
from sdcorr.diffusion.refusals import Configs
from sdcorr.diffusion.single_file import SingleFile
from sdcorr.diffusion.tensors import WEIGHTS
from sdcorr.errors import UserError

PARTS = ("unet", "vae")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, all of them on this machine, and what their configurations say."""

    name: str  # what the user calls it
    configs: Configs
    config_files: Mapping[str, Path]  # by part; none for a single file
    weights: Mapping[str, tuple[Path, ...]]  # by part
    single: bool  # whether both parts are in one file, under the names of the first releases
    variant: str | None  # of the weights that the user asks for
    commit: str | None  # of a model from the hub
    recognized: Recognized

    @property
    def files(self) -> dict[str, Path]:
        """Everything that is read of the model, by its role: the same wherever the model lies."""
        configs = {f"{part}/{path.name}": path for part, path in self.config_files.items()}
        weights = {f"{part}/{path.name}": path for part, paths in self.weights.items() for path in paths}
        return configs | weights

    @property
    def decided(self) -> dict[str, Any]:
        """What else decides what is read of the files: what the user, or the family of a single file, has said."""
        what = self.recognized
        chosen = {"variant": self.variant} if self.single else {}  # of a part's files it is their content
        return {"image_size": what.side, "tokens": what.tokens, **chosen}


def find_model(
    name: str,
    *,
    revision: str | None = None,
    variant: str | None = None,
    unet: str | None = None,
    family: str | None = None,
    layers: Sequence[str] | None = None,
    image_size: int | None = None,
    tokens: int | None = None,
) -> ModelFiles:
    """The files of a model; one that cannot be read is refused before its weights are read or fetched.

    Args:
        name: hub id, folder or single file.
        revision: branch, tag or commit on the hub.
        variant: of the weights; a part that has them in no variant gives those.
        unet: file or folder of weights in place of the UNet's own, which are then not fetched.
        family: as for `recognize`.
        layers: as for `recognize`.
        image_size: as for `recognize`.
        tokens: as for `recognize`.

    Raises:
        UserError: if it is not there, cannot be read, or has no such weights.
    """
    given = _given_unet(unet) if unet else None
    asked = {"family": family, "layers": layers, "image_size": image_size, "tokens": tokens}

    def gather(place: Place) -> ModelFiles:
        configs, config_files = _configs(place, given)
        what = recognize(configs, place.name, **asked)  # refuses before weights are fetched
        wanted = [part for part in PARTS if not (given and part == "unet")]
        chosen = {part: _variant_of(place, part, variant, wanted) for part in wanted}
        weights = {part: place.weights(part, chosen[part]) for part in wanted}
        if given:
            weights["unet"] = given.weights
        single = isinstance(place, SingleFile)
        return ModelFiles(name, configs, config_files, weights, single, variant, place.commit, what)

    return _where(name, revision, family, gather)


def look_at(
    name: str,
    *,
    revision: str | None = None,
    unet: str | None = None,
    family: str | None = None,
    image_size: int | None = None,
) -> Recognized:
    """What a model is, from its small files alone: no weights are read or fetched.

    Args:
        name: as for `find_model`.
        revision: as for `find_model`.
        unet: as for `find_model`.
        family: as for `recognize`.
        image_size: as for `recognize`.

    Raises:
        UserError: if it is not there or cannot be read.
    """
    given = _given_unet(unet) if unet else None

    def look(place: Place) -> Recognized:
        return recognize(_configs(place, given)[0], place.name, family=family, image_size=image_size)

    return _where(name, revision, family, look)


def _where(name: str, revision: str | None, family: str | None, use: Callable[[Place], _Result]) -> _Result:
    """What is made of the place where a model lies; a copy that was fetched in part gives way to the hub."""
    path = Path(name).expanduser()
    if path.is_dir():
        return use(Folder(path))
    if path.is_file():
        return use(SingleFile(path, family))
    if not is_hub_id(name):
        raise UserError(
            f"There is no model {name}: give the path of a folder with unet/ and vae/, or of a single file "
            f"({', '.join(WEIGHTS[:2])}), or the id of a model on the Hugging Face hub."
        )
    if copy := cached(name, revision):
        with suppress(Incomplete):
            return use(copy)
    return use(HubModel(name, revision))


class _GivenUNet(NamedTuple):
    """What is put in the place of a model's UNet."""

    config: Path | None  # None: the model's own fits
    weights: tuple[Path, ...]


def _configs(place: Place, given: _GivenUNet | None) -> tuple[Configs, dict[str, Path]]:
    """What the configurations of a model say, and their files."""
    configs, files = place.configs(), place.config_files()
    if given and given.config:
        files["unet"] = given.config
        configs = {**configs, "unet": Folder(given.config.parent).read(given.config)}
    return configs, files


def _variant_of(place: Place, part: str, variant: str | None, wanted: Sequence[str]) -> str | None:
    """The variant to take of a part: the one asked for, unless only another part has it."""
    elsewhere = any(variant in place.variants(other) for other in wanted if other != part)
    return None if elsewhere and variant not in place.variants(part) else variant


def _given_unet(unet: str) -> _GivenUNet:
    """The files of `model.unet`.

    Raises:
        UserError: if there are no weights, or it is not clear which.
    """
    path = Path(unet).expanduser()
    if path.is_file():
        return _GivenUNet(None, (path,))
    if not path.is_dir():
        raise UserError(
            f"There is no {unet}: give as model.unet a file of weights (.safetensors), or a folder with one."
        )
    if (path / "unet").is_dir():
        path = path / "unet"
    config = path / "config.json"
    if config.is_file():
        return _GivenUNet(config, Folder(path.parent, name=unet).weights(path.name, None))
    files = sorted(each for each in path.iterdir() if each.suffix in WEIGHTS)
    if len(files) != 1:
        there = ", ".join(each.name for each in files) or "none"
        raise UserError(f"model.unet={unet} must be a file, or a folder with one file of weights: it has {there}.")
    return _GivenUNet(None, (files[0],))
