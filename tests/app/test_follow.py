"""The match at once: it follows the cursor, is what the student finds, and a click has it confirmed."""

import re
from types import SimpleNamespace

import numpy as np
from playwright.sync_api import Browser, expect

from sdcorr.app.examples import EXAMPLES
from sdcorr.app.matching import Matching
from sdcorr.app.server import Server
from sdcorr.methods.finder import Finder
from sdcorr.toybox.anatomy import STUDENT_FOLDER
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.world import SIZE
from tests.app.conftest import behind_a_port
from tests.app.test_page import click, matched, page, start  # noqa: F401

READY = "a student's match follows at once"


def move(page, x: float, y: float) -> None:  # noqa: F811
    """Move the mouse to a point of the source, in its pixels."""
    box = page.locator(".pad").bounding_box()
    page.mouse.move(box["x"] + x / SIZE * box["width"], box["y"] + y / SIZE * box["height"])


def test_the_match_follows_the_cursor(page) -> None:  # noqa: F811
    start(page, "cat")
    expect(page.locator("#at-once")).to_contain_text(READY)
    finder = Finder.load(STUDENT_FOLDER)
    source, target = finder.read_rgb([drawing(key).image for key in EXAMPLES["cat"]])
    shown = []
    for x, y in ((16.0, 20.0), (38.0, 28.5), (0.2, 63.9)):
        move(page, x, y)
        expect(page.locator("#at-once")).to_contain_text("At once: (")
        told = page.evaluate("cursor")  # where the mouse is, in whole pixels of the screen
        assert np.allclose(told, (x, y), atol=0.3)
        found = finder.find(source, [told], [target])
        here = page.evaluate("atOnce(cursor)")
        assert np.allclose(here["target"], found.points[0, 0], atol=0.25)  # bytes against floats
        assert abs(here["cosine"] - found.confidence[0, 0]) < 0.01
        ring = page.locator(".following circle.color").bounding_box()
        picture = page.locator("image.picture").nth(1).bounding_box()
        centers = [ring[axis] + ring[side] / 2 - picture[axis] for axis, side in (("x", "width"), ("y", "height"))]
        assert np.allclose(np.array(centers) / picture["width"] * SIZE, here["target"], atol=0.5)
        shown.append(tuple(centers))
    assert len(set(shown)) == 3
    page.mouse.move(5, 5)
    expect(page.locator(".following")).to_have_count(0)
    expect(page.locator("#at-once")).to_contain_text(READY)
    page.locator(".pad").focus()  # and without a mouse
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".following")).to_have_count(1)


def test_a_click_has_it_confirmed(page, live: SimpleNamespace) -> None:  # noqa: F811
    source, target = (drawing(key) for key in EXAMPLES["fish"])
    point = source.points[source.names.index("mouth")]
    start(page, "fish")
    expect(page.locator("#at-once")).to_contain_text(READY)
    page.route("**/api/match", lambda route: None)  # the method does not answer
    click(page, *point)
    expect(page.locator(".match.at-once")).to_have_count(1)
    expect(page.locator(".sure-words")).to_have_text("at once, not confirmed yet")
    guess = [float(number) for number in re.findall(r"[\d.]+", page.locator(".to").inner_text())]
    x0, y0, x1, y1 = target.box
    away = np.hypot(*(guess - target.points[target.names.index("mouth")]))
    assert away <= 0.1 * max(x1 - x0, y1 - y0)
    expect(page.locator("[data-file]").first).to_be_disabled()
    page.unroute("**/api/match")
    page.locator("#stop").click()
    page.locator("#go-on").click()
    matched(page, 1)
    expect(page.locator(".match.at-once")).to_have_count(0)
    expect(page.locator(".sure-words")).to_contain_text("confirms the match at once")


def test_without_a_student_the_page_says_so(browser: Browser, matching: Matching) -> None:
    server = Server(matching)
    with behind_a_port(server) as live:
        page = browser.new_page()
        page.goto(live.url)
        start(page, "fish")
        expect(page.locator("#at-once")).to_contain_text("does not follow the cursor, for this model has no student")
        move(page, 20, 30)
        click(page, 20, 30)
        matched(page, 1)
        expect(page.locator(".following")).to_have_count(0)
        assert "at once" not in page.locator(".sure-words").inner_text()
        page.close()
