"""How many queries go through the UNet at once: as many as are asked for, or as many as fit into the device's memory.

Queries share nothing but the forward pass and every random draw belongs to one query, so the size of a batch changes
no result (beyond the rounding of its sums), and a batch that did not fit can be done again in smaller ones.
"""

import gc
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from sdcorr.errors import UserError

_Result = TypeVar("_Result")

_SHARE = 0.8  # of the free memory that is taken: the rest is for fragmentation, and for others on the same device

# Peak memory of a step over what autograd keeps of its forward pass: the backward pass adds the gradients under way
# and the workspaces of its kernels. Measured on a CPU, for 8 and 16 queries: 1.24 and 1.16 on a tiny UNet of Stable
# Diffusion's shape, 1.45 and 1.40 on the toybox's.
_PEAK_OVER_SAVED = 1.5

# What errors that are no torch.OutOfMemoryError say: CPUs, oneDNN on them, other devices, cuBLAS and cuDNN.
_OUT_OF_MEMORY = ("allocate memory", "bad_alloc", "out of memory", "alloc_failed")


class QueryBatches:
    """Runs work on many queries in batches that fit."""

    def __init__(
        self, limit: int, per_query: Callable[[], int] | None = None, device: torch.device | str = "cpu"
    ) -> None:
        """
        Args:
            limit: queries in a batch; 0: as many as fit into the memory that is free when the work starts.
            per_query: bytes that autograd keeps for one query (`saved_bytes`), only called if the limit is 0, once;
                None: not known, so that all queries are tried at once.
            device: where the work is done.
        """
        self._limit = limit
        self._per_query = per_query
        self._bytes: int | None = None  # of `per_query`, once it was called
        self._device = torch.device(device)

    def run(self, count: int, work: Callable[[slice], Tensor]) -> Tensor:
        """All of the work, in consecutive batches that are as even as they can be.

        A batch that is too large for the memory is done again in halves, and none after it is larger than these, also
        in later calls.

        Args:
            count: number of queries, at least 1.
            work: what is done for a slice of range(count); gives one row a query, the same rows if it is called again.

        Returns:
            (count, ...), the results of all slices in order.

        Raises:
            UserError: if the memory is too small for a single query.
        """
        if count < 1:
            raise ValueError(f"there must be at least one query, not {count}")
        limit = self._limit or self._fitting(count)
        results: list[Tensor] = []
        first = 0
        while first < count:
            batch = slice(first, first + _even(count - first, limit))
            result = _unless_out_of_memory(partial(work, batch))
            if result is None:
                limit = self._limit = self._smaller(batch.stop - batch.start)
            else:
                results.append(result)
                first = batch.stop
        return torch.cat(results) if len(results) > 1 else results[0]

    def _fitting(self, count: int) -> int:
        """How many of `count` queries fit by the estimate; at least 1."""
        if self._per_query is None or (free := free_bytes(self._device)) is None:
            return count
        if self._bytes is None:
            self._bytes = _unless_out_of_memory(self._per_query)
            if self._bytes is None:
                raise self._too_small()
        needed = max(1, self._bytes * _PEAK_OVER_SAVED)
        return int(min(count, max(1, free * _SHARE // needed)))

    def _smaller(self, size: int) -> int:
        """Make room after `size` queries did not fit; how many to try next."""
        gc.collect()  # tensors that only a cycle keeps, as under a Trainer
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        if size == 1:
            raise self._too_small()
        warnings.warn(
            f"{size} queries at once were too many for the memory of {self._device}, so it goes on with {size // 2}; "
            f"no result changes, and method.queries_per_batch={size // 2} makes it so from the start.",
            stacklevel=3,
        )
        return size // 2

    def _too_small(self) -> UserError:
        return UserError(
            f"The memory of {self._device} is too small for a single query: give model.precision=bf16, a smaller "
            "model.image_size, earlier layers with model.layers, or a device with more free memory."
        )


def saved_bytes(run: Callable[[], object], ignore: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps for the backward pass of what is computed.

    Run for one query, it is what one more query in the batch costs, on any device, without trying.

    Args:
        run: computes something that could be differentiated.
        ignore: tensors that are there anyway, e.g. a frozen model's weights; leaves that want a gradient always are.

    Returns:
        The sum over distinct storages: views count once, and whole.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in ignore}
    kept: dict[int, torch.UntypedStorage] = {}  # the storages themselves, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage
        return tensor.detach()  # an output that keeps itself would never be freed

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for address, storage in kept.items() if address not in known)


def free_bytes(device: torch.device) -> int | None:
    """Memory that tensors on a device could still take; None if nobody knows.

    On CUDA, what the driver has and what torch has reserved and does not use. Elsewhere the host's memory, less where
    a control group allows less.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    limits = [*_host_bytes(), *_control_group_bytes()]
    return min(limits, default=None)


def _host_bytes(meminfo: Path = Path("/proc/meminfo")) -> Iterator[int]:
    """Free memory of the host, if the system tells it."""
    try:
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        yield int(fields["MemAvailable"].split()[0]) * 1024  # with the cache of files, which is given up if need be
    except (OSError, ValueError, KeyError):
        with suppress(AttributeError, OSError, ValueError):  # not on macOS, not on Windows
            yield os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _control_group_bytes(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """What each control group (version 2) that this process is in still allows, if it has a limit.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, "Memory Interface Files".
    """
    with suppress(OSError):
        for name in re.findall(r"^0::/(.*)$", own.read_text(), re.MULTILINE):
            for folder in (root / name, *(root / name).parents):
                with suppress(OSError, ValueError, KeyError):  # the root has no limit, others may say "max"
                    limit = int((folder / "memory.max").read_text())
                    used = int((folder / "memory.current").read_text())
                    fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                    yield max(0, limit - used + int(fields["inactive_file"]))  # which is given up if need be


def _even(count: int, limit: int) -> int:
    """Size of the first of the fewest, most even batches: of 50 with room for 40, it is 25."""
    return -(-count // -(-count // limit))


def _unless_out_of_memory(work: Callable[[], _Result]) -> _Result | None:
    """The work's result, or None if the memory was too small.

    When it returns, the error is gone, and with its traceback all that the work had in memory.
    """
    try:
        return work()
    except (torch.OutOfMemoryError, MemoryError):
        return None
    except RuntimeError as error:
        if any(word in str(error).lower() for word in _OUT_OF_MEMORY):
            return None
        raise
