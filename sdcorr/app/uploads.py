"""Reading uploads: bytes from strangers become an upright RGB picture, or one sentence that says why not."""

from __future__ import annotations

import io
import re

from PIL import Image, UnidentifiedImageError

from sdcorr.app.refusal import Refusal
from sdcorr.images import UnknownRange, as_seen
from sdcorr.pictures import Picture, name_picture

MOST_BYTES = 20 * 2**20
MOST_PIXELS = 40_000_000
LEAST_SIDE = 8  # pixels; in a smaller picture no point can be clicked
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # the only decoders that see an upload
STILL = ("MPO",)  # further frames are no animation here: a phone's photograph with its preview
SHOWN_SIDE = 1600  # pixels of the longer side of the picture that the page shows
_LOSSLESS_SIDE = 512  # pixels of the longer side up to which the page gets a PNG


def read_upload(content: bytes, label: str = "picture") -> Picture:
    """Decode an upload. One that is too large is refused on its header, before any pixel is decoded.

    Args:
        content: the file.
        label: the file's name on the user's machine; never used as a path.

    Returns:
        The picture as it is seen: turned as its EXIF says, RGB, 8 bits.

    Raises:
        Refusal: if it is no picture of a known format, is damaged, is animated, or is too large or too small.
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
        raise Refusal(
            f"This picture is damaged ({_first_words(error)}): save it again or choose another.", 422
        ) from None


def shown(image: Image.Image) -> tuple[bytes, str]:
    """Encode a picture for the page, reduced if it is large: the file's content and its media type."""
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
    """Make the refusal of a file that is too large."""
    return Refusal(f"This file is larger than {MOST_BYTES // 2**20} MB: make it smaller and try again.", 413)


def tidy(label: str) -> str:
    r"""Clean a file's name, which is only ever written into a record: no folders, only printable letters, at most 100.

    >>> tidy("../../etc/pass\nwd.png")
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
        raise Refusal("This picture is animated or has several pages: give one with a single image.", 422)


def _too_many_pixels() -> Refusal:
    return Refusal(
        f"This picture has more than {MOST_PIXELS // 1_000_000} million pixels: make it smaller and try again.", 413
    )


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
