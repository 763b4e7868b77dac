"""The view of a pair in a real browser, by itself."""

import json

from playwright.sync_api import Browser, expect

from sdcorr.web import asset
from tests.browser import browser  # noqa: F401

PICTURE = {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=", "width": 100, "height": 100}


def test_a_line_that_passes_over_a_dot_does_not_cover_it(browser: Browser) -> None:  # noqa: F811
    points = [
        {"source": [50, 80], "target": [50, 50], "truth": [50, 50], "right": True, "confidence": 0.5, "name": "below"},
        {"source": [50, 50], "target": [90, 50], "truth": [70, 50], "right": False, "confidence": 0.5, "name": "above"},
    ]
    data = {"source": PICTURE, "target": PICTURE, "points": points}
    page = browser.new_page(viewport={"width": 820, "height": 600})
    page.set_content(
        f"<style>{asset('style.css')}</style><div id='place'></div><script>{asset('pair.js')}\n"
        f"new PairView(document.getElementById('place'), {json.dumps(data)})</script>"
    )
    place = page.locator("#place")
    dot = page.locator(".match").nth(0).locator(".dot").first.bounding_box()  # the target's comes first
    page.mouse.click(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    expect(place).to_have_attribute("data-shown", "0/0")
    expect(place).to_contain_text("below, right, 0.0 px from the truth, confidence 0.50")
    page.mouse.click(dot["x"] + 4 * dot["width"], dot["y"] + dot["height"] / 2)  # the line itself
    expect(place).to_have_attribute("data-shown", "1/0")
    page.close()


def test_a_doubtful_match_is_hollow_and_says_why(browser: Browser) -> None:  # noqa: F811
    sure = {"source": [50, 80], "target": [50, 50], "truth": None, "right": None, "confidence": 0.5, "name": "eye"}
    doubtful = sure | {"source": [20, 20], "target": [20, 60], "name": "tail", "doubt": "hidden in the target"}
    page = browser.new_page(viewport={"width": 820, "height": 600})
    data = {"source": PICTURE, "target": PICTURE, "points": [sure, doubtful]}
    page.set_content(
        f"<style>{asset('style.css')}</style><div id='place'></div><script>{asset('pair.js')}\n"
        f"new PairView(document.getElementById('place'), {json.dumps(data)})</script>"
    )
    expect(page.locator(".match").nth(0).locator(".hollow")).to_have_count(0)
    expect(page.locator(".match").nth(1).locator(".hollow")).to_have_count(2)  # with its rim
    expect(page.locator(".match").nth(1).locator(".dot")).to_have_count(1)  # in the source
    expect(page.locator(".match").nth(1)).to_have_attribute("aria-label", "tail, hidden in the target, confidence 0.50")
    page.close()
