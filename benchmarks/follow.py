"""How long the page takes from a move of the cursor to the match that is drawn, in a real Chromium.

    python benchmarks/follow.py            --help has the rest; results/follow.md and follow.json are written

The mouse moves over the source of an example, as the browser's own input does. Delays are from the event's time stamp
to the next frame after the ring has moved, by the browser's clock; once with the model idle, and once while it
optimizes a point. Beside them: what finding a point alone takes in the page, and the way there and back of a request
that asks for nothing, which finding it in the server would cost at least.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from docs.screenshots import served
from sdcorr.files import write_whole
from tests.browser import open_browser

RESULTS = Path(__file__).parent / "results"
EXAMPLE = "teapot"
WATCH = """() => {
    window.delays = [];
    let moved = null;
    document.querySelector("#view").addEventListener("pointermove", (event) => { moved = event.timeStamp; }, true);
    new MutationObserver(() => {
        if (moved === null) return;
        const since = moved;
        moved = null;
        requestAnimationFrame((now) => window.delays.push([now - since, performance.now() - since]));
    }).observe(document.querySelector("#view"), { subtree: true, childList: true, attributeFilter: ["cx"] });
}"""
FIND = """(count) => {
    const found = [];
    for (let number = 0; number < count; number++) {
        const point = [Math.random() * state.source.width, Math.random() * state.source.height];
        const started = performance.now();
        for (let again = 0; again < 10; again++) atOnce(point);
        found.push((performance.now() - started) / 10);
    }
    return found;
}"""
ASK = """async (count) => {
    const found = [];
    for (let number = 0; number < count; number++) {
        const started = performance.now();
        await (await fetch("/api/session", { method: "POST", headers: { "X-Session": session } })).json();
        found.push(performance.now() - started);
    }
    return found;
}"""


def move(page: Page, moves: int, rng: np.random.Generator) -> list[float]:
    """Move the mouse over the source so often; the delay of each move that was drawn, milliseconds."""
    page.evaluate("window.delays.length = 0")
    box = page.locator(".pad").bounding_box()
    assert box is not None
    for x, y in rng.uniform(0.05, 0.95, (moves, 2)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(20)
    return [drawn for drawn, _ in page.evaluate("window.delays")]


def measure(page: Page, moves: int) -> dict[str, list[float]]:
    """All delays, milliseconds."""
    rng = np.random.default_rng(0)
    page.locator(f'.example[data-name="{EXAMPLE}"]').click()
    expect(page.locator("#at-once")).to_contain_text("follows at once", timeout=60_000)
    page.evaluate(WATCH)
    move(page, 10, rng)
    told = {"a point in the page": page.evaluate(FIND, moves)}
    told["an empty request, model idle"] = page.evaluate(ASK, moves)
    told["move to drawn match, model idle"] = move(page, moves, rng)
    page.locator(".pad").click(position={"x": 60, "y": 60})
    expect(page.locator("#hint")).to_contain_text("step", timeout=60_000)
    told["move to drawn match, model at work"] = move(page, moves // 2, rng)
    told["an empty request, model at work"] = page.evaluate(ASK, moves // 2)
    return told


def page_of(told: dict[str, list[float]]) -> str:
    """The results as Markdown."""
    about = (
        "`python benchmarks/follow.py`: headless Chromium without a GPU, the page's server and whatever else the "
        "machine did on the same CPU cores; the toybox's student, 32 x 32 cells of 128 values. A frame is 16.7 ms."
    )
    lines = [
        "# From a move of the cursor to the drawn match",
        "",
        about,
        "",
        "| milliseconds | median | 90 % | 99 % | number |",
        "|---|---|---|---|---|",
    ]
    for name, values in told.items():
        spread = " | ".join(f"{each:.1f}" for each in np.quantile(values, (0.5, 0.9, 0.99)))
        lines.append(f"| {name} | {spread} | {len(values)} |")
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--moves", type=int, default=200, help="of the mouse (200)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args(argv)
    with open_browser() as browser, served() as address:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(address)
        told = measure(page, args.moves)
    args.out.mkdir(parents=True, exist_ok=True)
    write_whole(
        args.out / "follow.json",
        json.dumps({name: [round(each, 2) for each in values] for name, values in told.items()}) + "\n",
    )
    write_whole(args.out / "follow.md", page_of(told))
    print(page_of(told))


if __name__ == "__main__":
    main()
