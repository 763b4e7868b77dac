"""The match at once: a student's features of a picture go to the page, which finds the point under the cursor itself.

A point is then one matrix product in the browser, and waits neither for the network nor for the model, which may be
busy with an optimization.
"""

from __future__ import annotations

from pathlib import Path

import anyio
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdcorr.app.sessions import Sessions
from sdcorr.methods.finder import Finder
from sdcorr.retrieval.cells import to_cells


class Instant:
    """A student for the page.

    Args:
        folder: of the student.

    Raises:
        UserError: if there is none, or its files are damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self._finder = Finder.load(folder)
        self._one_at_a_time = anyio.CapacityLimiter(1)

    @property
    def about(self) -> dict[str, float]:
        """How a point is read from cosines, see `sdcorr.methods.peaks.Peaks`."""
        return {"window": self._finder.peaks.window, "temperature": self._finder.peaks.temperature}

    def features(self, image: Image.Image) -> tuple[bytes, int]:
        """The features of an RGB picture as the page reads them, and how many cells a side they are on.

        Returns:
            (k * k, C) int8, row by row, then (k * k,) float32, little-endian: the scale of each cell.
        """
        (read,) = self._finder.read_rgb([image])
        side = read.values.shape[-1]
        cells = to_cells(read, side)
        return cells.values.tobytes() + cells.scales.astype("<f4").tobytes(), side

    def route(self, sessions: Sessions) -> Route:
        """Where a page gets the features of a picture, by the name that only it knows."""

        async def answer(request: Request) -> Response:
            image = sessions.shown(request.path_params["name"]).picture.image
            content, side = await anyio.to_thread.run_sync(self.features, image, limiter=self._one_at_a_time)
            return Response(content, media_type="application/octet-stream", headers={"x-cells": str(side)})

        return Route("/pictures/{name}/features", answer)
