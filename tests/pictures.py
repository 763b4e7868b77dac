"""Files of pictures that Pillow reads and cannot write: PNG and TIFF with any depth, made by hand."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GRAY, RGB, PALETTE, GRAY_ALPHA = 0, 2, 3, 4  # PNG's types of color
GRAYS = np.array([[0, 1, 100, 200], [254, 255, 17, 128]], dtype=np.uint8)  # (2, 4) an 8-bit picture
COLORS = np.stack([GRAYS, GRAYS[::-1], GRAYS[:, ::-1]], axis=-1)  # (2, 4, 3)
FULL, BYTES = 257, 256  # what 8 bits are multiplied with to make them 16: all of the range, or a shift
WHITE = (255, 255, 255)


def png(size: tuple[int, int], depth: int, color: int, rows: Sequence[bytes], **chunks: bytes) -> bytes:
    """A PNG file.

    Args:
        size: (W, H).
        depth: bits of a number.
        color: one of the types above.
        rows: the packed numbers of each row.
        chunks: more chunks by their names, which come before the pixels; `after_eXIf` comes after them.
    """

    def chunk(name: str, data: bytes) -> bytes:
        content = name.encode() + data
        return struct.pack(">I", len(data)) + content + struct.pack(">I", zlib.crc32(content))

    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    before = [chunk(name, data) for name, data in chunks.items() if not name.startswith("after_")]
    after = [chunk(name.removeprefix("after_"), data) for name, data in chunks.items() if name.startswith("after_")]
    header = chunk("IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    parts = [header, *before, chunk("IDAT", pixels), *after, chunk("IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(
    size: tuple[int, int],
    depth: int,
    pixels: bytes,
    *,
    order: str = "<",
    samples: int = 1,
    photometric: int = 1,
    sample_format: int = 1,
) -> bytes:
    """A TIFF file of one strip without compression.

    Args:
        size: (W, H).
        depth: bits of a number.
        pixels: the packed numbers.
        order: of bytes, "<" or ">".
        samples: numbers of a pixel.
        photometric: 0 if zero is white, 1 if it is black, 2 for RGB.
        sample_format: 1 for whole numbers, 2 with a sign, 3 for floats.
    """
    short, long = 3, 4
    tags = [
        *((256, long, [size[0]]), (257, long, [size[1]]), (258, short, [depth] * samples), (259, short, [1])),
        *((262, short, [photometric]), (273, long, [0]), (277, short, [samples]), (278, long, [size[1]])),
        *((279, long, [len(pixels)]), (339, short, [sample_format] * samples)),
    ]
    start = 8 + 2 + 12 * len(tags) + 4  # of what does not fit into an entry
    beside = sum(2 * len(values) for _, _, values in tags if len(values) > 2)
    entries, extra = b"", b""
    for tag, kind, values in tags:
        values = [start + beside] if tag == 273 else values
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == short else 'I'}", *values)
        entries += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(packed) > 4:
            entries += struct.pack(f"{order}I", start + len(extra))
            extra += packed
        else:
            entries += packed.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(tags))
    return header + entries + struct.pack(f"{order}I", 0) + extra + pixels


def written(path: Path, content: bytes) -> Path:
    """A file of that content."""
    path.write_bytes(content)
    return path
