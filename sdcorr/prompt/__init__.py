"""The method of the paper; read `method.py` first. What makes it fast is in `speed`, of which nothing here knows."""

from sdcorr.prompt.method import PromptMatcher
from sdcorr.prompt.settings import PromptSettings

__all__ = ["PromptMatcher", "PromptSettings"]
