"""What a method is: anything that finds the points of one image in others.

A method is one class in a file of this folder and one yaml in `configs/method`, which names the class as `_target_` and
gives its settings. `methods: [a, b, ...]` of an evaluation are such yaml files by name; the first is the subject, the
others are what it is compared with on the same pairs. A class of another package serves as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit

if TYPE_CHECKING:
    from sdcorr.methods.resources import Resources


class Method(ABC):
    """Finds points again in another image: prompt embeddings, features, a rule, a trained network.

    It is made as `Class(resources, **settings)`; a `sdcorr.methods.resources.Resources` loads the
    model when it is first asked for it. Making a method checks its settings and is quick; `prepare` loads what it
    needs. Its randomness belongs to the query (`sdcorr.prompt.randomness`), never to the order of the work.

    Attributes:
        version: of the class's own code: raised by every change after which the same settings match otherwise, so
            that records of before are not mistaken for its own.
        reads_model: whether the frozen diffusion model has a part in the result.
        without_effect: settings that change speed or memory, and no result.
    """

    version: ClassVar[int] = 1
    reads_model: ClassVar[bool] = False
    without_effect: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def unsuited(cls, pairs: Sequence[Pair]) -> str | None:
        """Why the method cannot be used on these pairs, as the end of a sentence; None if it can."""
        return None

    resources: Resources

    @abstractmethod
    def __init__(self, resources: Resources, **settings: Any) -> None:
        """Checks the settings, each of which is an argument of the class's own constructor; loads nothing.

        Args:
            resources: what the method works with.
            settings: those of its yaml, as far as nobody has said others.

        Raises:
            UserError: if the value of a setting is not legal.
        """

    @classmethod
    def claimed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Of all its settings those that have an effect, as a claim names them."""
        return {name: value for name, value in settings.items() if name not in cls.without_effect}

    source_done: Callable[[], None] = staticmethod(lambda: None)
    """Called by `match` between its work on the source image and that on the targets, if these are apart."""

    @property
    def found(self) -> int:
        """How many results of earlier runs have been used so far, such as stored embeddings: their cost is unknown."""
        return 0

    def model_identity(self) -> Mapping[str, Any] | None:
        """What decides the part that networks have in the result: digests and settings; None if there are none.

        Raises:
            UserError: if a network cannot be had.
        """
        return self.resources.model_identity() if self.reads_model else None

    def prepare(self) -> None:
        """Loads what `match` needs and checks the settings against it, before hours of work begin.

        Raises:
            UserError: if something cannot be had, or a setting does not fit the model.
        """
        return

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """What matching some units will cost, as nearly as can be said before a network is loaded.

        A run says it before it begins; counting may take a second or two. 0 if it is next to nothing.

        Raises:
            UserError: if a network cannot be had, or has not what the settings ask for.
        """
        return 0.0

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """How long that is likely to take here, by a trial of its networks, which are loaded for that.

        Raises:
            UserError: as `flops` and `prepare`.
        """
        return 0.0

    @abstractmethod
    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match, in any order.

        Args:
            unit: a source image, its query points, its targets.
            image: reads the RGB image of a key; raises UserError if it cannot be read.
        """


@dataclass(frozen=True)
class Claim:
    """All that decides what a method predicts, beside the pairs and their pictures; and nothing else."""

    kind: str  # import path of the class
    version: int  # of its code
    settings: Mapping[str, Any]  # those with an effect
    model: Mapping[str, Any] | None = None  # what the frozen model is (weights, configurations, layers); None: unused
