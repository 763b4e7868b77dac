"""The model at work for the page: points of a picture found in another, with progress, and nothing optimized twice."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from sdcorr.app.jobs import Job
from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.cli.paths import folder
from sdcorr.datasets import Ballot, Match
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor
from sdcorr.methods.ballot import ballot
from sdcorr.methods.base import Claim
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.prompt_units import small_maps
from sdcorr.methods.refine import Refine
from sdcorr.methods.resources import Models
from sdcorr.pictures import Counterparts, MatchRequest, Picture, own_counterparts, unit_of
from sdcorr.prompt import PromptMatcher, PromptSettings
from sdcorr.prompt.module import PromptOptimization
from sdcorr.prompt.speed.fast import Wanted
from sdcorr.run.attention_maps import to_bytes
from sdcorr.scoring.calibration import RIGHT, THERE, Calibration
from sdcorr.scoring.calibration_file import of_method, read_calibration

METHODS = {"prompt": "Prompt embedding", "read_once": "Read once (fast)"}
MOST_CELLS = 64  # a side of the maps that are kept
MOST_EMBEDDINGS = 2**29  # bytes


@dataclass(frozen=True)
class How:
    """In which way points are to be found."""

    method: str  # one of METHODS
    consensus: Consensus = "none"
    refine: Refine = "none"


@dataclass(frozen=True)
class Found:
    """A query point's match, and what it was read from."""

    place: tuple[float, float]  # pixels of the target
    confidence: float
    probability: float | None  # that it is right, where a calibration fits the model and the method
    there: float | None  # that the target shows the point, likewise
    evidence: Mapping[str, float]  # that it has left behind, see `sdcorr.methods.evidence`
    ballot: Ballot | None  # of this point alone, where a consensus has chosen
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
        names = found[0].evidence
        return Match(places, sure, evidence={name: np.array([each.evidence[name] for each in found]) for name in names})


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
        default: the way that is chosen at first.
        consensus: which one the page offers: that of the settings, else with the mirror images.
        model: path or hub id of the model.
        knows_only_drawings: whether it is the toybox's.
        layers: names of the maps, the combined one last.
        calibration: one that is given, which then holds for all pictures; None: the toybox's own, for its drawings.
    """

    def __init__(self, overrides: Sequence[str] = ()):
        """
        Args:
            overrides: as on the command line of an evaluation, e.g. `model=sd14`; `method=read_once` to start with.

        Raises:
            UserError: if one does not fit, the weights cannot be had, or a calibration is of no way of the page's.
        """
        asked = compose("eval", *overrides)  # complains of what is wrong with them as they are
        others = [each for each in overrides if not each.startswith("method=")]
        chosen = [each.removeprefix("method=") for each in overrides if each.startswith("method=")]
        told: tuple[Consensus, Refine] = asked.method.get("consensus", "none"), asked.method.get("refine", "none")
        self.default = How(chosen[-1] if chosen else "prompt", *told)
        self.consensus: Consensus = "dense_flip" if told[0] == "none" else told[0]
        self.model = str(asked.model.path)
        self.knows_only_drawings = self.model == "toybox"
        models = Models()
        self._entries = {
            name: build.prompt_entry(compose("eval", "embeddings=null", f"method={name}", *others), models=models)
            for name in METHODS
        }
        self._calibrations: dict[How, Calibration | None] = {}
        self.calibration = self._given(folder(asked.calibration)) if asked.calibration else None
        self._pictures: dict[str, Image.Image] = {}
        matcher = self._entries[self.default.method][1].matcher
        self.layers = matcher.map_names
        self.cells = min(MOST_CELLS, matcher.backbone.image_size)
        self._embeddings: OrderedDict[tuple, tuple[Tensor, np.ndarray]] = OrderedDict()

    def settings(self, method: str) -> PromptSettings:
        """The method's settings."""
        return self._entries[method][1].settings

    def find(self, job: Job, how: How, source: Picture, target: Picture, points: np.ndarray) -> list[Found]:
        """Find points of the source in the target.

        Args:
            job: is told how far this is.
            how: the way to find them.
            source, target: the pictures.
            points: (P, 2) in pixels of the source; under `joint`, all that there are.

        Raises:
            Canceled: if nobody waits any more.
        """
        method = self._entries[how.method][1].heeding(how.consensus, how.refine)
        matcher = method.matcher
        keys = [(how.method, source.key, x, y) for x, y in points.tolist()]
        known = {key: self._embeddings[key] for key in keys if key in self._embeddings}
        new = [row for row, key in enumerate(keys) if key not in known]
        if new:
            known |= dict(
                zip([keys[row] for row in new], self._optimize(job, matcher, source, points[new]), strict=True)
            )
            self._remember(known)
        self._pictures = {each.key: each.image for each in (source, target)}
        pixels = image_to_tensor(target.image, matcher.backbone.image_size)
        found: list[Found] = []
        together = [list(range(len(keys)))] if how.consensus == "joint" else [[row] for row in range(len(keys))]
        for rows in together:
            job.tell("reading", done=rows[0], of=len(keys))
            given = torch.stack([known[keys[row]][0] for row in rows]).to(matcher.backbone.device)
            wanted = Wanted(pixels, target.key, range(len(rows)))
            (seen,) = matcher.transfer_to_all([wanted], given, points[rows], source.key)
            unit = unit_of(MatchRequest(source, points[rows], (target,)))
            match, agreed = method.answer(unit, unit.targets[0], seen, self._read)
            weighed = ballot(agreed, source.image.size, target.image.size) if agreed else None
            by = self._calibration(how)
            likely, there = (by.of_match(match, outcome) if by else None for outcome in (RIGHT, THERE))
            small = self._small(matcher, seen.maps)
            for place, row in enumerate(rows):
                found.append(
                    Found(
                        place=(float(match.points[place, 0]), float(match.points[place, 1])),
                        confidence=float(match.confidence[place]),
                        probability=None if likely is None else float(likely[place]),
                        there=None if there is None else float(there[place]),
                        evidence={name: float(values[place]) for name, values in match.evidence.items()},
                        ballot=weighed.of(np.array([place])) if weighed else None,
                        embedding=known[keys[row]][0],
                        source_maps=known[keys[row]][1],
                        target_maps=small[place],
                    )
                )
        return found

    def counterparts(self, how: How, source: Picture, points: np.ndarray) -> Counterparts:
        """Which points of a source are the two sides of one part, see `own_counterparts`.

        Args:
            how: the way in which they were found.
            source: the picture.
            points: (P, 2) in pixels of it, all that there are: a point's counterpart depends on the others.
        """
        self._pictures = {source.key: source.image}
        method = self._entries[how.method][1].heeding(how.consensus, how.refine)
        return own_counterparts(method, source, points, self._read)

    def _read(self, key: str) -> Image.Image:
        """One of the pictures that are worked on: always this function, so that methods know what they have read."""
        return self._pictures[key]

    def _given(self, path: Path) -> Calibration:
        """The calibration of that file; raises UserError if it is of no way in which the page finds points."""
        found = read_calibration(path)
        ways = [How(*each) for each in product(METHODS, ("none", self.consensus), ("none", "pixels"))]
        if all(found.unlike(self._claim(each)) for each in ways):
            why = found.unlike(self._claim(self.default))
            raise UserError(f"{path} fits no way in which the page finds points: {why} (as it starts).")
        return found

    def _claim(self, how: How) -> Claim:
        """What decides the matches of that way; it reads all of the model's weights."""
        entry = self._entries[how.method][0]
        return replace(entry, settings={**entry.settings, "consensus": how.consensus, "refine": how.refine}).claim()

    def _calibration(self, how: How) -> Calibration | None:
        """What knows how likely matches are right, if anything does; what comes with the program is of the toybox."""
        if not self.knows_only_drawings and self.calibration is None:
            return None
        if how not in self._calibrations:
            claim, given = self._claim(how), self.calibration
            self._calibrations[how] = of_method(claim) if given is None else None if given.unlike(claim) else given
        return self._calibrations[how]

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
