"""What the commands print: a console that cannot show a letter, or that nobody reads any more, ends no work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import IO, Any, TextIO, cast

CLOSED = 141  # exit code of a Unix program whose reader has gone: 128 + SIGPIPE


class Lasting:
    """A stream in place of another: what that cannot take is left out, and remembered.

    Args:
        stream: where it goes. A letter that its encoding lacks becomes a question mark.

    Attributes:
        lost: why something was left out; None if nothing was.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write a text, as far as it can be."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Send on what was written, as far as it can be."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        """What else a stream can."""
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """Leave out all that follows, and what waits in the stream, at which Python would complain in the end."""
        self.lost = self.lost or error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def lasting(task: Callable[[], int]) -> int:
    """The exit code of a task that prints, whatever becomes of its console.

    Args:
        task: returns its exit code.

    Returns:
        That code; in place of 0, 141 if the reader of its output went away, as `head` does, or 2, after a sentence on
        stderr, if the output could not be written.
    """
    out, err = sys.stdout, sys.stderr
    if out is None or err is None or isinstance(out, Lasting):  # closed, or a command within a command
        return task()
    kept, complaints = Lasting(out), Lasting(err)
    sys.stdout, sys.stderr = cast(TextIO, kept), cast(TextIO, complaints)
    try:
        code = task()
    finally:
        kept.flush()
        complaints.flush()
        sys.stdout, sys.stderr = out, err
    if code or kept.lost is None:
        return code
    if isinstance(kept.lost, BrokenPipeError):
        return CLOSED
    print(
        f"error: What this command prints could not be written ({kept.lost.strerror}), all else is done: make room.",
        file=sys.stderr,
    )
    return 2
