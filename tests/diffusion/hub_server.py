"""A small Hugging Face hub on this machine: models are folders, and every request is written down."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Serves `models` (id -> folder) as the hub does, as far as its client asks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.models: dict[str, Path] = {}
        self.fetched: list[str] = []  # files of models, in order
        self.refuses: int | None = None  # a status code for every request
        self.gated = False  # whether files, but not their names, are for those alone who have accepted terms

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        _, *words = self.path.split("?")[0].split("/")
        name = "/".join(words[2:4] if words[0] == "api" else words[:2])
        if self.server.refuses or name not in self.server.models:
            status = self.server.refuses or 401  # which the hub says of models that it does not know
            self._send(status, b"{}", {"X-Error-Code": "" if self.server.refuses else "RepoNotFound"})
        elif self.server.gated and words[0] != "api":
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif words[0] == "api":
            folder = self.server.models[name]
            files = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
            if words[4:5] == ["revision"] and words[5] not in ("main", COMMIT):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        else:
            file = "/".join(words[4:])
            content = (self.server.models[name] / file).read_bytes()
            if self.command == "GET":
                self.server.fetched.append(file)
            self._send(200, content, {"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Says nothing."""


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub that runs meanwhile."""
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
