"""A real headless Chromium for the tests of pages; they are skipped, and say why, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (  # no sandbox inside a container, and no conversation of Chromium's own
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for a `with` block; a page of it is `browser.new_page(color_scheme="dark", viewport=...)`."""
    paths = [path for path in map(shutil.which, NAMES) if path]
    if not paths:
        pytest.skip(f"there is no Chromium here: none of {', '.join(NAMES)} is in the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=paths[0], args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """`open_browser` for the tests of a file, which import this name."""
    with open_browser() as opened:
        yield opened
