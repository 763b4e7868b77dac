"""Screenshots of the page and of a report for the README: `python -m docs.screenshots RUN`, where RUN is a run folder.

Needs Chromium. `make figures` runs it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from sdcorr.app.examples import EXAMPLES
from sdcorr.toybox.dataset import drawing
from tests.app.test_page import click
from tests.browser import open_browser

FIGURES = Path(__file__).parent / "figures"
EXAMPLE, PARTS, HOVERED = "crab", ("left eye", "right eye", "left claw"), 0
CARD = 0  # the pair of the report in which a match is chosen
expect.set_options(timeout=120_000)  # milliseconds


@contextmanager
def served() -> Iterator[str]:
    """Start the page as a user does, and yield its address."""
    command = [sys.executable, "-m", "sdcorr.app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield next(line.split()[0] for line in server.stdout if line.startswith("http"))
        finally:
            server.terminate()


def click_through(page: Page, address: str) -> None:
    """Click keypoints of an example, ask the whole pictures for their matches, and hover over one."""
    page.goto(address)
    page.locator("#consensus").check()
    page.locator("#refine").check()
    page.locator(f'.example[data-name="{EXAMPLE}"]').click()
    source = drawing(EXAMPLES[EXAMPLE][0])
    for number, part in enumerate(PARTS, start=1):
        click(page, *source.points[source.names.index(part)])
        expect(page.locator("text.sure")).to_have_count(number)
    expect(page.locator(".twin:visible")).to_have_count(2)
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    page.locator(".match").nth(HOVERED).locator(".near").first.hover()
    expect(page.locator("#view")).to_have_attribute("data-shown", re.compile(rf"{HOVERED}/\d"))


def main(run: str) -> None:
    """Make docs/figures/page.png and report.png."""
    with open_browser() as browser, served() as address:
        page = browser.new_page(viewport={"width": 1000, "height": 1130}, device_scale_factor=1.25)
        click_through(page, address)
        page.screenshot(path=FIGURES / "page.png")

        page.goto(Path(run, "report.html").resolve().as_uri())
        card = page.locator(".card").nth(CARD)
        card.locator(".match").first.press("Enter")
        expect(card.locator(".heat[href]")).to_have_count(2)
        page.locator("#pairs").evaluate("section => section.scrollIntoView({behavior: 'instant'})")
        page.screenshot(path=FIGURES / "report.png")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"[^-].*", sys.argv[1]):
        sys.exit(__doc__)
    main(sys.argv[1])
