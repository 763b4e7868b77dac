"""Reading images, and making the square tensor that the diffusion model sees."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from sdcorr.errors import UserError


def to_rgb(image: Image.Image) -> Image.Image:
    """The stored pixels as RGB; EXIF rotation is left alone, as in the benchmarks' annotations."""
    return image.convert("RGB")


def as_seen(image: Image.Image) -> Image.Image:
    """A picture as one sees it, as RGB: upright as its EXIF says, transparent parts on white, 16 bits made 8.

    Raises:
        ValueError: if its pixels have no fixed range (32 bits, floats).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # which `convert` would clip at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    return image.convert("RGB")


def read_image(path: str | Path, look: Callable[[Image.Image], Image.Image] = to_rgb) -> Image.Image:
    """Read an image file completely, as RGB.

    Args:
        path: of the file.
        look: `to_rgb` for pixels as they are stored, `as_seen` for the picture as one sees it.

    Raises:
        UserError: if the file is missing, is no image, or is cut short.
    """
    try:
        with Image.open(path) as image:
            return look(image)
    except FileNotFoundError:
        raise UserError(f"There is no image {path}: check the path or the data set's root folder.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not an image: name the image file itself.") from None
    except UnidentifiedImageError:
        raise UserError(f"{path} is not an image that Pillow can read: replace the file.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"The image {path} is damaged ({error}): replace the file.") from error


def image_to_tensor(image: Image.Image, size: int) -> Tensor:
    """Squash an image to a square, as the released code does: the aspect ratio is lost.

    Args:
        image: an RGB image of any size.
        size: S, the side of the square in pixels.

    Returns:
        (3, S, S) float32 in [0, 1].
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))  # (S, S, 3)
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
