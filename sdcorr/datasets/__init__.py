"""Benchmarks of semantic correspondence, one file each, all as typed pairs in original pixels."""

from sdcorr.datasets.pair import (
    Benchmark,
    Box,
    Evidence,
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
    "Benchmark",
    "Box",
    "Evidence",
    "ImageReader",
    "Match",
    "Pair",
    "SourceUnit",
    "Target",
    "group_by_source",
    "scorable",
    "unit_name",
]
