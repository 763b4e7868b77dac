"""The prompt method without the UNet in its loop: every picture is read once. See `sdcorr.prompt.speed.read_once`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from sdcorr.datasets import SourceUnit
from sdcorr.diffusion.flops import attend_flops, encode_flops, map_flops
from sdcorr.methods.prompt import Prompt
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import ReadOnceMatcher, ReadOnceSettings
from sdcorr.prompt.speed.work import pool_size, work_of


class ReadOnce(Prompt):
    """Optimizes embeddings against attention queries that were read once, and finds them again in the targets'."""

    version: ClassVar[int] = 1
    without_effect: ClassVar[frozenset[str]] = Prompt.without_effect | {"adaptive_crops"}

    kind_of_settings: ClassVar[type[PromptSettings]] = ReadOnceSettings
    settings: ReadOnceSettings

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: pictures are read once, and then only keys are made and met."""
        settings, resources = self.settings, self.resources
        backbone, reader = resources.blueprint(), resources.blueprint(transfer=True)
        size = backbone.image_size
        at_source = pool_size(settings.optimize_side(size), size, settings)
        at_target = pool_size(settings.transfer_side(size), size, settings)
        targets = {target.pair.target for unit in units for target in unit.targets if target.points}
        work = work_of(units, settings, size)
        readings = len(units) * at_source * map_flops(backbone).forward
        readings += len(targets) * at_target * map_flops(reader).forward
        asked = work.crops // settings.transfer_crops  # embeddings that targets are asked for
        meetings = work.steps * attend_flops(backbone).step + asked * at_target * attend_flops(reader).forward
        return readings + meetings + work.encodes * encode_flops(backbone)

    @cached_property
    def matcher(self) -> ReadOnceMatcher:
        """The method on its model, which is loaded when this is first asked for."""
        resources = self.resources
        return ReadOnceMatcher(resources.backbone(), self.settings, resources.dataset, resources.reader())
