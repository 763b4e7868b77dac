"""Every named setting of the method, with the value of the released code as default."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sdcorr.diffusion import FrozenModel
from sdcorr.diffusion.attention import Heads
from sdcorr.errors import UserError

_CHOICES = {
    "noise": ("uniform", "normal"),
    "combination": ("softmax_mean", "mean"),
    "localization": ("argmax", "soft_argmax"),
}
_AFTERWARDS = (  # settings that no embedding depends on
    *("transfer_timestep", "transfer_crops", "adaptive_crops", "combination", "localization", "window"),
    *("restarts", "queries_per_batch"),
)


@dataclass(frozen=True)
class PromptSettings:
    """Settings of optimizing, transferring and localizing prompt embeddings.

    Every default is what the released code of Hedlin et al. 2023 does; where that differs from what a reader of the
    paper would assume, the comment says so. Pixels are those of the S x S image that the model sees (512 there).

    Raises:
        UserError: if a value is not legal; the message names the field and the legal values.
    """

    # What is read.
    timestep: int = 140  # noise level at optimization: `timesteps[-8]` of 50 DDIM steps
    transfer_timestep: int = 40  # at transfer: `timesteps[-3]`, its flag is ignored (a reader: the same as above)
    noise: Literal["uniform", "normal"] = "uniform"  # U[0, 1) (a reader: standard normal)
    heads: Heads = "last_half"  # or "all", or numbers; a left-over of guidance (a reader: all)
    token: int = 1  # the token whose map is read; 0 is CLIP's start token

    # Optimizing.
    sigma: float = 27.97853316316864  # px, width of the Gaussian target; chosen by a search, for S = 512
    learning_rate: float = 0.0023755632081200314  # of Adam; chosen by a search
    adam_eps: float = 1e-8  # close to the gradient's scale of 1e-6, so it matters
    steps: int = 129  # optimization steps; the last iterate is kept
    restarts: int = 5  # embeddings from random starts, whose maps are averaged
    optimize_crops: bool = True  # False: the whole image at every step
    flip: float = 0.0  # probability that a crop is mirrored at optimization; present in the released code at 0

    # Crops, at optimization and at transfer.
    crop: float = 0.9316549294381423  # side of a crop / side of the image; chosen by a search
    crop_margin: float = 0.15  # the point keeps this share of the crop's side from its edge, where it can
    shared_draws: bool = True  # points of an image share crops and noise (released: drawn anew for each point)

    # Transfer.
    transfer_crops: int = 20  # crops of the target: four corners, then around the running maximum; 1: whole image
    adaptive_crops: bool = True  # False: all crops of a target drawn uniformly, and shared by its query points

    # Localizing.
    combination: Literal["softmax_mean", "mean"] = "softmax_mean"  # over layers; softmax over positions first
    localization: Literal["argmax", "soft_argmax"] = "argmax"  # soft: center of mass in a window round the argmax
    window: int = 28  # px, half the side of that window

    # Running.
    seed: int = 0  # of every random draw

    # For speed, at a price, so heeded by `sdcorr.prompt.speed` alone.
    plateau: float = 0.0  # a query stops when its loss falls by less than this share in ten steps; 0: it never does
    crop_pool: int = 0  # crops start at this many places per axis only, so that few are encoded; 0: at every pixel
    queries_per_batch: int = 0  # queries (point x restart) in one forward pass; 0: as many as fit into the memory

    def __post_init__(self) -> None:
        for name in ("steps", "restarts", "transfer_crops"):
            self._check(name, _is_whole(getattr(self, name), 1), "a whole number from 1")
        for name in ("timestep", "transfer_timestep", "token", "window", "seed", "queries_per_batch", "crop_pool"):
            self._check(name, _is_whole(getattr(self, name), 0), "a whole number from 0")
        for name in ("sigma", "learning_rate", "adam_eps"):
            self._check(name, _is_number(getattr(self, name)) and getattr(self, name) > 0, "a number above 0")
        for name in ("optimize_crops", "adaptive_crops", "shared_draws"):
            self._check(name, isinstance(getattr(self, name), bool), "true or false")
        for name, legal in _CHOICES.items():
            self._check(name, getattr(self, name) in legal, " or ".join(legal))
        self._check("flip", _is_number(self.flip) and 0 <= self.flip <= 1, "a probability from 0 to 1")
        self._check("crop", _is_number(self.crop) and 0 < self.crop <= 1, "a share of the side, above 0, at most 1")
        self._check("plateau", _is_number(self.plateau) and 0 <= self.plateau < 1, "a share from 0 to below 1")
        self._check("crop_margin", _is_number(self.crop_margin) and 0 <= self.crop_margin < 0.5, "a share below 0.5")
        self._check("heads", _are_heads(self.heads), "last_half, all or a list of head numbers")

    def check_fit(self, backbone: FrozenModel) -> None:
        """Raises UserError if the settings ask for what a model has not."""
        step = len(backbone.alphas_cumprod) - 1
        for name, last in (("token", backbone.tokens - 1), ("timestep", step), ("transfer_timestep", step)):
            self._check(name, getattr(self, name) <= last, f"0 to {last}", "in this model")
        pixels = int(backbone.image_size * self.crop)
        self._check("crop", pixels >= 1, "a greater share", f"one pixel of {backbone.image_size}")

    def of_optimization(self) -> dict[str, Any]:
        """The settings that an optimized embedding depends on, given its restart's number."""
        return {name: value for name, value in asdict(self).items() if name not in _AFTERWARDS}

    def optimize_side(self, size: int) -> int:
        """Side in pixels of the crops of a source image of side `size`, rounded down as in the released code."""
        return int(size * self.crop) if self.optimize_crops else size

    def transfer_side(self, size: int) -> int:
        """Likewise of a target's crops."""
        return int(size * self.crop) if self.transfer_crops > 1 else size

    def _check(self, name: str, is_so: bool, give: str, what: str = "legal") -> None:
        if not is_so:
            raise UserError(f"method.{name}={getattr(self, name)!r} is not {what}: give {give}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_heads(value: object) -> bool:
    if isinstance(value, str):
        return value in ("last_half", "all")
    return isinstance(value, Sequence) and len(value) > 0 and all(_is_whole(head, 0) for head in value)
