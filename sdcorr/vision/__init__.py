"""Frozen vision networks whose features are compared: transformers' models by name or folder, or a callable."""

from sdcorr.vision.network import Network, load_network

__all__ = ["Network", "load_network"]
