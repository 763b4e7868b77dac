"""PyArrow, which labels are read and written with, or one sentence about how to get it."""

from sdcorr.errors import UserError

try:
    import pyarrow
    from pyarrow import parquet
except ModuleNotFoundError:
    raise UserError("Labels are files of Parquet, which pyarrow writes: pip install 'sdcorr[labels]'.") from None

__all__ = ["parquet", "pyarrow"]
