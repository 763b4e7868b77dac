"""Lightning callbacks."""

from sdcorr.callbacks.attention_maps import AttentionMapLogger
from sdcorr.callbacks.student_matches import StudentMatchLogger

__all__ = ["AttentionMapLogger", "StudentMatchLogger"]
