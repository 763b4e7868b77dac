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
        f"<style>{asset('style.css')}</style><div id='place'></div><script>{asset('ballot.js')}{asset('pair.js')}\n"
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


def test_a_point_shows_the_peaks_that_a_consensus_chose_from(browser: Browser) -> None:  # noqa: F811
    """The one that was taken has the lesser share; the grid is drawn on both pictures, and goes with the choice."""
    points = [{"source": [50, 80], "target": [50, 50], "truth": None, "right": None, "confidence": 0.5, "name": "paw"}]
    ballot = {
        "candidates": [[[50, 50, 0.4, 0], [20, 50, 0.6, -1.5]]],
        "grid": [[[100, 0], [0, 0]], [[100, 100], [0, 100]]],
    }
    data = {"source": PICTURE, "target": PICTURE, "points": points, "ballot": ballot}
    page = browser.new_page(viewport={"width": 820, "height": 600})
    page.set_content(
        f"<style>{asset('style.css')}</style><div id='place'></div><script>{asset('ballot.js')}{asset('pair.js')}\n"
        f"const view = new PairView(document.getElementById('place'), {json.dumps(data)})</script>"
    )
    rows = page.locator(".prices tr")
    expect(rows).to_have_count(0)
    page.evaluate("view.choose(0)")
    expect(rows).to_have_count(3)
    assert rows.nth(1).locator("td").all_text_contents() == [
        "1",
        "40 %",
        "\N{MULTIPLICATION SIGN} 1.00",
        "75 %",
        "taken",
    ]
    assert rows.nth(2).locator("td").all_text_contents() == [
        "2",
        "60 %",
        "\N{MULTIPLICATION SIGN} 0.22",
        "25 %",
        "the map's own",
    ]
    assert page.locator(".peak:not(.rim)").count() == 2 and page.locator(".peak.taken").count() == 1
    lines = page.locator(".warp.upper")
    assert [lines.nth(n).get_attribute("points") for n in (0, 1)] == ["0,0 100,0", "100,0 0,0"]
    page.evaluate("view.choose(null)")
    expect(rows).to_have_count(0)
    expect(page.locator(".warps > *")).to_have_count(0)
    page.close()


def test_a_doubtful_match_is_hollow_and_says_why(browser: Browser) -> None:  # noqa: F811
    sure = {"source": [50, 80], "target": [50, 50], "truth": None, "right": None, "confidence": 0.5, "name": "eye"}
    doubtful = sure | {"source": [20, 20], "target": [20, 60], "name": "tail", "doubt": "hidden in the target"}
    page = browser.new_page(viewport={"width": 820, "height": 600})
    data = {"source": PICTURE, "target": PICTURE, "points": [sure, doubtful]}
    page.set_content(
        f"<style>{asset('style.css')}</style><div id='place'></div><script>{asset('ballot.js')}{asset('pair.js')}\n"
        f"new PairView(document.getElementById('place'), {json.dumps(data)})</script>"
    )
    expect(page.locator(".match").nth(0).locator(".hollow")).to_have_count(0)
    expect(page.locator(".match").nth(1).locator(".hollow")).to_have_count(2)  # with its rim
    expect(page.locator(".match").nth(1).locator(".dot")).to_have_count(1)  # in the source
    expect(page.locator(".match").nth(1)).to_have_attribute("aria-label", "tail, hidden in the target, confidence 0.50")
    page.close()
