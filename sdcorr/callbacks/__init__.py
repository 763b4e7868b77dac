"""Lightning callbacks."""

from sdcorr.callbacks.attention_maps import AttentionMapLogger

__all__ = ["AttentionMapLogger"]
