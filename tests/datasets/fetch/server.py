"""A web server on this machine that does what those of data sets do: continue, break off, refuse, stall."""

import hashlib
import re
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves `files` (path -> content) while it is open; `url(path)` is where.

    Attributes:
        requests: (path, Range header or None) of every request, in order.
        breaks: path -> after how many bytes of the body the connection breaks, one for each of the next requests.
        stalls: path -> after how many bytes of the body nothing more comes, until the path is removed.
        continues: whether the server knows Range.
        statuses: path -> status code in place of 200.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.breaks: dict[str, list[int]] = defaultdict(list)
        self.stalls: dict[str, int] = {}
        self.continues = True
        self.statuses: dict[str, int] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "FileServer":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{path}"

    def asked_for(self, path: str) -> list[str | None]:
        """The Range headers of the requests for a file."""
        return [range_ for asked, range_ in self.requests if asked == path]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, range_ = self.path.lstrip("/"), self.headers["Range"]
                server.requests.append((path, range_))
                if path not in server.files or path in server.statuses:
                    self.send_error(server.statuses.get(path, 404))
                    return
                content = server.files[path]
                tag = f'"{hashlib.md5(content).hexdigest()}"'
                start = int(re.fullmatch(r"bytes=(\d+)-", range_)[1]) if range_ and server.continues else 0
                if start and start >= len(content):
                    self.send_error(416)
                    return
                if self.headers.get("If-Range", tag) != tag:
                    start = 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - start))
                self.send_header("ETag", tag)
                self.end_headers()
                body = content[start:]
                try:
                    if server.breaks[path]:
                        self.wfile.write(body[: server.breaks[path].pop(0)])
                        self.close_connection = True
                        return
                    if path in server.stalls:
                        self.wfile.write(body[: server.stalls[path]])
                        self.wfile.flush()
                        while path in server.stalls:
                            time.sleep(0.02)
                        return
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the other side has heard enough

            def log_message(self, *_) -> None:
                pass

        return Handler
