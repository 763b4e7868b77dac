"""The page in a real Chromium: the whole journey of a user, on the model that ships with the package."""

import csv
import gc
import json
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from safetensors.torch import load_file

from sdcorr.app.examples import EXAMPLES
from sdcorr.app.jobs import Canceled
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.world import SIZE

PATIENCE = 90_000  # milliseconds: machines that run tests are busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def page(live: SimpleNamespace, browser: Browser) -> Iterator[Page]:
    """A page on which no error may be logged, and that asks nobody but its server."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    yield go(page, live)
    context.close()
    assert [url for url in asked if not url.startswith((live.url, "data:", "blob:"))] == []
    # Chromium itself logs answers that are refusals, which the page shows in its own words
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def open_page(context, live: SimpleNamespace) -> Page:
    return go(context.new_page(), live)


def go(page: Page, live: SimpleNamespace) -> Page:
    page.set_default_timeout(PATIENCE)
    page.goto(live.url)
    expect(page.locator("#hint")).to_contain_text("Choose an example")
    return page


def start(page: Page, example: str, method: str = "read_once") -> None:
    page.locator(f'input[value="{method}"]').check()
    page.locator(f'.example[data-name="{example}"]').click()
    expect(page.locator("#hint")).to_have_text("Click a point on the source.")


def click(page: Page, x: float, y: float) -> None:
    """Click the source at a point in its pixels."""
    page.locator(".pad").wait_for()
    left, top, width, height = page.locator("#view").evaluate(  # in one go: the view may be drawn anew at any moment
        """view => {
            const pad = view.querySelector(".pad");
            pad.scrollIntoView({block: "center", behavior: "instant"});
            const box = pad.getBoundingClientRect();
            return [box.x, box.y, box.width, box.height];
        }"""
    )
    page.mouse.click(left + x / SIZE * width, top + y / SIZE * height)


def matched(page: Page, count: int) -> np.ndarray:
    """Wait for the matches, and read where their dots are, (count, 2) in pixels of the target."""
    expect(page.locator("text.sure")).to_have_count(count)
    picture = page.locator("image.picture").nth(1).bounding_box()
    places = []
    for group in page.locator(".match").all():
        dot = group.locator(".dot").first.bounding_box()  # the target's comes first
        center = np.array([dot["x"] + dot["width"] / 2 - picture["x"], dot["y"] + dot["height"] / 2 - picture["y"]])
        places.append(center / picture["width"] * SIZE)
    return np.array(places)


# Key-points that the method finds: these tests are about the page, the README says how often it finds them.
JOURNEYS = {
    "fish": ("mouth", "read_once"),
    "car": ("headlight", "read_once"),
    "lamp": ("elbow", "read_once"),
    "teapot": ("knob", "prompt"),
}


@pytest.mark.parametrize("example", JOURNEYS)
def test_a_click_finds_its_match(page: Page, example: str) -> None:
    name, method = JOURNEYS[example]
    source, target = (drawing(key) for key in EXAMPLES[example])
    point = source.names.index(name)
    start(page, example, method)
    click(page, *source.points[point])
    if method == "prompt":
        expect(page.locator("#hint")).to_contain_text(re.compile(r"step \d+ of 30"))
        expect(page.locator("#progress")).to_be_visible()
    [found] = matched(page, 1)
    x0, y0, x1, y1 = target.box
    assert np.hypot(*(found - target.points[point])) <= 0.1 * max(x1 - x0, y1 - y0)
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#points li")).to_contain_text(re.compile(r"\d+\s% likely right"))


def test_heat_is_shown_under_the_cursor(page: Page) -> None:
    start(page, "fish")
    click(page, 20, 30)
    click(page, 40, 20)
    matched(page, 2)
    heat = page.locator("image.heat")
    page.mouse.move(5, 5)
    assert heat.nth(0).get_attribute("href") is None
    shown = []
    for index in range(2):
        page.locator(".match").nth(index).locator(".near").first.hover()
        expect(page.locator("#view")).to_have_attribute("data-shown", f"{index}/4")
        shown.append([heat.nth(side).get_attribute("href") for side in range(2)])
    assert len({*shown[0], *shown[1]}) == 4
    page.mouse.move(5, 5)
    expect(page.locator("#view")).to_have_attribute("data-shown", "")
    page.locator("#points .row").first.click()  # is kept when the mouse leaves, under the layer that one picks
    page.mouse.move(5, 5)
    page.get_by_role("radio", name="up.1.0").click()
    expect(page.locator("#view")).to_have_attribute("data-shown", "0/0")
    assert heat.nth(1).get_attribute("href") not in (None, *shown[0])


def test_the_whole_pictures_are_asked(page: Page) -> None:
    """A switch finds the points again; a point that is chosen shows its peaks, prices, grid, and its other side."""
    start(page, "crab")
    click(page, 25.6, 19.9)  # an eye,
    click(page, 11.4, 45.2)  # a foot,
    click(page, 33.9, 21.3)  # and the other eye
    alone = matched(page, 3)
    expect(page.locator("#pair-said")).to_be_empty()
    expect(page.locator(".twin:visible")).to_have_count(0)
    page.get_by_label("Ask the whole pictures, and their mirror images").check()
    expect(page.locator("#pair-said")).to_contain_text(re.compile(r"(the same|the other) side: \d+ % likely"))
    expect(page.locator(".twin:visible")).to_have_text(["↔ 3", "↔ 1"])
    page.locator("#points .row").first.click()
    expect(page.locator(".match").nth(2)).to_have_class(re.compile("counterpart"))
    assert page.locator(".match").nth(2).evaluate("group => getComputedStyle(group).opacity") == "1"
    assert page.locator(".match").nth(1).evaluate("group => getComputedStyle(group).opacity") == "0.25"
    expect(page.locator(".prices tr").nth(1)).to_contain_text(re.compile(r"1\d+ %.*taken"))
    expect(page.locator(".warp.upper")).to_have_count(2)
    expect(page.locator(".peak.taken")).to_have_count(1)
    expect(page.locator(".caption")).to_contain_text("its counterpart seems to be point 3")
    page.get_by_label("Ask the whole pictures").uncheck()
    expect(page.locator(".warp")).to_have_count(0)  # what is known is shown at once
    expect(page.locator(".twin:visible")).to_have_count(0)
    assert np.allclose(matched(page, 3), alone, atol=0.1)


def test_points_come_and_go(page: Page) -> None:
    rows = page.locator("#points li")
    start(page, "crab")
    for x in (15, 30, 45):
        click(page, x, 32)
    matched(page, 3)
    page.get_by_label("Remove point 2").click()
    expect(rows).to_have_count(2)
    assert "(45." in rows.nth(1).inner_text()
    page.locator("#undo").click()
    expect(rows).to_have_count(3)
    page.locator("#clear").click()
    expect(rows).to_have_count(0)
    page.keyboard.press("Control+z")
    matched(page, 3)
    page.locator("#undo").click()
    page.locator("#undo").click()
    expect(rows).to_have_count(1)


def test_swapping_makes_the_matches_the_points(page: Page) -> None:
    start(page, "car")
    click(page, *drawing(EXAMPLES["car"][0]).points[0])
    before = page.locator("image.picture").nth(0).get_attribute("href")
    matched(page, 1)
    there = page.locator(".to").inner_text()
    page.locator("#swap").click()
    expect(page.locator(".from")).to_have_text(there.removeprefix("→ "))
    matched(page, 1)
    assert page.locator("image.picture").nth(1).get_attribute("href") == before
    page.locator("#undo").click()
    assert page.locator(".to").inner_text() == there


def test_downloads(page: Page, tmp_path) -> None:
    buttons = page.locator("[data-file]")
    expect(buttons.first).to_be_disabled()
    start(page, "lamp")
    click(page, 20, 25)
    click(page, 40, 45)
    matched(page, 2)
    for button in buttons.all():
        with page.expect_download() as download:
            button.click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    record = json.loads((tmp_path / "points.json").read_text())
    rows = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert np.allclose(record["source"]["points"], [[20, 25], [40, 45]], atol=0.2)
    for place, row, text in zip(
        record["targets"][0]["points"], rows, page.locator(".to").all_inner_texts(), strict=True
    ):
        assert [float(row["target_x"]), float(row["target_y"])] == place
        assert np.allclose([float(number) for number in re.findall(r"[\d.]+", text)], place, atol=0.051)
    assert load_file(tmp_path / "embeddings.safetensors")["embeddings"].shape[0] == 2
    assert Image.open(tmp_path / "matches.png").size[0] > 300


def test_own_pictures_survive_a_reload(page: Page, tmp_path) -> None:
    for side, key in (("source", "2/cat/1"), ("target", "2/cat/1/2")):
        drawing(key).image.resize((120, 90)).save(tmp_path / f"{side}.jpg")
    page.locator("#file-source").set_input_files(tmp_path / "source.jpg")
    expect(page.locator("#hint")).to_contain_text("Now the target")
    dropped = page.evaluate_handle(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], "target.jpg"));
            return data;
        }""",
        list((tmp_path / "target.jpg").read_bytes()),
    )
    page.locator('.zone[data-side="target"]').dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.locator("#notice")).to_contain_text("start with model=sd14")
    page.locator('input[value="read_once"]').check()
    expect(page.locator("#hint")).to_have_text("Click a point on the source.")
    click(page, 30, 30)
    expect(page.locator("text.sure")).to_have_count(1)
    expect(page.locator(".sure-words")).to_contain_text("at once")
    text = page.locator("#points").text_content()
    page.reload()
    expect(page.locator("text.sure")).to_have_count(1)
    expect(page.locator("#points")).to_have_text(text)


def test_bad_files_are_answered_with_a_sentence(page: Page, tmp_path) -> None:
    files = {
        "notes.png": (b"no picture", "not a picture"),
        "cut.jpg": (b"\xff\xd8\xff\xe0" + bytes(60), "picture"),
        "vector.svg": (b"<svg onload='alert(1)'/>", "not a picture"),
        "empty.png": (b"", "not a picture"),
        "huge.png": (bytes(21 * 2**20), "larger than 20 MB"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        page.locator("#file-source").set_input_files(tmp_path / name)
        expect(page.locator(".toast").last).to_contain_text(words)
        page.locator(".toast").last.get_by_label("Close").click()
    expect(page.locator(".zone img").first).to_be_hidden()
    start(page, "fish")  # all is as before


def test_without_a_mouse(page: Page) -> None:
    start(page, "bird")
    page.locator(".pad").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".from")).to_have_text("(28.8, 30.1)")
    page.keyboard.press("ArrowDown")  # the picture still has the focus
    page.keyboard.press("Enter")
    expect(page.locator("#points li")).to_have_count(2)
    matched(page, 2)


def test_a_narrow_screen(browser: Browser, live: SimpleNamespace) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = open_page(context, live)
    start(page, "fish")
    click(page, 20, 30)
    matched(page, 1)
    page.locator(".match .near").first.tap()
    expect(page.locator("#view")).to_have_attribute("data-shown", "0/4")
    first, second = (page.locator("image.picture").nth(side).bounding_box() for side in range(2))
    assert second["y"] > first["y"] + first["height"] - 1
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    context.close()


def test_two_people_do_not_mix(browser: Browser, live: SimpleNamespace) -> None:
    contexts = [browser.new_context(viewport={"width": 1200, "height": 1000}) for _ in range(2)]
    pages = [open_page(context, live) for context in contexts]
    for page, example in zip(pages, ("fish", "lamp"), strict=True):
        start(page, example)
    for page, example in zip(pages, ("fish", "lamp"), strict=True):  # both are asked for before either is there
        click(page, *drawing(EXAMPLES[example][0]).points[-2])
    together = [matched(page, 1)[0] for page in pages]
    expect(pages[0].locator('.example[aria-pressed="true"]')).to_have_text("fish")
    alone = open_page(contexts[0], live)
    start(alone, "lamp")
    click(alone, *drawing(EXAMPLES["lamp"][0]).points[-2])
    assert np.allclose(matched(alone, 1)[0], together[1], atol=0.5)
    addresses = [page.locator("image.picture").all() for page in pages]
    assert len({picture.get_attribute("href") for pair in addresses for picture in pair}) == 4
    for context in contexts:
        context.close()


def test_a_page_that_is_closed_frees_the_model(browser: Browser, live: SimpleNamespace, caplog) -> None:
    one, other = (browser.new_context(viewport={"width": 1200, "height": 1000}) for _ in range(2))
    first, second = open_page(one, live), open_page(other, live)
    start(first, "cat", "prompt")
    for x in range(4, 60, 10):  # much work
        click(first, x, 31.7)
    expect(first.locator("#stop")).to_be_visible()
    expect(first.locator("#hint")).to_contain_text("step")
    start(second, "fish")
    click(second, 33, 31)
    expect(second.locator("#hint")).to_contain_text("One request is ahead of yours.")
    job = live.server.jobs._running
    one.close()
    assert isinstance(job.future.exception(60), Canceled)
    matched(second, 1)
    other.close()
    del job
    gc.collect()  # which complains of errors that nobody has looked at
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_stopping_keeps_the_points(page: Page) -> None:
    start(page, "cat", "prompt")
    for x in range(6, 60, 14):
        click(page, x, 20.3)
    page.locator("#stop").click()
    expect(page.locator("#hint")).to_contain_text("points are waiting")
    expect(page.locator("#progress")).to_be_hidden()
    page.locator('input[value="read_once"]').check()  # or Go on
    matched(page, 4)


def test_a_server_that_has_forgotten_the_page(page: Page, live: SimpleNamespace) -> None:
    start(page, "fish")
    live.server.sessions._sessions.clear()
    click(page, 20, 20)
    expect(page.locator(".toast")).to_contain_text("choose your pictures again")
    expect(page.locator("#hint")).to_contain_text("Choose an example")
    start(page, "fish")
    click(page, 20, 20)
    matched(page, 1)
