"""The prompt method without the UNet in its loop: every picture is read once. See `sdcorr.prompt.speed.read_once`."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from sdcorr.methods.prompt import Prompt
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import ReadOnceMatcher, ReadOnceSettings


class ReadOnce(Prompt):
    """Optimizes embeddings against attention queries that were read once, and finds them again in the targets'."""

    version: ClassVar[int] = 1
    without_effect: ClassVar[frozenset[str]] = Prompt.without_effect | {"adaptive_crops"}

    kind_of_settings: ClassVar[type[PromptSettings]] = ReadOnceSettings
    settings: ReadOnceSettings

    @cached_property
    def matcher(self) -> ReadOnceMatcher:
        """The method on its model, which is loaded when this is first asked for."""
        resources = self.resources
        return ReadOnceMatcher(resources.backbone(), self.settings, resources.dataset, resources.reader())
