"""A small run and its page, and a browser to open pages in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from sdcorr.report.page import write_report
from sdcorr.report.results import Results, gather
from sdcorr.scoring.protocols import protocol_named
from tests.browser import browser
from tests.report.runs import Few, Run, make_run

__all__ = ["browser"]
STANDARD = protocol_named("standard")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    store = make_run(tmp_path_factory.mktemp("run"))
    return gather(store, "prompt", STANDARD, samples=100)


@pytest.fixture(scope="session")
def run(results: Results) -> Run:
    return Run(results.store, Few(), write_report(results, image=Few().image))


class Opened:
    """A page in a browser, with all that it says and asks for."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.said, self.requests = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())

    def check(self, path: Path) -> None:
        """No complaint, and nothing was fetched but the file itself and what it holds."""
        assert self.said == []
        assert {url for url in self.requests if not url.startswith("data:")} == {path.as_uri()}


@pytest.fixture
def opened(browser: Browser) -> Iterator[Any]:
    """Opens files: `opened(path, width=390, color_scheme="dark")`."""
    pages = []

    def opens(path: Path, width: int = 1280, **how: Any) -> Opened:
        page = browser.new_page(viewport={"width": width, "height": 900}, **how)
        pages.append(page)
        return Opened(page, path)

    yield opens
    for page in pages:
        page.close()
