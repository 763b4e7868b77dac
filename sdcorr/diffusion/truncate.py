"""Dropping the part of a UNet that runs after the last map that is read.

For Stable Diffusion and the released layers that part is 40 % of the forward pass, and the one that needs the most
memory. Nothing that is computed before it changes, so the maps and their gradients are those of the whole network.
"""

from collections.abc import Callable

from torch import nn


def drop_unreached(model: nn.Module, run: Callable[[], object]) -> tuple[str, ...]:
    """Replace every module that `run()` does not call by an empty one, so that its weights are freed.

    What is kept is decided by running the model, not by knowing its anatomy; places in module lists stay, because
    a UNet block counts its own ResNets to find its skip connections.

    Returns:
        The paths of the modules with weights that were replaced.
    """
    reached: set[nn.Module] = set()
    hooks = [module.register_forward_pre_hook(lambda module, _: reached.add(module)) for module in model.modules()]
    run()
    for hook in hooks:
        hook.remove()
    return tuple(_replace_unreached(model, reached, ""))


def _replace_unreached(parent: nn.Module, reached: set[nn.Module], prefix: str) -> list[str]:
    dropped = []
    for name, child in list(parent.named_children()):
        if child in reached or isinstance(child, nn.ModuleList):  # a list is never called, only its items
            dropped += _replace_unreached(child, reached, f"{prefix}{name}.")
        else:
            setattr(parent, name, nn.Identity())
            if any(True for _ in child.parameters()):
                dropped.append(prefix + name)
    return dropped
