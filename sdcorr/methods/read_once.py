"""The prompt method without the UNet in its loop: every picture is read once. See `sdcorr.prompt.speed.read_once`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from sdcorr.methods.prompt import Prompt, read_settings
from sdcorr.prompt.speed import ReadOnceMatcher, ReadOnceSettings

if TYPE_CHECKING:
    from sdcorr.methods.resources import Resources


class ReadOnce(Prompt):
    """Optimizes embeddings against attention queries that were read once, and finds them again in the targets'."""

    version: ClassVar[int] = 1
    without_effect: ClassVar[frozenset[str]] = Prompt.without_effect | {"adaptive_crops"}

    def __init__(self, resources: Resources, **settings: Any) -> None:
        """
        Args:
            resources: what the method works with.
            settings: fields of `ReadOnceSettings`.

        Raises:
            UserError: if there is no such setting, or its value is not legal.
        """
        self.resources = resources
        self.settings: ReadOnceSettings = read_settings(ReadOnceSettings, settings)

    @cached_property
    def matcher(self) -> ReadOnceMatcher:
        """The method on its model, which is loaded when this is first asked for."""
        resources = self.resources
        return ReadOnceMatcher(resources.backbone(), self.settings, resources.dataset, resources.reader())
