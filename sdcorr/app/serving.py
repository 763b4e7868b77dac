"""Serving the page until Ctrl-C."""

from __future__ import annotations

import socket
import webbrowser
from types import FrameType

import uvicorn

from sdcorr.app.server import Server
from sdcorr.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: if the port is taken or there is no such address.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port} is no port: give a number from 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"Cannot listen at {host}, port {port} ({error.strerror or error}): give another with --port, or --port 0."
        ) from None
    return listener


def serve(server: Server, listener: socket.socket, host: str, open_browser: bool = False) -> None:
    """Serve the page until Ctrl-C, and say where it is.

    Args:
        server: the page's server; its jobs are ended with it.
        listener: as `listen` gives it.
        host: the address that is listened at.
        open_browser: whether the page is opened in the browser.
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown and "[" not in shown else shown
    address = f"http://{shown}:{listener.getsockname()[1]}"
    print(f"{address}  (Ctrl-C to stop)", flush=True)
    if open_browser:
        webbrowser.open(address)
    config = uvicorn.Config(
        server.app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, server_header=False
    )
    try:
        _Runner(config, server).run(sockets=[listener])
    except KeyboardInterrupt:  # which uvicorn raises after it has stopped
        print("stopped")
    finally:
        server.jobs.close(patience=10)


class _Runner(uvicorn.Server):
    """Ends running work at once when it is told to stop."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._jobs = server.jobs

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._jobs.close()
        super().handle_exit(sig, frame)
