"""Benchmarks of semantic correspondence, one file each, all as typed pairs in original pixels."""

from sdcorr.datasets.base import (
    AttentionMaps,
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

__all__ = [
    "AttentionMaps",
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
