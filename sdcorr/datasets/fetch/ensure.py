"""Fetching a data set that is asked for and not on this machine, before anything else is done.

The terms of the data sets in `sources` restrict what they are used for, and none asks to register before a download,
so they are fetched where `dataset.download` does not forbid it; the terms are printed. Only the folder that a data set
has by default is filled: any other one is a place that the user has said it is in.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sdcorr.datasets.fetch.sources import DATA, SOURCES, Address
from sdcorr.errors import UserError

PATIENCE = 6.0  # seconds for any server to say anything


def ensure(name: str, root: str | Path, download: bool) -> None:
    """Fetches a data set into its default folder if there is nothing; says on stdout and stderr what it does.

    Another process that is fetching it is waited for, so that the ranks of a run may all ask.

    Args:
        name: of the data set; of one that is not in SOURCES nothing can be had.
        root: where it is said to be; not the default folder: it is the user's, and left alone.
        download: whether it may be fetched.

    Raises:
        UserError: if it cannot be had now, within PATIENCE seconds if there is no network.
    """
    source = SOURCES.get(name)
    if source is None or not download or Path(root) != DATA / source.folder or _holds_something(Path(root)):
        return
    from sdcorr.datasets.fetch.prepare import Preparation  # a second of imports, which few evaluations need

    command = f"sdcorr prepare {name}"
    if not _any_answers(source.archives):
        hosts = " and ".join(dict.fromkeys(_host(address) for address in source.archives))
        raise UserError(
            f"{source.title} is not in {root}, and cannot be fetched, since there is no connection to {hosts}: connect "
            f"this machine, give an archive from another one to `{command} --from FILE`, or say where it is with "
            "dataset.root=FOLDER."
        )
    try:
        Preparation(source, DATA, wait=True).run()
    except UserError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UserError(
            f"{source.title} cannot be fetched ({reason}): `{command}` says how to do it by hand, or say where it is "
            "with dataset.root=FOLDER."
        ) from error


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a file, or a folder that cannot be read: the data set's own reader says so


def _any_answers(addresses: Sequence[Address]) -> bool:
    """Whether any of the servers answers at all; all are asked at once, since some wait minutes for a dead one."""
    import requests

    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask(url: str) -> None:
        try:
            requests.head(url, timeout=PATIENCE).close()
            answers.put(True)
        except requests.RequestException:
            answers.put(False)

    deadline = time.monotonic() + PATIENCE
    for address in addresses:
        threading.Thread(target=ask, args=(address.url,), daemon=True).start()
    for _ in addresses:
        try:
            if answers.get(timeout=max(0.0, deadline - time.monotonic())):
                return True
        except queue.Empty:
            break
    return False


def _host(address: Address) -> str:
    return urlsplit(address.url).hostname or address.url
