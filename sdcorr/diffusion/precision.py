"""In which precision the frozen network computes, and where that ends.

A GPU computes float32 matrix products and convolutions either as they are (IEEE) or in TensorFloat-32, which keeps 10
bits of the mantissa and is several times faster. Which one is a state of the whole process (and torch's default is
TensorFloat-32 for convolutions), so the network's choice is put in force when a pass enters it and taken back when
the pass leaves it, forward and backward; the softmax that is read and the loss lie outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor
from torch.autograd import Function

from sdcorr.errors import UserError

Precision = Literal["fp32", "tf32", "bf16"]  # no fp16: the embedding's gradient, about 1e-6, would underflow
_Word = TypeVar("_Word", str, bool)
_BACKENDS: Any = torch.backends  # whose annotations do not know the flags of their parts
_OVERALL = {"ieee": "highest", "tf32": "high"}  # the same, for matrix products on all kinds of device at once


def weights_dtype(precision: Precision) -> torch.dtype:
    """What the network's weights and activations are stored in.

    Raises:
        UserError: if there is no such precision.
    """
    if precision not in get_args(Precision):
        raise UserError(f"precision={precision!r} is unknown: choose from {', '.join(get_args(Precision))} or auto.")
    return torch.bfloat16 if precision == "bf16" else torch.float32


def settle(precision: Precision | Literal["auto"], device: torch.device, large: bool) -> Precision:
    """The precision that is meant by "auto": float32, or bfloat16 for a large model on a CPU that multiplies in it.

    At Stable Diffusion 1.4's shape such a CPU takes half the time and memory in bfloat16; small models gain nothing.

    Raises:
        UserError: if there is no such precision.
    """
    if precision != "auto":
        weights_dtype(precision)
        return precision
    able = torch.cpu.get_capabilities()
    return "bf16" if device.type == "cpu" and large and (able.get("avx512_bf16") or able.get("amx_bf16")) else "fp32"


@dataclass(frozen=True)
class _Flags:
    """What is in force. torch keeps it twice, older words over all and newer flags of parts, and trips over a mix."""

    matmul: str | None  # "highest", "high" or "medium"; None: the flags were set one by one and no word says it
    cudnn: bool | None  # whether TensorFloat-32 is allowed; None: as above
    parts: tuple[str, ...]  # matrix products on CPUs and GPUs, convolutions, recurrent networks

    @classmethod
    def in_force(cls) -> "_Flags":
        parts = tuple(part.fp32_precision for part in cls._parts())
        return cls(
            _or_none(torch.get_float32_matmul_precision), _or_none(lambda: torch.backends.cudnn.allow_tf32), parts
        )

    def put_in_force(self) -> None:
        if self.matmul is not None:
            torch.set_float32_matmul_precision(self.matmul)
        if self.cudnn is not None:
            torch.backends.cudnn.allow_tf32 = self.cudnn
        for part, flag in zip(self._parts(), self.parts, strict=True):
            part.fp32_precision = flag

    @staticmethod
    def _parts() -> tuple:
        cpu, cudnn = _BACKENDS.mkldnn, _BACKENDS.cudnn
        return cpu.matmul, _BACKENDS.cuda.matmul, cudnn.conv, cudnn.rnn


class Float32Mode:
    """How float32 matrix products and convolutions are computed, from `enter` to `leave`; also a context manager.

    Backward runs after the forward pass has left, so the tensors at the network's two ends put it in force again: what
    goes in by `way_in`, and what comes out by `way_out`. One object serves a network for good: where a pass fails
    half-way (out of memory), the next one still knows what was in force outside and puts it back.
    """

    def __init__(self, precision: Precision):
        self._mode = "tf32" if precision == "tf32" else "ieee"
        self._outside: _Flags | None = None

    def enter(self, gradient: Tensor | None = None) -> None:
        """Put it in force, if it is not."""
        if self._outside is None:
            self._outside = _Flags.in_force()
            _Flags(_OVERALL[self._mode], self._mode == "tf32", (self._mode,) * 4).put_in_force()

    def leave(self, gradient: Tensor | None = None) -> None:
        """Put back what was in force before."""
        if self._outside is not None:
            self._outside.put_in_force()
            self._outside = None

    def way_in(self, x: Tensor) -> Tensor:
        """x for the network; when its gradient is complete, backward has left the network."""
        inside = x.view_as(x)
        if inside.requires_grad:
            inside.register_hook(self.leave)
        return inside

    def way_out(self, x: Tensor) -> Tensor:
        """x from the network; when its gradient is complete, backward enters the network."""
        if x.requires_grad:
            x.register_hook(self.enter)
        return x

    def __enter__(self) -> None:
        self.leave()  # which a pass that failed half-way did not
        self.enter()

    def __exit__(self, *exception: object) -> None:
        self.leave()


def matmul_fp32(a: Tensor, b: Tensor) -> Tensor:
    """a @ b that float32 rounds as IEEE says, forward and backward, whatever is in force round it.

    Args:
        a: (..., n, k).
        b: (..., k, m); leading dimensions broadcast.

    Returns:
        (..., n, m).
    """
    return _MatmulFp32.apply(a, b)


class _MatmulFp32(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        gpu, cpu = _BACKENDS.cuda.matmul, _BACKENDS.mkldnn.matmul
        before = gpu.fp32_precision, cpu.fp32_precision
        gpu.fp32_precision = cpu.fp32_precision = "ieee"  # these flags alone: a step has dozens of such products
        try:
            return a @ b
        finally:
            gpu.fp32_precision, cpu.fp32_precision = before

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients  # of the one output
        a, b = ctx.saved_tensors
        wants_a, wants_b = ctx.needs_input_grad
        return (
            matmul_fp32(gradient, b.mT).sum_to_size(a.shape) if wants_a else None,
            matmul_fp32(a.mT, gradient).sum_to_size(b.shape) if wants_b else None,
        )


def _or_none(word: Callable[[], _Word]) -> _Word | None:
    try:
        return word()
    except RuntimeError:
        return None
