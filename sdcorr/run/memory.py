"""How much memory a process has taken."""

import sys

import torch


def peak_bytes() -> int | None:
    """The greatest memory taken so far: what torch took of a GPU if it is used, else what the process holds.

    None where the system does not tell.
    """
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
