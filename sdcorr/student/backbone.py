"""The frozen vision network that a student stands on, as the configuration names it."""

from __future__ import annotations

from collections.abc import Sequence

from sdcorr.errors import UserError
from sdcorr.vision import Network, load_network


def frozen_network(
    network: str, revision: str | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Network:
    """The network, as it is used and never trained; its arguments are those of `sdcorr.vision.load_network`.

    Raises:
        UserError: if none is named, or it cannot be had.
    """
    if not network:
        raise UserError("Say student.network.network=...: a hub id, a folder, or package.module:callable.")
    return load_network(network, revision=revision, mean=mean, std=std).requires_grad_(False).eval()
