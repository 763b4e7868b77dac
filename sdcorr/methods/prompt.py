"""The method of the paper: prompt embeddings that are optimized on the query points and found again in the targets.

Hedlin et al. 2023, "Unsupervised Semantic Correspondence Using Stable Diffusion" (arXiv 2305.15581).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from sdcorr.configuration import settings_of
from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.diffusion.flops import encode_flops, map_flops, step_rate
from sdcorr.errors import UserError
from sdcorr.finite import check_finite
from sdcorr.methods.consensus import Consensus, check_consensus
from sdcorr.methods.evidence import agreement
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import KEPT, Agreed, Features, MapMethod, ScoreMaps
from sdcorr.methods.prompt_units import match_unit, transferred
from sdcorr.methods.refine import Refine, check_refine
from sdcorr.methods.surfaces import attention_surface
from sdcorr.methods.unet_features import read_features
from sdcorr.prompt.randomness import Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher
from sdcorr.prompt.speed.fast import TargetMaps
from sdcorr.prompt.speed.work import work_of

if TYPE_CHECKING:
    from sdcorr.methods.resources import Resources


class Prompt(MapMethod):
    """Optimizes the points of a source image once, transfers their embeddings to all its targets, localizes.

    Attributes:
        settings: of the method.
    """

    version: ClassVar[int] = 1
    reads_model: ClassVar[bool] = True
    without_effect: ClassVar[frozenset[str]] = frozenset({"queries_per_batch", "evidence_timestep"})  # on no match
    of_consensus: ClassVar[tuple[str, ...]] = ("consensus", "consensus_block", "consensus_timestep")
    beside_paper: ClassVar[tuple[str, ...]] = (*of_consensus, "evidence_timestep", "refine")  # not `kind_of_settings`'
    kind_of_settings: ClassVar[type[PromptSettings]] = PromptSettings

    def __init__(
        self,
        resources: Resources,
        consensus: Consensus = "none",
        consensus_block: str = "up_blocks.1",
        consensus_timestep: int = 261,
        evidence_timestep: int = 261,
        refine: Refine = "none",
        **settings: Any,
    ) -> None:
        """
        Args:
            resources: what the method works with.
            consensus: what else has a say in which peak is the match; see `sdcorr.methods.consensus`. Not in the paper.
            consensus_block: module of the network whose features the consensus stands on.
            consensus_timestep: of the noise on the pictures there.
            evidence_timestep: the same, of the features that the evidence stands on where there is no consensus.
            refine: what else has a say in where exactly it is; see `sdcorr.methods.refine`. Not in the paper.
            settings: fields of `kind_of_settings`.

        Raises:
            UserError: if there is no such setting, or its value is not legal.
        """
        check_consensus("prompt", consensus)
        check_refine("prompt", refine)
        timesteps = {"consensus_timestep": consensus_timestep, "evidence_timestep": evidence_timestep}
        for name, value in timesteps.items():
            if type(value) is not int or value < 0:
                raise UserError(f"{name}={value} is not legal: give a whole number from 0.")
        if not isinstance(consensus_block, str) or not consensus_block:
            raise UserError(f"consensus_block={consensus_block!r} is not legal: give a module, such as up_blocks.1.")
        self.resources = resources
        self.settings = settings_of(self.kind_of_settings, settings, "method setting")
        self.consensus, self.refine = consensus, refine
        self._block, self._timesteps = consensus_block, timesteps
        self._kept = lru_cache(maxsize=KEPT)(self._read)

    def heeding(self, consensus: Consensus, refine: Refine) -> Prompt:
        """The same method with all that it has read so far, under another consensus and refinement."""
        other = copy(self)
        other.consensus, other.refine = consensus, refine
        return other

    @property
    def place(self) -> tuple[str, int]:
        """Where the features come from: the block, and the timestep of the noise."""
        return self._block, self._timesteps["evidence_timestep" if self.consensus == "none" else "consensus_timestep"]

    @cached_property
    def matcher(self) -> FastMatcher:
        """The method on its model, which is loaded when this is first asked for."""
        resources = self.resources
        store = resources.embedding_store(self.settings.of_optimization())
        return FastMatcher(resources.backbone(), self.settings, resources.dataset, resources.reader(), store)

    @property
    def found(self) -> int:
        """How many stored embeddings have been used instead of optimizing."""
        store = self.matcher.store
        return store.found if store else 0

    def prepare(self) -> None:
        """Loads the model.

        Raises:
            UserError: if it cannot be had, or a setting does not fit it.
        """
        _ = self.matcher

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """As for every method; embeddings that are stored need no optimization, if their pictures are as they were."""
        backbone, reader = self.resources.blueprint(), self.resources.blueprint(transfer=True)
        work = work_of(units, self.settings, backbone.image_size, source_maps=self.resources.map_cells > 0)
        share = 1 - self._stored(units)
        steps, crops = share * work.steps * map_flops(backbone).step, work.crops * map_flops(reader).forward
        return steps + crops + work.encodes * encode_flops(backbone)

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: by the loop's own steps."""
        return self.flops(units) / step_rate(self.resources.backbone(), self.resources.blueprint())

    def _stored(self, units: Sequence[SourceUnit]) -> float:
        """The share of some units' embeddings that are stored."""
        store = self.resources.embedding_store(self.settings.of_optimization())
        if store is None:
            return 0.0
        there = asked = 0
        for unit in units:
            restarts = range(self.settings.restarts)
            queries = [Query(unit.source, x, y, restart) for x, y in unit.points.tolist() for restart in restarts]
            there, asked = there + store.known(unit.source, queries), asked + len(queries)
        return there / max(1, asked)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match; pairs without an asked point come first.

        Raises:
            UserError: if an image cannot be read, or the model gives NaN.
        """
        yield from match_unit(
            self.matcher,
            unit,
            image,
            callbacks=self.resources.callbacks(unit.source),
            map_cells=self.resources.map_cells,
            answer=partial(self.answer, unit, image=image),
            source_done=self.source_done,
        )

    def answer(
        self, unit: SourceUnit, target: Target, seen: TargetMaps, image: ImageReader
    ) -> tuple[Match, Agreed | None]:
        """Where the points of a target are, by their maps and by all settings, with the evidence that is left behind.

        Args:
            unit: of the source.
            target: one of its targets.
            seen: of the target's V points.
            image: reads a picture by its key.

        Returns:
            The V matches, and what the consensus has come to, if there is one.

        Raises:
            UserError: if an image cannot be read, or the model gives NaN.
        """
        scores, size = self._scores(target, seen.maps), target.pair.target_size
        agreed = self.agreed(unit, target, scores, image)
        match = self.matcher.localize(seen.maps, size, agreed.near if agreed else None)
        left = self.evidence(unit, target, scores, match.points, image, agreed) | agreement(seen, match, size)
        return self.exact(target.pair, replace(match, evidence=left), image), agreed

    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target that asks for a point, with the mean over the layers of its points' attention maps.

        Raises:
            UserError: if an image cannot be read, or the model gives NaN.
        """
        for target, seen, _ in transferred(self.matcher, unit, image, self.resources.callbacks(unit.source)):
            yield target, self._scores(target, seen.maps)

    def surfaces(self, key: str, image: ImageReader, category: str) -> Features:
        """The attention queries of the whole picture, where they are apart from the text's; else `features`."""
        return attention_surface(self.matcher, key, image) or self.features(key, image, category)

    def features(self, key: str, image: ImageReader, category: str) -> Features:
        """The UNet's features of a picture, of one draw of the noise: one forward pass, kept for its other pairs."""
        return self._kept(key, image, *self.place)

    @property
    def has_features(self) -> bool:
        """Whether the model still has the block that `features` reads: other layers may have cut it off."""
        try:
            self.matcher.backbone.block(self.place[0])
        except UserError:
            return False
        return True

    def _read(self, key: str, image: ImageReader, block: str, timestep: int) -> Features:
        backbone = self.matcher.backbone
        found = read_features(backbone, key, image, block, timestep, seed=self.settings.seed)
        check_finite([found.values], f"The features of {key} are", backbone.precision, key)
        return found

    def _scores(self, target: Target, maps: Tensor) -> ScoreMaps:
        """Maps (V, L, S, S) as scores."""
        side = self.matcher.backbone.image_size
        return ScoreMaps(maps.mean(1), Layout(target.pair.target_size, (side, side), (0, 0, side, side)), "attention")
