"""`sdcorr app`: what it says to mistakes. That it serves is seen in test_page.py."""

import os
import signal
import socket
import threading
import urllib.request
from contextlib import suppress

import pytest

from sdcorr.app.serving import listen
from sdcorr.cli.app import main
from sdcorr.errors import UserError

MISTAKES = {
    "setting": (["method.restart=3"], "method.restart"),
    "model": (["model=sd99"], "sd99"),
    "weights": (["model.path=/nowhere"], "/nowhere"),
    "port": (["--port", "70000"], "70000"),
    "port's type": (["--port", "many"], "many"),
    "host": (["--host", "256.1.1.1"], "256.1.1.1"),
    "flag": (["--share"], "--share"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_answered_with_a_sentence(name: str) -> None:
    arguments, words = MISTAKES[name]
    with pytest.raises(UserError, match=words):
        main([*arguments, *([] if "--port" in arguments else ["--port", "0"])])


def test_a_busy_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}.*--port"):
            main(["--port", str(port)])


def test_it_serves_until_it_is_interrupted(capsys: pytest.CaptureFixture) -> None:
    with listen("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
    pages = []

    def visit() -> None:
        while not pages:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                pages.append(answer.read())
        os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does

    visitor = threading.Thread(target=visit)
    visitor.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # other tests may have left another
    main(["method=read_once", "--port", str(port)])
    signal.signal(signal.SIGINT, before)
    visitor.join()
    said = capsys.readouterr()
    assert b"<title>sdcorr" in pages[0]
    assert said.out.splitlines()[-2:] == [f"http://127.0.0.1:{port}  (Ctrl-C to stop)", "stopped"] and not said.err
