"""What a failed request is answered with: always `{"error": one sentence}`, and never what is inside the machine."""

from __future__ import annotations

import sys
import traceback

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sdcorr.app.jobs import Canceled
from sdcorr.errors import UserError

UNKNOWN = "Something went wrong in the server: its terminal says what."


def sentence(error: BaseException) -> str:
    """What the page is told of an error in a job; one that nobody foresaw goes to the terminal."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, Canceled):  # while the page still waits, so the server canceled it
        return "The server is about to stop."
    traceback.print_exception(error, file=sys.stderr)
    return UNKNOWN


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a request that is refused, or whose job was canceled."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": f"The server has nothing there ({error.detail})."}, error.status_code)
    status = 503 if isinstance(error, Canceled) else getattr(error, "status", 400)
    return JSONResponse({"error": sentence(error)}, status)


async def fail(request: Request, error: Exception) -> Response:
    """Answer a request at which something went wrong; the server has printed what."""
    return JSONResponse({"error": UNKNOWN}, 500)
