"""torch.compile for the repeated parts of a UNet, round the layers that are read.

The UNet as a whole cannot be compiled: the last layer that is read leaves it by an exception. Its ResNets and
transformer blocks can, each alone; of a transformer block that is read, all but the cross-attention. One compiled graph
serves every part of the same shape and, from 2 on, nearly every batch size (on CPUs convolutions split it at 16).
Graphs for a batch of 1 and for passes without gradient are compiled when they are first met.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from sdcorr.errors import UserError

_GRAPHS = 64  # of one kind of part; Stable Diffusion 1.x has ResNets of 13 shapes, with and without gradient


def compile_parts(unet: nn.Module, read: Sequence[str]) -> None:
    """Compile ResNets and transformer blocks in place, at their first calls.

    Args:
        unet: the model, cut already: a compiled part does not call the hooks of what is in it.
        read: module paths of the cross-attention layers that are read.

    Raises:
        UserError: if torch cannot compile on this machine; where a compiler is missing, at the first call.
    """
    dynamo = torch._dynamo.config  # for the whole process: that torch.compile takes a limit of its own is newer
    dynamo.recompile_limit = max(dynamo.recompile_limit, _GRAPHS)
    for path, module in unet.named_modules():
        if isinstance(module, BasicTransformerBlock) and f"{path}.attn2" in read:
            for part in (module.attn1, module.ff):
                part.forward = _compiled(part.forward)
        elif isinstance(module, ResnetBlock2D | BasicTransformerBlock):
            module.forward = _compiled(module.forward)


def _compiled(function: Callable) -> Callable:
    from torch._dynamo.exc import BackendCompilerFailed  # not at the top: it takes seconds

    try:
        compiled = torch.compile(function, dynamic=True)
    except RuntimeError as error:  # a Python that torch.compile does not know
        raise _impossible(error) from error

    def call(*args: Any, **options: Any) -> Any:
        try:
            return compiled(*args, **options)
        except BackendCompilerFailed as error:  # no C++ compiler, no Triton
            raise _impossible(error) from error

    return call


def _impossible(error: Exception) -> UserError:
    reason = str(error).strip().splitlines()[0].rstrip(".")
    return UserError(f"torch.compile does not work on this machine ({reason}): give model.compile=false.")
