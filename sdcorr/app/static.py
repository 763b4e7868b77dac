"""The files that the page is made of."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdcorr import web

HERE = Path(__file__).parent
MEDIA = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
OWN = ("app.js", "app.css", "talk.js", "show.js", "follow.js", "sides.js", "drop.js")
OF_REPORTS = ("ballot.js", "pair.js", "style.css")  # which reports have as well


def routes() -> list[Route]:
    """Where each of them is."""
    files = {"/": HERE / "page.html"}
    files |= {f"/{name}": folder / name for folder, names in ((HERE, OWN), (web.FOLDER, OF_REPORTS)) for name in names}
    return [Route(path, partial(_file, file)) for path, file in files.items()]


def _file(path: Path, request: Request) -> Response:
    return Response(path.read_bytes(), media_type=MEDIA[path.suffix])
