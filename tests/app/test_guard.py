"""Other sites' pages are kept out."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sdcorr.app.guard import Guard


def client(host: str = "127.0.0.1") -> TestClient:
    routes = [Route("/", lambda request: PlainTextResponse("here"), methods=["GET", "POST"])]
    return TestClient(Guard(Starlette(routes=routes), host))


def status(at: str, method: str = "GET", listening: str = "127.0.0.1", **headers: str) -> int:
    sent = {"host": at} | {name.replace("_", "-"): value for name, value in headers.items()}
    return client(listening).request(method, "/", headers=sent).status_code


@pytest.mark.parametrize("at", ["127.0.0.1:7860", "localhost:9000", "[::1]:7860"])
def test_this_machines_names_are_known(at: str) -> None:
    assert status(at) == 200
    assert status(at, "POST", origin=f"http://{at}") == 200


@pytest.mark.parametrize("at", ["evil.example", "127.0.0.1.evil.example:7860", "192.168.1.5:7860", "", "[bad"])
def test_other_names_are_refused(at: str) -> None:
    assert status(at) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8888"])
def test_other_sites_cannot_post(origin: str) -> None:
    assert status("127.0.0.1:7860", "POST", origin=origin) == 403
    assert status("127.0.0.1:7860", "POST", sec_fetch_site="cross-site") == 403


def test_a_server_for_others_goes_by_addresses_but_not_by_any_name() -> None:
    assert status("192.168.1.5:7860", listening="0.0.0.0") == 200
    assert status("evil.example", listening="0.0.0.0") == 403


def test_every_answer_says_what_a_browser_may_do() -> None:
    for at in ("127.0.0.1", "evil.example"):
        headers = client().get("/", headers={"host": at}).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
