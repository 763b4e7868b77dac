"""Tables and charts in a page that holds all that it needs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from sdcorr.files import write_whole
from sdcorr.report.charts import Chart
from sdcorr.report.table import Cell, Number
from sdcorr.visualize import to_svg
from sdcorr.web import FOLDER, asset

SCRIPTS = ("ballot.js", "pair.js", "report.js")
STYLES = ("style.css", "report.css")


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> Path:
    """Writes a page, whole or not at all, and returns its path.

    The page's own policy lets nothing be fetched and no script run but the one that is written here.

    Args:
        path: of the page.
        template: a file of `sdcorr.web`; its macros take a `Table` and a `Chart`.
        content: what the template asks for.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters |= {"svg": svg, "order": order}
    script = "\n".join(map(asset, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(
        **content, script=Markup(script), script_digest=digest, style=Markup("\n".join(map(asset, STYLES)))
    )
    write_whole(path, page)
    return path


def svg(chart: Chart) -> Markup:
    """An `<svg>` element that says what it is to those who cannot see it."""
    named = Markup('role="img" aria-label="{}"').format(chart.title)
    return Markup(to_svg(chart.figure).replace('role="img"', named, 1))


def order(cell: Cell) -> str:
    """What a column of numbers is sorted by: the least of all where there is no number."""
    return repr(float(cell.value)) if isinstance(cell, Number) and cell.value is not None else "-Infinity"
