"""The model at work for the page: points of a picture found in another, with progress, and nothing optimized twice."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from sdcorr.app.jobs import Job
from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import ImageReader, Match, Pair, group_by_source
from sdcorr.images import image_to_tensor
from sdcorr.methods.maps import evidence_of_attention
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.prompt_units import small_maps
from sdcorr.pictures import Picture
from sdcorr.prompt import PromptMatcher, PromptSettings
from sdcorr.prompt.module import PromptOptimization
from sdcorr.prompt.speed.fast import TargetMaps, Wanted
from sdcorr.run.attention_maps import to_bytes
from sdcorr.scoring.calibration import CONFIDENCE, Calibration
from sdcorr.scoring.calibration_file import of_method

METHODS = {"prompt": "Prompt embedding", "read_once": "Read once (fast)"}
MOST_CELLS = 64  # a side of the maps that are kept
MOST_EMBEDDINGS = 2**29  # bytes


@dataclass(frozen=True)
class Found:
    """A query point's match, and what it was read from."""

    place: tuple[float, float]  # pixels of the target
    confidence: float
    probability: float | None  # that it is right, where a calibration fits the model and the method
    margin: float  # of its peak to the next one, see `sdcorr.methods.evidence`
    embedding: Tensor  # (R, T, D) on the CPU
    source_maps: np.ndarray  # (L + 1, k, k) uint8, each map over its own range, the combined one last
    target_maps: np.ndarray  # the same of the target

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.embedding.nbytes + self.source_maps.nbytes + self.target_maps.nbytes

    @staticmethod
    def match(found: Sequence[Found]) -> Match:
        """Several as one."""
        places, sure = np.array([each.place for each in found]), np.array([each.confidence for each in found])
        return Match(places, sure, evidence={"margin": np.array([each.margin for each in found])})


class Progress(Callback):
    """Tells a job how far its optimization is."""

    def __init__(self, job: Job, queries: int, steps: int) -> None:
        """Of so many queries of so many steps, in one batch or in several."""
        self._job, self._queries, self._steps = job, queries, steps
        self._done = 0  # queries of batches that are finished
        self._since: tuple[float, float] | None = None  # when the first step was over, and how far that was
        job.tell("optimizing", step=0, steps=steps, left=None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tells it, and the seconds that are left.

        Raises:
            Canceled: if nobody waits any more.
        """
        now = time.monotonic()
        batch_done = len(cast(PromptOptimization, pl_module).embeddings) * (batch_idx + 1) / self._steps
        done = (self._done + batch_done) / self._queries  # share of all
        if self._since is None:
            self._since = now, done  # the first step has encoded crops, and says little of the others
        began, had = self._since
        left = (now - began) / (done - had) * (1 - done) if done > had else None
        self._job.tell("optimizing", step=round(done * self._steps), steps=self._steps, left=left)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Goes on with the next batch."""
        self._done += len(cast(PromptOptimization, pl_module).embeddings)


class Matching:
    """The methods that the page offers, on one model; `find` is for the thread that owns it.

    Attributes:
        default: the method that is chosen at first.
        model: path or hub id of the model.
        knows_only_drawings: whether it is the toybox's.
        layers: names of the maps, the combined one last.
    """

    def __init__(self, overrides: Sequence[str] = ()):
        """
        Args:
            overrides: as on the command line of an evaluation, e.g. `model=sd14`; `method=read_once` to start with.

        Raises:
            UserError: if one does not fit, or the weights cannot be had.
        """
        asked = compose("eval", *overrides)  # complains of what is wrong with them as they are
        others = [each for each in overrides if not each.startswith("method=")]
        chosen = [each.removeprefix("method=") for each in overrides if each.startswith("method=")]
        self.default = chosen[-1] if chosen else "prompt"
        self.model = str(asked.model.path)
        self.knows_only_drawings = self.model == "toybox"
        self._methods: dict[str, Prompt] = {}
        self._calibrations: dict[str, Calibration | None] = {}
        for name in METHODS:
            entry, method = build.prompt_entry(compose("eval", "embeddings=null", f"method={name}", *others))
            self._methods[name] = method
            # Of other models nothing comes with the program, and a claim reads all of their weights.
            self._calibrations[name] = of_method(entry.claim()) if self.knows_only_drawings else None
        matcher = self._methods[self.default].matcher
        self.layers = matcher.map_names
        self.cells = min(MOST_CELLS, matcher.backbone.image_size)
        self._embeddings: OrderedDict[tuple, tuple[Tensor, np.ndarray]] = OrderedDict()

    def settings(self, method: str) -> PromptSettings:
        """The method's settings."""
        return self._methods[method].settings

    def find(self, job: Job, method: str, source: Picture, target: Picture, points: np.ndarray) -> list[Found]:
        """Find points of the source in the target.

        Args:
            job: is told how far this is.
            method: one of METHODS.
            source, target: the pictures.
            points: (P, 2) in pixels of the source.

        Raises:
            Canceled: if nobody waits any more.
        """
        matcher = self._methods[method].matcher
        keys = [(method, source.key, x, y) for x, y in points.tolist()]
        known = {key: self._embeddings[key] for key in keys if key in self._embeddings}
        new = [row for row, key in enumerate(keys) if key not in known]
        if new:
            known |= dict(
                zip([keys[row] for row in new], self._optimize(job, matcher, source, points[new]), strict=True)
            )
            self._remember(known)
        read = {each.key: each.image for each in (source, target)}.__getitem__
        found = []
        for row, key in enumerate(keys):
            job.tell("reading", done=row, of=len(keys))
            embedding, seen = known[key]
            given = embedding[None].to(matcher.backbone.device)
            wanted = Wanted(image_to_tensor(target.image, matcher.backbone.image_size), target.key, [0])
            (there,) = matcher.transfer_to_all([wanted], given, points[[row]], source.key)
            match = matcher.localize(there.maps, target.image.size)
            place, sure = tuple(match.points[0].tolist()), float(match.confidence[0])
            margin = float(evidence_of_attention(there.maps, match.points, target.image.size)["margin"][0])
            likely = self._probability(method, (source, target), read, points[[row]], there, match)
            small = self._small(matcher, there.maps)[0]
            found.append(Found(place, sure, likely, margin, embedding, seen, small))
        return found

    def _probability(
        self,
        method: str,
        pictures: tuple[Picture, Picture],
        read: ImageReader,
        point: np.ndarray,
        seen: TargetMaps,
        match: Match,
    ) -> float | None:
        """That the match of a point (1, 2) is right; None without a calibration."""
        by = self._calibrations[method]
        if by is None:
            return None
        source, target = pictures
        sizes = source.image.size, target.image.size
        unknown, asked = np.full((1, 2), np.nan), np.ones(1, dtype=bool)
        pair = Pair("", "", source.key, target.key, *sizes, point, unknown, asked, ("",))
        (unit,) = group_by_source([pair])
        left = self._methods[method].left(unit, unit.targets[0], seen, match, read)
        return float(by.probability({CONFIDENCE: match.confidence, **left})[0])

    def _optimize(
        self, job: Job, matcher: PromptMatcher, source: Picture, points: np.ndarray
    ) -> list[tuple[Tensor, np.ndarray]]:
        """Of each point its embedding (R, T, D), and its maps on the source (L + 1, k, k)."""
        settings = matcher.settings
        progress = Progress(job, len(points) * settings.restarts, settings.steps)
        embeddings = matcher.optimize(source.image, points, source.key, [progress])  # (P, R, T, D)
        maps = matcher.source_maps(source.image, embeddings, points, source.key)
        return list(zip(embeddings.cpu().unbind(), self._small(matcher, maps), strict=True))

    def _small(self, matcher: PromptMatcher, maps: Tensor) -> np.ndarray:
        """Maps (P, L, S, S) to look at, (P, L + 1, k, k) uint8, each over its own range."""
        return to_bytes(small_maps(maps, matcher.settings, self.cells))[0]

    def _remember(self, embeddings: dict[tuple, tuple[Tensor, np.ndarray]]) -> None:
        for key, value in embeddings.items():
            self._embeddings[key] = value
            self._embeddings.move_to_end(key)
        while sum(each.nbytes + maps.nbytes for each, maps in self._embeddings.values()) > MOST_EMBEDDINGS:
            self._embeddings.popitem(last=False)
