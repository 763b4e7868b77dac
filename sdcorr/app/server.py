"""The page's server: pictures in, matches out. Every answer to a failed request is `{"error": one sentence}`."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote

import anyio
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sdcorr.app import downloads, examples, static, uploads
from sdcorr.app.failures import fail, refuse, sentence
from sdcorr.app.guard import Guard
from sdcorr.app.instant import Instant
from sdcorr.app.jobs import Canceled, Job, Jobs
from sdcorr.app.matching import METHODS, Found, How, Matching
from sdcorr.app.refusal import Refusal
from sdcorr.app.sessions import FoundKey, Held, Session, Sessions, SidesKey
from sdcorr.errors import UserError
from sdcorr.findings import reasons, weighed
from sdcorr.methods.doubts import absent, doubts
from sdcorr.pictures import MatchRequest, MatchResult, check_points

MOST_POINTS = 32
MOST_QUESTION_BYTES = 64 * 2**10  # of a request that is no picture
MOST_DECODERS = 2  # pictures that are decoded at the same time
INTERVAL = 0.15  # seconds between two reports of a job's progress


class Server:
    """The application.

    Args:
        matching: the model and its methods.
        host: the address that the server listens on.
        sessions: where pages are remembered.
        instant: the student whose matches follow the cursor; None: there is none.

    Attributes:
        app: what an ASGI server runs.
        jobs: the queue for the model.
        sessions: what is remembered of each page.
    """

    def __init__(
        self,
        matching: Matching,
        host: str = "127.0.0.1",
        sessions: Sessions | None = None,
        instant: Instant | None = None,
    ) -> None:
        self.jobs = Jobs()
        self.sessions = sessions or Sessions()
        self._matching, self._instant = matching, instant
        self._decoders = anyio.CapacityLimiter(MOST_DECODERS)
        self.app = Starlette(
            routes=[
                *static.routes(),
                examples.route(),
                Route("/pictures/{name}", self._shown),
                *([instant.route(self.sessions)] if instant else []),
                Route("/api/session", self._open, methods=["POST"]),
                Route("/api/pictures", self._upload, methods=["POST"]),
                Route("/api/examples/{name}", self._example, methods=["POST"]),
                Route("/api/match", self._match, methods=["POST"]),
                Route("/api/counterparts", self._counterparts, methods=["POST"]),
                Route("/api/download/{file}", self._download, methods=["POST"]),
            ],
            middleware=[Middleware(Guard, host=host)],
            exception_handlers={UserError: refuse, HTTPException: refuse, Canceled: refuse, Exception: fail},
        )

    async def _open(self, request: Request) -> Response:
        """Start a session, or continue the one that a reloaded page names, and describe the model and the examples."""
        try:
            session = self.sessions.get(request.headers.get("x-session", ""))
        except Refusal:
            session = self.sessions.open()
        matching = self._matching
        return JSONResponse(
            {
                "session": session.id,
                "model": matching.model,
                "only_drawings": matching.knows_only_drawings,
                "methods": METHODS,
                "default": vars(matching.default),
                "consensus": matching.consensus,
                "layers": matching.layers,
                "cells": matching.cells,
                "calibration": matching.calibration.origin if matching.calibration else None,
                "student": self._instant.about if self._instant else None,
                "examples": list(examples.EXAMPLES),
                "most": {"points": MOST_POINTS, "bytes": uploads.MOST_BYTES},
            }
        )

    async def _upload(self, request: Request) -> Response:
        """Read a picture: the body is the file, the header `x-label` its name, percent-encoded."""
        session = self._session(request)
        content = await _body(request, uploads.MOST_BYTES, uploads.too_many_bytes)
        label = unquote(request.headers.get("x-label", ""), errors="replace")

        def decode() -> Held:
            picture = uploads.read_upload(content, label)
            return Held(picture, *uploads.shown(picture.image))

        held = await anyio.to_thread.run_sync(decode, limiter=self._decoders)
        return JSONResponse(self._hold(session, held))

    async def _example(self, request: Request) -> Response:
        session = self._session(request)
        try:
            pair = await run_in_threadpool(examples.pictures, request.path_params["name"])
        except KeyError:
            raise Refusal(f"There is no such example: choose one of {', '.join(examples.EXAMPLES)}.", 404) from None
        source, target = (self._hold(session, Held(each, *uploads.shown(each.image))) for each in pair)
        return JSONResponse({"source": source, "target": target})

    async def _shown(self, request: Request) -> Response:
        """Return the image file of a picture, by the name that only its page knows."""
        held = self.sessions.shown(request.path_params["name"])
        return Response(held.shown, media_type=held.media_type)

    async def _match(self, request: Request) -> Response:
        """Answer with lines of JSON: reports of progress, and at last `done` with the matches, or `failed`.

        Closing the connection cancels the work.
        """
        session = self._session(request)
        how, asked = await self._question(request, session)
        keys = _keys(how, asked)
        missing = [row for row, key in enumerate(keys) if key not in session.found]
        if missing and how.consensus == "joint":
            missing = list(range(len(keys)))
        source, target, points = asked.source, asked.targets[0], asked.points[missing]
        job = None
        if missing:
            job = self.jobs.submit(session.id, lambda job: self._matching.find(job, how, source, target, points))

        async def lines() -> AsyncIterator[str]:
            known = {key: session.found[key] for key in keys if key in session.found}
            try:
                if job:
                    async for fact in self._watch(job):
                        yield json.dumps(fact) + "\n"
                    new = dict(zip([keys[row] for row in missing], job.future.result(), strict=True))
                    self.sessions.keep(session, new)
                    known |= new
                matches = [_match_of(key, known[key]) for key in keys]
                yield json.dumps({"state": "done", "matches": matches}) + "\n"
            except Exception as error:
                yield json.dumps({"state": "failed", "error": sentence(error)}) + "\n"
            finally:
                if job:
                    job.cancel()

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def _watch(self, job: Job) -> AsyncIterator[dict]:
        """Yield a job's progress whenever it has changed, until the job has ended."""
        ended = asyncio.wrap_future(job.future)
        ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # raised by the job's own future
        sent = None
        while not ended.done():
            ahead = self.jobs.ahead(job)
            fact = {"state": "waiting", "ahead": ahead} if not job.progress else job.progress
            if fact != sent:
                yield fact
                sent = fact
            await asyncio.wait([ended], timeout=INTERVAL)

    async def _counterparts(self, request: Request) -> Response:
        """Answer which of the points are counterparts, and why each match is to be doubted now that this is known."""
        session = self._session(request)
        how, asked = await self._question(request, session)
        result = await self._result(session, how, asked)
        return JSONResponse({"pairs": result.counterparts, "doubts": reasons(asked, result, 0)})

    async def _download(self, request: Request) -> Response:
        session = self._session(request)
        file = request.path_params["file"]
        if file not in downloads.DOWNLOADS:
            raise Refusal(f"There is no such file: choose one of {', '.join(downloads.DOWNLOADS)}.", 404)
        how, asked = await self._question(request, session)
        result = await self._result(session, how, asked)
        media_type, write = downloads.DOWNLOADS[file]
        settings = self._matching.settings(how.method)
        content = await run_in_threadpool(write, asked, result, self._matching.model, settings)
        return Response(
            content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{file}"'}
        )

    async def _result(self, session: Session, how: How, asked: MatchRequest) -> MatchResult:
        """What was found of all points that are asked for, as one.

        Raises:
            Refusal: if a point has no match yet.
        """
        try:
            found = [session.found[key] for key in _keys(how, asked)]
        except KeyError:
            raise Refusal("Not every point has its match yet: wait until it has, then ask again.", 409) from None
        sides: SidesKey = str(how), asked.source.key, tuple((x, y) for x, y in asked.points.tolist())
        if how.consensus == "dense_flip" and sides not in session.sides:
            job = self.jobs.submit(session.id, lambda job: self._matching.counterparts(how, asked.source, asked.points))
            self.sessions.keep_sides(session, sides, await asyncio.wrap_future(job.future))
        return downloads.result(found, how, session.sides.get(sides, ()))

    def _session(self, request: Request) -> Session:
        return self.sessions.get(request.headers.get("x-session", ""))

    def _hold(self, session: Session, held: Held) -> dict:
        """Keep a picture, and return what the page is told of it."""
        name = self.sessions.hold(session, held)
        width, height = held.picture.image.size
        return {"name": name, "url": f"/pictures/{name}", "width": width, "height": height}

    async def _question(self, request: Request, session: Session) -> tuple[How, MatchRequest]:
        """Read the way to find them, the pictures and the points that a request names."""
        body = await _body(request, MOST_QUESTION_BYTES, lambda: Refusal("This request is too long.", 413))
        try:
            question = json.loads(body)
            method, points = str(question["method"]), question["points"]
            how = How(method, question.get("consensus", "none"), question.get("refine", "none"))
            names = [str(question[side]) for side in ("source", "target")]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refusal("This is not a request that the page sends: reload the page.") from None
        if method not in METHODS:
            raise Refusal(f"There is no method '{method[:40]}': choose one of {', '.join(METHODS)}.")
        for name, offered in (("consensus", self._matching.consensus), ("refine", "pixels")):
            if getattr(how, name) not in ("none", offered):
                raise Refusal(f"This page has no such {name}: choose none or {offered}.")
        source, target = (session.picture(name).picture for name in names)
        if isinstance(points, list) and len(points) > MOST_POINTS:
            raise Refusal(f"These are {len(points)} points: choose at most {MOST_POINTS} at a time.")
        return how, MatchRequest(source, check_points(points, source), (target,))


def _keys(how: How, asked: MatchRequest) -> list[FoundKey]:
    points = asked.points.tolist()
    way = f"{how} {points}" if how.consensus == "joint" else str(how)  # a joint match depends on all points
    return [(way, asked.source.key, asked.targets[0].key, x, y) for x, y in points]


def _match_of(key: FoundKey, found: Found) -> dict:
    """Convert a match to what the page reads: maps are bytes, layer by layer and row by row, in base 64."""
    maps = {"source": found.source_maps, "target": found.target_maps}
    return {
        "source": key[-2:],
        "target": np.round(found.place, 3).tolist(),
        "confidence": round(found.confidence, 4),
        "probability": None if found.probability is None else round(found.probability, 4),
        "missing": None if found.there is None else absent(found.there),
        "doubt": doubts(Found.match([found]).evidence)[0],
        "weighed": weighed(found.ballot) if found.ballot else None,
        "maps": {side: base64.b64encode(each.tobytes()).decode() for side, each in maps.items()},
    }


async def _body(request: Request, most: int, complaint: Callable[[], Refusal]) -> bytes:
    """Read the body of a request, and raise the complaint as soon as it has more than `most` bytes."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > most:
        raise complaint()
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise complaint()
    return bytes(body)
