"""The report in a real browser, as its reader meets it."""

import base64
import io
import re
from itertools import pairwise

import numpy as np
from PIL import Image

CARD = ".card"


def heat(view, side: str) -> np.ndarray | None:
    """The map that is drawn over a picture, (k, k) opacity in [0, 255]."""
    url = view.locator("image.heat").nth(["source", "target"].index(side)).get_attribute("href")
    if url is None:
        return None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))[..., 3].astype(float)


def test_a_line_shows_the_maps_behind_it(run, opened) -> None:
    on = opened(run.page)
    card = on.page.locator(CARD).first
    pair = run.benchmark.pairs[0]
    assert pair.id in card.text_content()
    assert heat(card, "target") is None and card.locator(".layers").is_hidden()
    shown = run.store.maps("prompt", pair.source)[pair.id]
    for point in (0, 3):
        card.locator(".reach").nth(point).dispatch_event("click")
        for layer in (len(shown.layers) - 1, 1):  # all combined comes first
            card.locator(".layers button").nth(layer).click()
            on.page.wait_for_selector(f'.pair-view[data-shown="{point}/{layer}"]')
            for side in ("source", "target"):
                drawn, kept = heat(card, side), getattr(shown, side)[point, layer]
                assert drawn.shape == kept.shape == (8, 8)
                levels = 255 * ((kept - kept.min()) / np.ptp(kept))
                wanted = 200 * (levels / 255) ** 0.7
                assert np.abs(drawn - wanted).mean() < 12, (point, layer, side)  # WebP is not exact
    assert pair.names[3] in card.locator(".caption").inner_text()
    card.locator(".match").nth(3).press("Enter")  # it is put away again, by keyboard
    on.page.wait_for_selector('.pair-view[data-shown=""]', state="attached")
    assert heat(card, "source") is None
    on.check(run.page)


def test_pairs_are_filtered_and_sorted(run, opened) -> None:
    on = opened(run.page)
    page, cards = on.page, on.page.locator(CARD)

    def count() -> str:
        assert page.inner_text(".count").startswith(f"{cards.count()} of ")
        return page.inner_text(".count")

    def shares() -> list[float]:
        found = [re.search(r"(\d+) of (\d+) right", text) for text in cards.all_text_contents()]
        return [int(match[1]) / int(match[2]) for match in found]

    assert count() == "8 of 8 pairs"
    all_shares = shares()
    page.select_option("[name=category]", run.benchmark.pairs[-1].category)
    assert count() == "4 of 8 pairs"
    page.select_option("[name=category]", "")
    kinds = {
        "right": sum(share == 1 for share in all_shares),
        "some": sum(0 < share < 1 for share in all_shares),
        "wrong": sum(share == 0 for share in all_shares),
    }
    assert kinds["some"]
    for kind, number in kinds.items():
        page.select_option("[name=correct]", kind)
        assert count() == f"{number} of 8 pairs"
    page.select_option("[name=correct]", "")
    page.select_option("[name=order]", "fraction")
    assert shares() == sorted(all_shares) != shares()[::-1]
    page.select_option("[name=order]", "-fraction")
    assert shares() == sorted(all_shares, reverse=True)
    confidences = sorted(
        float(match.confidence.mean()) for record in run.store.records("prompt") for _, match in record.predictions
    )
    page.locator("[name=from]").fill(f"{np.ceil(100 * confidences[4]) / 100:.2f}")
    least = float(page.inner_text("output[name=least]"))
    assert count() == f"{sum(confidence >= least for confidence in confidences)} of 8 pairs" != "8 of 8 pairs"
    on.check(run.page)


def test_a_table_sorts_by_its_heads(run, opened) -> None:
    on = opened(run.page)
    table = on.page.locator("#kinds table")
    column = [head.split("\n")[0].strip() for head in table.locator("thead th").all_inner_texts()].index("PCK@0.10")

    def values() -> list[float]:
        return [float(text) for text in table.locator(f"tbody td:nth-child({column + 1}) .value").all_inner_texts()]

    before, head = values(), table.locator("thead th").nth(column)
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert values() == sorted(before, reverse=True) and head.get_attribute("aria-sort") == "descending"
    head.locator("button").press("Enter")
    assert values() == sorted(before) and head.get_attribute("aria-sort") == "ascending"
    names = table.locator("thead th").first
    names.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "none" and names.get_attribute("aria-sort") == "ascending"
    assert table.locator("tbody th").all_inner_texts() == sorted(table.locator("tbody th").all_inner_texts())
    on.check(run.page)


def test_it_is_dark_where_that_is_asked_for_and_fits_a_phone(run, opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(run.page, color_scheme=scheme).page.evaluate(ground) for scheme in ("light", "dark"))
    assert sum(map(int, re.findall(r"\d+", light))) > 700 and sum(map(int, re.findall(r"\d+", dark))) < 100
    phone = opened(run.page, width=390).page
    phone.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_every_point_can_be_reached_and_every_table_and_chart_says_what_it_is(run, opened) -> None:
    page = opened(run.page).page
    assert page.evaluate("[...document.querySelectorAll('svg.chart')].every((each) => each.getAttribute('aria-label'))")
    assert page.locator(".match[tabindex='0'][aria-label]").count() == page.locator(".match").count() > 30
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
