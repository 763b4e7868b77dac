"""Pictures from strangers: bytes in, an upright RGB picture out, or one sentence that says why not."""

from __future__ import annotations

import io
import re

from PIL import Image, UnidentifiedImageError

from sdcorr.app.refusal import Refusal
from sdcorr.cli.match_files import Picture, name_picture
from sdcorr.images import UnknownRange, as_seen

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 40_000_000
LEAST_SIDE = 8  # pixels; nothing can be pointed at in less
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # the decoders that strangers' bytes may reach
STILL = ("MPO",)  # formats whose further frames are no animation: a phone's photograph with its preview
SHOWN_SIDE = 1600  # pixels of the longer side of what the page shows
_LOSSLESS_SIDE = 512  # up to which it is shown without loss


def read_upload(content: bytes, label: str = "picture") -> Picture:
    """Decode an upload; what is too large is found out from its header, before its pixels are touched.

    Args:
        content: the file.
        label: what its owner calls it; never used as a path.

    Raises:
        Refusal: if it is no picture of a known format, is damaged, moves, or is too large or too small.
    """
    if len(content) > MOST_BYTES:
        raise too_many_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check(image)
            return name_picture(as_seen(image), tidy(label))
    except Refusal:
        raise
    except UnidentifiedImageError:
        raise Refusal("This file is not a picture that can be read here: give a JPEG, PNG or WebP.", 415) from None
    except Image.DecompressionBombError:
        raise _too_many_pixels() from None
    except UnknownRange as error:
        raise Refusal(f"This picture {error}.", 422) from None
    except Exception as error:  # decoders answer hostile bytes with errors of any type
        raise Refusal(f"This picture is damaged ({_first_words(error)}): save it anew or take another.", 422) from None


def shown(image: Image.Image) -> tuple[bytes, str]:
    """A picture as the page shows it, made smaller if it is large: the file's content and its media type."""
    small = image
    if max(image.size) > SHOWN_SIDE:
        small = image.copy()
        small.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if max(small.size) <= _LOSSLESS_SIDE:
        small.save(file, "PNG")
        return file.getvalue(), "image/png"
    small.save(file, "JPEG", quality=92)
    return file.getvalue(), "image/jpeg"


def too_many_bytes() -> Refusal:
    """What is said to a file that is too large."""
    return Refusal(f"This file is larger than {MOST_BYTES // 2**20} MB: make it smaller and try again.", 413)


def tidy(label: str) -> str:
    """A name that is only ever written into a record: no folders, nothing that cannot be printed, not long.

    >>> tidy("../../etc/pass\\nwd.png")
    'passwd.png'
    """
    name = re.split(r"[/\\]", label)[-1]
    return "".join(letter for letter in name if letter.isprintable()).strip()[:100] or "picture"


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _too_many_pixels()
    if min(width, height) < LEAST_SIDE:
        raise Refusal(f"This picture is {width} x {height} pixels: give one with sides of {LEAST_SIDE} or more.", 422)
    if getattr(image, "n_frames", 1) > 1 and image.format not in STILL:
        raise Refusal("This picture moves or has several pages: give a still one.", 422)


def _too_many_pixels() -> Refusal:
    return Refusal(
        f"This picture has more than {MOST_PIXELS // 1_000_000} million pixels: make it smaller and try again.", 413
    )


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
