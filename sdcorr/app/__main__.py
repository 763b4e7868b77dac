"""Serve the page: `python -m sdcorr.app`, `python -m sdcorr.app model=sd14 method.restarts=3 --port 8000 --open`."""

from __future__ import annotations

import logging
import socket
import sys
import warnings
import webbrowser

from sdcorr.cli.command import Arguments, answer
from sdcorr.errors import UserError

PORT = 7860


def main(arguments: list[str] | None = None) -> None:
    """Load the model, serve until Ctrl-C.

    Raises:
        UserError: if the port is taken, a setting does not fit, the weights cannot be had or the extra is missing.
    """
    parser = Arguments(prog="python -m sdcorr.app", description=__doc__)
    parser.add_argument("settings", nargs="*", help="as for eval.py, e.g. model=sd14 method.restarts=3")
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless given; 0: any that is free")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; this machine only unless given")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    asked = parser.parse_intermixed_args(arguments)
    try:
        import uvicorn

        from sdcorr.app.guard import is_loopback
        from sdcorr.app.server import Server
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "starlette", "anyio"):
            raise
        raise UserError(f'The page needs {error.name}, which is not installed: pip install -e ".[app]".') from None
    from sdcorr.app.matching import Matching

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # the Trainer introduces itself at every job
    warnings.filterwarnings("ignore", module="lightning")
    listener = listen(asked.host, asked.port)
    with listener:
        if not is_loopback(asked.host):
            print(
                f"warning: everyone who can reach {asked.host} can use the page, as it has no password.",
                file=sys.stderr,
            )
        print("loading the model ...", flush=True)
        server = Server(Matching(asked.settings), asked.host)

        class Quiet(uvicorn.Server):
            """Ends running work at once when it is told to stop."""

            def handle_exit(self, sig, frame):
                server.jobs.close()
                super().handle_exit(sig, frame)

        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(asked.host, asked.host)
        host = f"[{host}]" if ":" in host and "[" not in host else host
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"{address}  (Ctrl-C to stop)", flush=True)
        if asked.open:
            webbrowser.open(address)
        settings = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 2, "server_header": False}
        try:
            Quiet(uvicorn.Config(server.app, **settings)).run(sockets=[listener])
        except KeyboardInterrupt:  # which uvicorn raises after it has stopped
            print("stopped")
        finally:
            server.jobs.close(patience=10)


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


if __name__ == "__main__":
    answer(main)
