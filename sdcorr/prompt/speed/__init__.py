"""What makes the method fast, around a core that does not know of it.

`FastMatcher` does what `PromptMatcher` does, with a cache of latents, batches that fill the memory and stored
embeddings, which change no result, and with `crop_pool` and `plateau`, which do. `ReadOnceMatcher` is another method:
the core's module and objective on attention queries that are read once.
"""

from sdcorr.prompt.speed.fast import FastMatcher
from sdcorr.prompt.speed.read_once import ReadOnceMatcher, ReadOnceSettings

__all__ = ["FastMatcher", "ReadOnceMatcher", "ReadOnceSettings"]
