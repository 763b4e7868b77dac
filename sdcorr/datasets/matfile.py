"""Numeric matrices from MATLAB's level 5 MAT-files (versions 5 to 7.2), which PF-PASCAL's annotations are.

A file is a header of 128 bytes (version and byte order in the last four), then elements: a tag of type and length,
and data, padded to a multiple of 8 bytes. Up to 4 bytes of data are packed into the tag. A compressed element holds one
other element and is not padded. A matrix is made of further elements: flags, dimensions, name, values in column order.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sdcorr.errors import UserError

HEADER = 128
MATRIX, COMPRESSED = 14, 15  # types of elements
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # of numbers
NOTHING = (0, b"")  # where an element is missing: no number has type 0
NUMERIC = range(6, 16)  # classes of matrices: double, single, and the integers


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """The real numeric matrices of a MAT-file by name, as float64; anything else in it is passed over.

    Raises:
        UserError: if the file is missing, damaged or of another kind.
    """
    try:
        return _matrices(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"There is no {path}: unpack the data set's archive again.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): mend its permissions.") from error
    except (ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path} is not a whole MAT-file ({error}): unpack the data set's archive again.") from error


def _matrices(content: bytes) -> dict[str, np.ndarray]:
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
    if order is None or struct.unpack(f"{order}H", content[HEADER - 4 : HEADER - 2])[0] >> 8 != 1:
        raise ValueError("its header is not that of versions 5 to 7.2")
    found = {}
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            ((kind, data),) = _elements(zlib.decompress(data), order)
        if kind == MATRIX and (matrix := _matrix(data, order)):
            name, values = matrix
            found[name] = values
    return found


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The type and the data of one element after another."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if kind >> 16:  # packed: length and type share the first four bytes
            kind, length, start = kind & 0xFFFF, kind >> 16, at + 4
        end = start + length
        if end > len(data):
            raise ValueError("it is cut short")
        yield kind, data[start:end]
        at = end if kind == COMPRESSED else at + (end - at + 7) // 8 * 8


def _matrix(data: bytes, order: str) -> tuple[str, np.ndarray] | None:
    """Name and values of a matrix; None if it is not one of numbers."""
    parts = _elements(data, order)
    flags = _numbers(*next(parts, NOTHING), order)
    if not flags.size or int(flags[0]) & 0xFF not in NUMERIC:
        return None
    shape = _numbers(*next(parts, NOTHING), order).astype(int)
    name = next(parts, NOTHING)[1].decode("ascii")
    values = _numbers(*next(parts, NOTHING), order).astype(np.float64)
    return name, values.reshape(shape, order="F")


def _numbers(kind: int, data: bytes, order: str) -> np.ndarray:
    if kind not in TYPES:
        raise ValueError(f"numbers of the unknown type {kind}")
    return np.frombuffer(data, dtype=order + TYPES[kind])
