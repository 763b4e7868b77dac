"""A real run, tiny: eight pairs of two classes, read once, with two variants and a baseline."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from sdcorr.cli import build
from sdcorr.cli.command import compose
from sdcorr.datasets import Pair
from sdcorr.report.page import write_report
from sdcorr.run.predict import predict
from sdcorr.run.records import PredictionStore
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.score import score, write_summary
from sdcorr.scoring.summary import Summary
from sdcorr.toybox.dataset import Toybox
from tests.browser import browser

__all__ = ["browser"]
STANDARD = protocol_named("standard")


class Few:
    """The first pairs of the toybox's demo."""

    name, split = "toybox", "demo"

    def __init__(self) -> None:
        self.pairs: tuple[Pair, ...] = Toybox("demo").pairs[:8]

    def image(self, key: str) -> Image.Image:
        return Toybox("demo").image(key)


@dataclass(frozen=True)
class Run:
    store: PredictionStore
    summary: Summary
    benchmark: Few
    page: Path  # its report


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    quick = ["method.steps=3", "method.restarts=1", "method.transfer_crops=2", "embeddings=null", "maps=8"]
    others = ["baselines.names=[same_pixel]", "variants=[{steps: 1}, {steps: 2}]"]
    cfg, benchmark = compose("eval", "method=read_once", *quick, *others), Few()
    store = PredictionStore(tmp_path_factory.mktemp("run"))
    store.claim(build.decisive(cfg, benchmark))
    for name, make in build.methods(cfg, benchmark).items():
        predict(benchmark, make(), store, name)
    summary = score(store, "prompt", STANDARD, samples=100)
    write_summary(store.run_dir, summary)
    page = write_report(store, "prompt", STANDARD, summary, image=benchmark.image, samples=100)
    return Run(store, summary, benchmark, page)


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
