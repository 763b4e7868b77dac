"""One thread that owns the model, and the queue in front of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sdcorr.app.refusal import Refusal

MOST_WAITING = 16  # jobs in the queue
MOST_WAITING_OF_ONE = 2  # of one owner


class Canceled(Exception):
    """Raised within a job that nobody waits for any more."""


@dataclass(eq=False)
class Job:
    """Work that is asked for: its progress may be read from any thread, its result is in `future`."""

    owner: str
    work: Callable[[Job], Any]
    future: Future = field(default_factory=Future)
    progress: dict[str, Any] = field(default_factory=dict)  # replaced as a whole
    _unwanted: threading.Event = field(default_factory=threading.Event)

    def tell(self, state: str, **facts: Any) -> None:
        """Say how far it is, from within the work, and stop here if nobody waits any more.

        Raises:
            Canceled: if so.
        """
        if self._unwanted.is_set():
            raise Canceled
        self.progress = {"state": state} | facts

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self._unwanted.is_set()

    def cancel(self) -> None:
        """Nobody waits any more: it is not started, or ends where it next tells how far it is."""
        self._unwanted.set()


class Jobs:
    """Does one job after another, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="sdcorr-model", daemon=True)
        self._thread.start()

    def submit(self, owner: str, work: Callable[[Job], Any]) -> Job:
        """Queue some work.

        Args:
            owner: who asks; may have few jobs waiting at a time.
            work: called with its job, in the thread that owns the model.

        Raises:
            Refusal: if too much is waiting already.
        """
        job = Job(owner, work)
        with self._changed:
            waiting = [other for other in self._waiting if other.wanted]
            if self._closed:
                raise Refusal("The server is about to stop.", 503)
            if sum(other.owner == owner for other in waiting) >= MOST_WAITING_OF_ONE:
                raise Refusal("This page has asked for a lot already: wait until it is done, or stop it.", 429)
            if len(waiting) >= MOST_WAITING:
                raise Refusal("Too many people are waiting for the model: try again in a while.", 503)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def ahead(self, job: Job) -> int:
        """How many jobs come before this one, the running one included."""
        with self._changed:
            if job not in self._waiting:
                return 0
            before = list(self._waiting)[: self._waiting.index(job)]
            running = self._running is not None
            return running + sum(other.wanted for other in before)

    def close(self, patience: float = 0.0) -> None:
        """Cancel everything; waits for the running job to notice, at most `patience` seconds."""
        with self._changed:
            self._closed = True
            for job in (*self._waiting, *([self._running] if self._running else [])):
                job.cancel()
            self._changed.notify()
        if patience:
            self._thread.join(patience)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._running = None
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                job = self._running = self._waiting.popleft()
            try:
                job.tell("started")
                job.future.set_result(job.work(job))
            except BaseException as error:  # whatever it is, the one who waits has to know, and the next job to start
                job.future.set_exception(error)
