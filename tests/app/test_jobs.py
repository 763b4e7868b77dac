"""The queue in front of the model."""

import threading
import time

import pytest

from sdcorr.app.jobs import Canceled, Job, Jobs
from sdcorr.app.refusal import Refusal


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.close(patience=5)


def blocked(jobs: Jobs, owner: str = "first") -> tuple[Job, threading.Event]:
    """A job that has started and goes on until the event is set, or it is canceled."""
    started, event = threading.Event(), threading.Event()

    def work(job: Job) -> str:
        started.set()
        while not event.wait(0.01):
            job.tell("busy")
        return "done"

    job = jobs.submit(owner, work)
    assert started.wait(5)
    return job, event


def test_one_at_a_time_in_order(jobs: Jobs) -> None:
    order = []
    first, release = blocked(jobs)
    others = [jobs.submit(str(i), lambda job, i=i: order.append(i)) for i in range(3)]
    assert [jobs.ahead(job) for job in others] == [1, 2, 3] and jobs.ahead(first) == 0
    release.set()
    for job in others:
        job.future.result(5)
    assert order == [0, 1, 2] and first.future.result(0) == "done"


def test_canceled_work_ends_and_the_next_one_starts(jobs: Jobs) -> None:
    first, _ = blocked(jobs)
    never = jobs.submit("other", lambda job: "ran")
    last = jobs.submit("third", lambda job: "ran")
    never.cancel()
    assert jobs.ahead(last) == 1  # what nobody waits for does not count
    first.cancel()
    assert last.future.result(5) == "ran"
    for job in (first, never):
        assert isinstance(job.future.exception(5), Canceled)


def test_an_error_reaches_who_asked_and_no_one_else(jobs: Jobs) -> None:
    def broken(job: Job) -> None:
        raise ZeroDivisionError

    assert isinstance(jobs.submit("a", broken).future.exception(5), ZeroDivisionError)
    assert jobs.submit("b", lambda job: 7).future.result(5) == 7


def test_the_queue_is_bounded(jobs: Jobs) -> None:
    _, release = blocked(jobs)
    for _ in range(2):
        jobs.submit("greedy", lambda job: None)
    with pytest.raises(Refusal, match="several requests waiting"):
        jobs.submit("greedy", lambda job: None)
    with pytest.raises(Refusal, match="Too many people"):
        for i in range(100):
            jobs.submit(str(i), lambda job: None)
    release.set()


def test_closing_ends_what_runs(jobs: Jobs) -> None:
    first, _ = blocked(jobs)
    began = time.monotonic()
    jobs.close(patience=5)
    assert time.monotonic() - began < 2 and isinstance(first.future.exception(0), Canceled)
    with pytest.raises(Refusal, match="stop"):
        jobs.submit("late", lambda job: None)
