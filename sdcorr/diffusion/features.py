"""What modules of a network put out, for methods that compare features."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from sdcorr.errors import UserError


class _LastBlockRead(Exception):
    """Raised inside the UNet when the last wanted block has run."""


def read_outputs(blocks: dict[str, nn.Module], run: Callable[[], object], part: int = 0) -> dict[str, Tensor]:
    """The outputs of some modules of a model during `run()`, which is left as soon as all are there.

    Args:
        blocks: name -> module.
        run: calls the model once.
        part: which output is wanted of a module that puts out several.

    Returns:
        Name -> the output as float32, (B, channels, h, w) for a UNet's blocks.
    """
    outputs: dict[str, Tensor] = {}

    def keep(block: str, module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        outputs[block] = (output[part] if isinstance(output, tuple) else output).float()
        if len(outputs) == len(blocks):
            raise _LastBlockRead

    hooks = [module.register_forward_hook(partial(keep, block)) for block, module in blocks.items()]
    try:
        run()
    except _LastBlockRead:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def find_block(unet: nn.Module, block: str, dropped: Sequence[str], last: str) -> nn.Module:
    """A module of the UNet that still has all its weights.

    Args:
        unet: the model.
        block: module path.
        dropped: paths of the modules that truncation dropped.
        last: the layer that the UNet was cut after.

    Raises:
        UserError: if there is no such module, or it was dropped, whole or in part.
    """
    modules = dict(unet.named_modules())
    if block not in modules:
        blocks = [name for name in modules if re.fullmatch(r"(down|up)_blocks\.\d+|mid_block", name)]
        raise UserError(f"The UNet has no block {block!r}: choose e.g. from {', '.join(blocks)}.")
    if any(_is_within(path, block) or _is_within(block, path) for path in dropped):
        raise UserError(
            f"Block {block!r} was dropped, for it runs after {last!r}, the last layer that is read: load the model "
            "with truncate=False."
        )
    return modules[block]


def _is_within(path: str, module: str) -> bool:
    return f"{path}.".startswith(f"{module}.")
