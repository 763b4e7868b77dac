"""The thread that owns the model, and the queue of jobs for it."""

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
    """Raised inside a job that nobody waits for any more."""


@dataclass(eq=False)
class Job:
    """A piece of work. Any thread may read its progress; its result arrives in `future`."""

    owner: str
    work: Callable[[Job], Any]
    future: Future = field(default_factory=Future)
    progress: dict[str, Any] = field(default_factory=dict)  # always replaced as a whole, so reading needs no lock
    _unwanted: threading.Event = field(default_factory=threading.Event)

    def tell(self, state: str, **facts: Any) -> None:
        """Report progress from inside the work, and stop the work here if nobody waits for it any more.

        Args:
            state: what is being done.
            facts: how far it is, as the page reads it.

        Raises:
            Canceled: if nobody waits any more.
        """
        if self._unwanted.is_set():
            raise Canceled
        self.progress = {"state": state} | facts

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the result."""
        return not self._unwanted.is_set()

    def cancel(self) -> None:
        """Say that nobody waits any more: the job is not started, or ends when it next reports progress."""
        self._unwanted.set()


class Jobs:
    """Runs one job after another, in the order in which they were submitted."""

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
            owner: who asks. An owner may have only MOST_WAITING_OF_ONE jobs waiting.
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
                raise Refusal("This page has several requests waiting already: wait for them, or stop them.", 429)
            if len(waiting) >= MOST_WAITING:
                raise Refusal("Too many people are waiting for the model: try again in a while.", 503)
            self._waiting.append(job)
            self._changed.notify()
        return job

    def ahead(self, job: Job) -> int:
        """Count the jobs that come before this one, including the running one."""
        with self._changed:
            if job not in self._waiting:
                return 0
            before = list(self._waiting)[: self._waiting.index(job)]
            running = self._running is not None
            return running + sum(other.wanted for other in before)

    def close(self, patience: float = 0.0) -> None:
        """Cancel everything, and wait at most `patience` seconds for the running job to end."""
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
            except BaseException as error:  # whatever it is, the caller must hear of it and the next job must start
                job.future.set_exception(error)
