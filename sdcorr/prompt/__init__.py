"""The method: optimize a prompt embedding on a point, transfer it to another image, find the point there."""

from sdcorr.prompt.matcher import PromptMatcher
from sdcorr.prompt.settings import PromptSettings

__all__ = ["PromptMatcher", "PromptSettings"]
