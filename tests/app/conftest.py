"""The real server on the model that ships with the package."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn
from starlette.testclient import TestClient

from sdcorr.app.instant import Instant
from sdcorr.app.matching import Matching
from sdcorr.app.server import Server
from sdcorr.app.serving import listen
from sdcorr.toybox.anatomy import STUDENT_FOLDER
from tests.browser import browser  # noqa: F401


@pytest.fixture(scope="session")
def matching() -> Matching:
    return Matching()


@pytest.fixture
def server(matching: Matching) -> Iterator[Server]:
    made = Server(matching)
    yield made
    made.jobs.close(patience=20)


@pytest.fixture
def client(server: Server) -> TestClient:
    """One page: its requests carry its session."""
    return new_page(server)


def new_page(server: Server) -> TestClient:
    page = TestClient(server.app, base_url="http://127.0.0.1:7860")
    page.headers["x-session"] = page.post("/api/session").json()["session"]
    return page


@pytest.fixture(scope="module")
def live(matching: Matching) -> Iterator[SimpleNamespace]:
    """The server behind a real port: `url` and `server`."""
    with behind_a_port(Server(matching, instant=Instant(STUDENT_FOLDER))) as found:
        yield found


@contextmanager
def behind_a_port(server: Server) -> Iterator[SimpleNamespace]:
    with listen("127.0.0.1", 0) as listener:
        settings = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 1}
        runner = uvicorn.Server(uvicorn.Config(server.app, **settings))
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        while not runner.started:
            time.sleep(0.02)
        yield SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}", server=server)
        runner.should_exit = True
        server.jobs.close(patience=20)
        thread.join()
