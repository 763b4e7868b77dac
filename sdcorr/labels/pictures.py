"""The pictures of a folder of labels, so that it can be used where the data set is not."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from sdcorr.datasets import Benchmark
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.parquet import parquet as pq
from sdcorr.parquet import pyarrow as pa

AT_ONCE = 256  # pictures in a file
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("png", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("category", pa.string()),
    ]
)


def write_pictures(benchmark: Benchmark, groups: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Writes the pictures of all groups as PNG, the pixels that the labels' points are in; those there are stay.

    Raises:
        UserError: if the folder cannot be written.
    """
    listed = [(category, key) for category, keys in groups.items() for key in keys]
    names = set()
    for start in range(0, len(listed), AT_ONCE):
        some = listed[start : start + AT_ONCE]
        named = digest("\n".join(f"{key}\t{benchmark.digest(key)}" for _, key in some))
        path = folder / "pictures" / f"part-{start // AT_ONCE:05}-{named[:8]}.parquet"
        names.add(path)
        if not path.exists():
            table = pa.Table.from_pylist([row for each in some if (row := _row(benchmark, *each))], schema=SCHEMA)
            write_whole(path, lambda temporary, table=table: pq.write_table(table, temporary, compression="none"))
    for path in (folder / "pictures").glob("part-*.parquet"):
        if path not in names:
            path.unlink()


def read_picture(png: bytes) -> Image.Image:
    """A picture of such a file, RGB."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def _row(benchmark: Benchmark, category: str, key: str) -> dict[str, object] | None:
    try:
        image = benchmark.image(key)
    except UserError:  # it has no labels either
        return None
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"key": key, "png": file.getvalue(), "width": image.width, "height": image.height, "category": category}
