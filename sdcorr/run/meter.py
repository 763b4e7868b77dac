"""What a source image costs: seconds, and the FLOPs of matrix products and convolutions, while it is predicted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sdcorr.run.records import Cost

aten: Any = torch.ops.aten
FORMULAS: Mapping[Any, Callable[..., int]] = flop_registry | {  # torch has none for its kernel of CPUs
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}


class Meter:
    """Measures while it is entered.

    Args:
        count: whether FLOPs are counted too, which makes small networks slower.
    """

    def __init__(self, count: bool) -> None:
        self._counter = _FlopCounter() if count else None
        self._source: tuple[float, int] | None = None
        self.seconds = 0.0

    def __enter__(self) -> Meter:
        self._stack = ExitStack()
        if self._counter:
            self._stack.enter_context(self._counter)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _wait()
        self.seconds = time.perf_counter() - self._start
        self._stack.close()

    def source_done(self) -> None:
        """The work on the source image is done, and that on its targets begins."""
        _wait()
        self._source = (time.perf_counter() - self._start, self._counter.flops if self._counter else 0)

    def cost(self, targets: int, found: int) -> Cost:
        """What was measured.

        Args:
            targets: that were predicted.
            found: results of earlier runs that were used.
        """
        seconds, flops = self._source or (None, None)
        counter = self._counter
        return Cost(self.seconds, targets, seconds, counter and counter.flops, flops if counter else None, found)


class _FlopCounter(TorchDispatchMode):
    """Counts as torch's FlopCounterMode does, which does not know a forward pass that is left early."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)  # never decomposed, which would change its rounding
        if formula := FORMULAS.get(func._overloadpacket):
            self.flops += formula(*args, **kwargs, out_val=result)
        return result


def _wait() -> None:
    """A GPU works on after it was told what to do."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
