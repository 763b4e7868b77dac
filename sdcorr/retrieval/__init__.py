"""Thousands of pictures indexed on disk, and searched for a point of another."""

from sdcorr.retrieval.folder import IndexFolder
from sdcorr.retrieval.index import Hit, PictureIndex
from sdcorr.retrieval.work import bring_up_to_date

__all__ = ["Hit", "IndexFolder", "PictureIndex", "bring_up_to_date"]
