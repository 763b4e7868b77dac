"""`python -m sdcorr.app`: what it says to mistakes. That it serves is seen in test_page.py."""

import builtins
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from sdcorr.app.__main__ import main
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


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"uvicorn.*pip install -e .*\[app\]"):
        main(["--port", "0"])


def test_it_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "sdcorr.app", "method=probe", "--port", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            address = next(line for line in process.stdout if line.startswith("http")).split()[0]
            with urllib.request.urlopen(f"{address}/") as answer:
                assert b"<title>sdcorr" in answer.read()
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0 and not complaints
