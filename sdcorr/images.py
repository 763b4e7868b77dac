"""Reading images, whatever they are, and making the square tensor that the diffusion model sees."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from sdcorr.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

GivenPicture: TypeAlias = str | Path | Image.Image | np.ndarray  # what `read_picture` takes
SIDEWAYS = (5, 6, 7, 8)  # what EXIF calls a picture that lies on its side
WHITE_IS_ZERO = 0  # a value of a TIFF's PhotometricInterpretation
# What Pillow reports as the transparent color of a PNG is in the file's own range, and its pixels are in 8 bits.
TRANSPARENT: dict[str, Callable[[int], int]] = {
    "I;16B": lambda value: value >> 8,
    "RGB;16B": lambda value: value >> 8,
    "L;2": lambda value: value * 85,
    "L;4": lambda value: value * 17,
}
# Pillow calls a photograph of more than 89 megapixels a possible attack, and refuses one of twice as many.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnknownRange(ValueError):
    """The numbers of a picture's pixels have no fixed range, so nobody knows which of them is white."""

    def __init__(self, mode: str) -> None:
        super().__init__(
            f"has pixels without a fixed range (mode {mode} of Pillow): save it with 8 bits, as PNG or JPEG"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """The stored pixels as RGB with 8 bits; EXIF rotation and transparency are left alone, as in benchmarks.

    Raises:
        UnknownRange: if its pixels are floats or whole numbers of 32 bits.
    """
    return _eight_bits(image).convert("RGB")


def as_seen(image: Image.Image) -> Image.Image:
    """A picture as one sees it, as RGB: upright as its EXIF says, transparent parts on white, 16 bits made 8.

    Of a picture that moves or has pages this is the one that is open, the first of a file.

    Raises:
        UnknownRange: if its pixels are floats or whole numbers of 32 bits.
    """
    seen = _eight_bits(image)
    if seen.has_transparency_data:
        seen = seen.convert("LA") if seen.mode == "La" else seen  # the only step that Pillow knows from there
        seen = seen.convert("RGBA")
        seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    seen = seen.convert("RGB")
    seen.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return ImageOps.exif_transpose(seen)


def read_image(path: str | os.PathLike[str], look: Callable[[Image.Image], Image.Image] = to_rgb) -> Image.Image:
    """Read an image file completely, as RGB.

    Args:
        path: of the file.
        look: `to_rgb` for pixels as they are stored, `as_seen` for the picture as one sees it.

    Raises:
        UserError: if the file is missing, is no image, is cut short, is too large, or has no fixed range.
    """
    with _complaints(f"The image {path}", Path(path)), Image.open(path) as image:
        return look(image)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(W, H) of an image file as it is stored, from its first bytes.

    Raises:
        UserError: if it is missing, no image or too large.
    """
    with _complaints(f"The image {path}", Path(path)), Image.open(path) as image:
        return image.size


def upright_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(W, H) of an image file as one sees it, turned as its EXIF says; from its first bytes where they say so.

    Raises:
        UserError: if it is missing, no image or too large.
    """
    with _complaints(f"The image {path}", Path(path)), Image.open(path) as image:
        size, is_tiff = image.size, image.format == "TIFF"  # which Pillow turns of its own accord
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
        except Exception:  # its pixels are damaged, which is told when they are read
            turned = False
        return (size[1], size[0]) if turned and not is_tiff else size


def read_picture(given: GivenPicture) -> Image.Image:
    """A user's picture, in whatever form, as one sees it.

    Args:
        given: the path of an image file; a PIL image of any mode; or an array (H, W), (H, W, 3) or (H, W, 4), gray,
            RGB (not OpenCV's BGR) or RGBA, of uint8, uint16 of which the full range is used, or floats from 0 to 1.

    Returns:
        RGB, of 8 bits: upright as its EXIF says, transparent parts on white.

    Raises:
        UserError: if it cannot be read, is none of these, or its numbers have no fixed range.
    """
    if isinstance(given, str | os.PathLike):
        return read_image(Path(given).expanduser(), as_seen)
    if not isinstance(given, Image.Image):
        return as_seen(_of_array(np.asarray(given)))
    with _complaints("The picture"):
        return as_seen(given)


def image_to_tensor(image: Image.Image, size: int) -> Tensor:
    """Squash an image to a square, as the released code does: the aspect ratio is lost.

    Args:
        image: an RGB image of any size.
        size: S, the side of the square in pixels.

    Returns:
        (3, S, S) float32 in [0, 1].

    Raises:
        UserError: if the image is not RGB.
    """
    if image.mode != "RGB":
        raise UserError(
            f"A picture of the mode {image.mode} is not RGB: give sdcorr.read_picture(picture) in its place."
        )
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return to_tensor(image)


def to_tensor(image: Image.Image) -> Tensor:
    """The pixels of an RGB image, (3, H, W) float32 in [0, 1]."""
    import torch  # not at the top: who reads a data set need not wait for it

    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))  # (H, W, 3)
    return pixels.permute(2, 0, 1).float().div_(255)


def check_points(points: np.ndarray, size: tuple[int, int], *, outside: bool = False) -> None:
    """Raises UserError if points are not (P, 2) finite numbers, x and y in pixels of an image of size (W, H).

    Args:
        points: that are given.
        size: (W, H).
        outside: let points lie outside the image.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise UserError(f"Points of shape {points.shape} are given: give (P, 2), the x and y of one point or more.")
    for number, (x, y) in enumerate(points.tolist(), start=1):
        if not np.isfinite((x, y)).all() or not (outside or (0 <= x <= size[0] and 0 <= y <= size[1])):
            raise UserError(
                f"Point {number}, ({x:g}, {y:g}), is not in the picture, which is {size[0]} x {size[1]} pixels: "
                f"give x from 0 to {size[0]} and y from 0 to {size[1]}."
            )


def picture_digest(pixels: Tensor) -> str:
    """16 hexadecimal digits that name a picture by its pixels, a CPU tensor of any shape."""
    return hashlib.blake2b(pixels.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def _eight_bits(image: Image.Image) -> Image.Image:
    """The stored pixels with 8 bits a channel; the upper 8 of 16, as Pillow itself does with colors."""
    raw_mode = _raw_mode(image)
    white_is_zero = getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")  # the latter scales to it
    if image.mode in ("I", "F") and not sixteen:
        raise UnknownRange(image.mode)
    image.load()
    eight = image
    if sixteen:
        gray = (np.asarray(image) >> (4 if raw_mode == "I;12" else 8)).astype(np.uint8)  # (H, W)
        eight = Image.fromarray(255 - gray if white_is_zero else gray)  # Pillow forgets to for 16 bits
    key = image.info.get("transparency")
    if raw_mode in TRANSPARENT and key is not None:
        scaled = TRANSPARENT[raw_mode]
        eight = eight.copy()
        eight.info["transparency"] = tuple(map(scaled, key)) if isinstance(key, tuple) else scaled(key)
    return eight


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, as far as Pillow tells; it does until they are read."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        return str(arguments[0])
    return ""


def _of_array(pixels: np.ndarray) -> Image.Image:
    """An array as an image with 8 bits in each channel."""
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (3, 4))) or not pixels.size:
        raise UserError(f"An array of shape {pixels.shape} is no picture: give (H, W), (H, W, 3) or (H, W, 4).")
    if pixels.dtype.kind == "f":
        if not ((pixels >= 0) & (pixels <= 1)).all():  # NaN fails too
            raise UserError("A picture of floats has values that are not from 0 to 1: divide it by its white.")
        pixels = (255 * pixels).round().astype(np.uint8)
    if pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise UserError(f"A picture of {pixels.dtype} has no fixed range: give uint8, uint16, or floats from 0 to 1.")
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, dtype=np.uint8))


@contextmanager
def _complaints(what: str, path: Path | None = None) -> Iterator[None]:
    """Turns everything that can go wrong with a picture into a `UserError`; `what` begins the sentence."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no image {path}: check the path or the data set's root folder.") from None
    except UnidentifiedImageError:
        empty = path is not None and path.stat().st_size == 0
        state = "is empty: copy it again" if empty else "is not an image that Pillow can read: save it as PNG or JPEG"
        raise UserError(f"{path} {state}.") from None
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(f"{what} has more than {most:,} pixels, the most that is read here: make it smaller.") from None
    except UnknownRange as error:
        raise UserError(f"{what} {error}.") from None
    except Exception as error:  # decoders answer torn and hostile bytes with errors of any type
        if path is not None and path.is_dir():
            raise UserError(f"{path} is a folder, not an image: name the image file itself.") from None
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{what} cannot be read ({error.strerror}): mend its permissions or its disk.") from error
        raise UserError(f"{what} is damaged ({error or type(error).__name__}): replace the file.") from error
