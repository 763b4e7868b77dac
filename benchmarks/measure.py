"""Measuring time, memory and counts of work, and writing results."""

import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.files import write_whole

RESULTS = Path(__file__).parent / "results"
SCRATCH = Path("outputs") / "benchmarks"  # where an interrupted run continues from; may be deleted
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Work(Counter[str]):
    """Counts how often the network ran, for one query or crop each, by kind.

    "steps": forward and backward for one query of the optimization; "crops": forward for one embedding on a target's
    crop; "encodes": one crop through the VAE's encoder.

    Args:
        on_more: called whenever some work was counted.
    """

    def __init__(self, on_more: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._on_more = on_more

    def add(self, kind: str, count: int) -> None:
        """Count work of a kind."""
        self[kind] += count
        self._on_more()

    @property
    def passes(self) -> int:
        """Forward passes of the UNet, one query each."""
        return self["steps"] + self["crops"]


@contextmanager
def watched(backbone: FrozenDiffusion, work: Work) -> Iterator[None]:
    """Count the work that goes through the backbone."""
    encode, attention_maps = backbone.encode, backbone.attention_maps

    def counted_encode(images: Tensor) -> Tensor:
        work.add("encodes", len(images))
        return encode(images)

    def counted_maps(noisy: Tensor, *args: object, **options: object) -> list[Tensor]:
        work.add("steps" if torch.is_grad_enabled() else "crops", len(noisy))
        return attention_maps(noisy, *args, **options)

    backbone.encode, backbone.attention_maps = counted_encode, counted_maps
    try:
        yield
    finally:
        del backbone.encode, backbone.attention_maps  # the methods of the class are visible again


@dataclass
class Measurement:
    """The cost of a piece of work."""

    seconds: float = 0.0  # of the wall clock
    peak_bytes: int | None = None  # memory beyond what was taken when it began; None if the system does not tell


@contextmanager
def measured(device: torch.device) -> Iterator[Measurement]:
    """Measure seconds and peak memory of the body.

    On CUDA memory is what torch's allocator gave out (`max_memory_allocated`), on Linux the greatest size of the
    resident set (VmHWM). In both cases what was taken at the beginning, such as the model, is subtracted.
    """
    result = Measurement()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        taken = torch.cuda.memory_allocated(device)
    else:
        taken = _restart_peak()
    began = time.perf_counter()
    yield result
    if cuda:
        torch.cuda.synchronize(device)
    result.seconds = time.perf_counter() - began
    if cuda:
        result.peak_bytes = torch.cuda.max_memory_allocated(device) - taken
    elif taken is not None:
        result.peak_bytes = _status("VmHWM") - taken


def _restart_peak() -> int | None:
    """Make Linux start VmHWM again (5 in clear_refs, `man 5 proc`): the resident bytes now, or None elsewhere."""
    try:
        _CLEAR.write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _status(field: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Return the mean seconds of some work over several repeats."""
    with measured(device) as taken:
        for _ in range(repeats):
            work()
    return taken.seconds / repeats


def machine(device: torch.device) -> dict[str, str | int]:
    """Describe the machine that a measurement was made on."""
    facts: dict[str, str | int] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if device.type == "cuda":
        return facts | {"device": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda)}
    return facts | {"device": _cpu_name()}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table with the first column aligned left and the others right.

    >>> print(markdown(["a", "b"], [["x", 1]]))
    | a | b |
    |---|---:|
    | x | 1 |
    """
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    text = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    text[1] = text[1].replace(" ", "")
    return "\n".join(text)


def command(main: Callable[[], object]) -> None:
    """Run a script's main function; a UserError becomes one sentence and exit code 2."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def save(name: str, folder: Path, result: Mapping[str, object], page: str) -> None:
    """Write NAME.json and NAME.md into a folder."""
    write_whole(folder / f"{name}.json", json.dumps(result, indent=2) + "\n")
    write_whole(folder / f"{name}.md", page)
