"""W&B's service process, which a test process starts once and which later tests would meet."""

import os

import pytest
import wandb


def start_afresh(patch: pytest.MonkeyPatch) -> None:
    """Ends the service that earlier tests left and takes all of W&B's variables out of the environment.

    In this order: what `patch` takes out it puts back, and the address of a service that has ended meanwhile would send
    every later test of this process there.
    """
    wandb.teardown()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        patch.delenv(name)
