"""Starting a W&B run for a folder, with all that is known about it."""

from __future__ import annotations

import os
import socket
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig
from pydantic import ValidationError
from wandb.errors import Error as WandbError

import sdcorr
from sdcorr.configuration import plain
from sdcorr.errors import UserError

REACHED_IN = 5.0  # seconds; W&B itself tries for a minute and a half
DATA_DIR = "WANDB_DATA_DIR"
MODES = ("auto", "online", "offline")
Mode = Literal["online", "offline", "shared", "disabled", "dryrun", "run"]  # W&B's own
NOT_LEGAL = (WandbError, ValueError)  # what W&B raises of a setting; the latter by way of pydantic
LIBRARIES = ("torch", "diffusers", "transformers", "lightning", "numpy", "wandb")
LONGEST_TAG, LONGEST_NAME = 64, 128  # characters that W&B takes


def make_logger(
    cfg: DictConfig, folder: Path, *, group: str, job_type: str, tags: Sequence[str] = (), facts: Mapping[str, Any] = {}
) -> WandbLogger:
    """The logger that `cfg.logger` asks for, writing below `folder`.

    Never asks for an account: `mode: auto` is online only after `wandb login` (or with WANDB_API_KEY), else offline;
    the environment's WANDB_MODE wins. A folder that has had a run before goes on with that run: it has the same id, by
    which W&B resumes it, and by which `wandb sync` joins what was written offline. The run's configuration is all of
    `cfg` and, under `facts`, what else the results depend on.

    Args:
        cfg: composed, of `eval.py` or `train.py`; not with `logger=none`.
        folder: of the run; its name is the run's.
        group: of the run, unless `cfg.logger.group` says another.
        job_type: what the run is, e.g. "evaluation".
        tags: of the run, before those of `cfg.logger.tags`.
        facts: plain values.

    Raises:
        UserError: if the mode is unknown, or online was asked for and W&B cannot be reached.
    """
    if cfg.logger.mode not in MODES:
        raise UserError(f"There is no logger.mode={cfg.logger.mode}: choose one of {', '.join(MODES)}.")
    mode = _mode(cfg.logger.mode)
    folder.mkdir(parents=True, exist_ok=True)
    every_tag = [str(tag)[:LONGEST_TAG] for tag in (*tags, *(cfg.logger.tags or ())) if tag]
    config = plain(cfg) | {"facts": {**facts, **_surroundings()}}
    try:
        run = wandb.init(
            project=cfg.logger.project,
            name=folder.resolve().name[:LONGEST_NAME],
            id=os.environ.get("WANDB_RUN_ID") or _last_id(folder),  # the agent of a sweep gives its own
            resume="allow",
            reinit="finish_previous",  # of a job of a Hydra sweep that has failed
            group=cfg.logger.group or group,
            job_type=job_type,
            tags=list(dict.fromkeys(every_tag)),
            dir=str(folder.resolve()),  # it is written by another process, which may have begun in another folder
            config=config,
            settings=wandb.Settings(mode=mode, console="off", x_disable_stats=True),
        )
    except NOT_LEGAL as error:
        raise UserError(f"W&B cannot be used ({_reason(error)}): give logger.mode=offline or logger=none.") from None
    # Lightning's logger would start the run itself, but make the Trainer's step the x axis of all that is logged.
    return WandbLogger(experiment=run, save_dir=folder, project=cfg.logger.project)


def _mode(asked: str) -> Mode:
    """The mode that W&B is to work in, if a configuration has asked for one of MODES.

    Raises:
        UserError: if the environment asks for one that W&B has not, or for `online` and W&B cannot be reached.
    """
    said = os.environ.get("WANDB_MODE") or asked
    if said == "auto":
        return _mode_that_works()
    if said not in ("online", "offline", "shared", "disabled", "dryrun", "run"):
        raise UserError(f"WANDB_MODE={said} is no mode of W&B: give online, offline or disabled.")
    if said == "online":
        _check_reachable()
    return said


def _mode_that_works() -> Mode:
    """`online` after `wandb login` if W&B can be reached, else `offline`; a warning says why it is not online then."""
    try:
        if not wandb.login(prompt=False, verify=False):
            return "offline"
        address = _address()
    except NOT_LEGAL as error:  # of a key or an address that cannot be one
        warnings.warn(f"W&B is used offline, for its login is not valid ({_reason(error)}).", stacklevel=4)
        return "offline"
    if not _is_reachable(address):
        warnings.warn(
            f"W&B is used offline, for {urlsplit(address).hostname} cannot be reached; `wandb sync` uploads the run "
            "later.",
            stacklevel=4,
        )
        return "offline"
    return "online"


def _check_reachable() -> None:
    """Raises UserError if W&B is asked for and cannot be reached, which it would try itself for a minute and a half."""
    try:
        address = _address()
    except NOT_LEGAL as error:
        raise UserError(f"W&B cannot be used ({_reason(error)}): give logger.mode=offline or logger=none.") from None
    if not _is_reachable(address):
        raise UserError(
            f"W&B cannot be used ({urlsplit(address).hostname} cannot be reached): give logger.mode=offline or "
            "logger=none."
        )


def _address() -> str:
    """Of W&B's server. Raises what NOT_LEGAL names if it cannot be one."""
    return str(wandb.setup().settings.base_url)


def _is_reachable(address: str) -> bool:
    """Whether somebody answers at W&B's address, or at the proxy through which it is reached."""
    server = urlsplit(address)
    if (proxy := getproxies().get(server.scheme)) and not proxy_bypass(server.hostname or ""):
        server = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = server.port or {"http": 80}.get(server.scheme, 443)
    try:
        socket.create_connection((server.hostname or "", port), timeout=REACHED_IN).close()
    except OSError:
        return False
    return True


def _reason(error: Exception) -> str:
    """What is wrong with a setting of W&B, on one line."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return " ".join(str(error).split())


@contextmanager
def media_in(run: wandb.Run) -> Iterator[None]:
    """To log tables in: their pictures are put aside until they are uploaded, here in the run's own folder.

    By default that is below the home folder, where nothing takes them away again after an offline run.
    """
    before = os.environ.get(DATA_DIR)
    os.environ[DATA_DIR] = str(Path(run.dir).resolve().parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ[DATA_DIR]
        else:
            os.environ[DATA_DIR] = before


def _last_id(folder: Path) -> str | None:
    """The id of the latest W&B run in a folder; W&B's own folders are called [offline-]run-<date>-<id>."""
    names = [path.parent.name.removeprefix("offline-") for path in folder.glob("wandb/*run-*/run-*.wandb")]
    return max(names).rpartition("-")[2] if names else None


def _surroundings() -> dict[str, Any]:
    """Versions of what did the work."""
    return {"versions": {name: version(name) for name in LIBRARIES}, "commit": _commit()}


def _commit() -> str | None:
    """The commit of sdcorr's own repository, `-dirty` if files were changed since; None if it was installed without."""
    package = Path(sdcorr.__file__)
    for command in (["ls-files", "--error-unmatch", package.name], ["describe", "--always", "--dirty", "--abbrev=40"]):
        try:
            answer = subprocess.run(["git", *command], cwd=package.parent, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if answer.returncode:
            return None
    return answer.stdout.strip()
