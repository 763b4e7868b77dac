"""Benchmarks of semantic correspondence, one file each, all as typed pairs in original pixels."""

from sdcorr.datasets.base import (
    Benchmark,
    Box,
    Broken,
    ImageReader,
    Match,
    Pair,
    SourceUnit,
    Target,
    group_by_source,
    scorable,
    unit_name,
)
from sdcorr.datasets.seen import AttentionMaps, Ballot

__all__ = [
    "AttentionMaps",
    "Ballot",
    "Benchmark",
    "Box",
    "Broken",
    "ImageReader",
    "Match",
    "Pair",
    "SourceUnit",
    "Target",
    "group_by_source",
    "scorable",
    "unit_name",
]
