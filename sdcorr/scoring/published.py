"""Published PCKs, and which of them may stand beside ours: those of the same data, protocol and average.

The numbers are percent as their authors printed them. How surely each is known is part of its row (STATUS): most of
those of 2023 and later could not be checked against their paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sdcorr.scoring.pck import AVERAGES, pck_name
from sdcorr.scoring.summary import Summary

STATUS = {  # how surely a number is known
    "V": "",  # read in what its authors published
    "V2": "second hand",  # quoted by somebody else
    "Vi": "implied",  # follows from a sentence of its authors
    "M": "unverified",
}
TEST_PAIRS = {"spair": 12_234, "pfwillow": 900, "pfpascal": 299, "cub": 1_248}  # pairs that the papers averaged over
AVERAGE_NAMES = {name: name.replace("_", " ") for name in AVERAGES} | {"": "average not stated"}


@dataclass(frozen=True)
class Published:
    """One published result."""

    method: str
    dataset: str
    values: Mapping[float, float]  # threshold -> percent
    average: str  # as in a summary's names: per_point, per_image/category/JODS, ...; "" if it is not stated
    protocol: str  # a name in PROTOCOLS, or what it is in words; "" if it is not stated
    supervision: str  # none, weak: pairs or viewpoints of images, strong: annotated key-points
    status: str  # see STATUS
    source: str


def comparable(row: Published, summary: Summary) -> bool:
    """Whether a published result may stand beside ours."""
    return not lacks(summary) and not differences(row, summary)


def lacks(summary: Summary) -> list[str]:
    """What of ours forbids any comparison: the split, or pairs that are not there."""
    found = [] if summary["split"] == "test" else [f"ours is on {summary['split']}"]
    whole = TEST_PAIRS.get(str(summary["dataset"]), summary["pairs"])
    return found if summary["pairs"] == whole else [*found, f"ours has {summary['pairs']:,} of {whole:,} pairs"]


def differences(row: Published, summary: Summary) -> list[str]:
    """What of a published result on the same data set forbids to compare it with ours; empty if nothing does."""
    found = [] if row.protocol == summary["protocol"] else [f"protocol {row.protocol or 'not stated'}"]
    if not row.average:
        found.append(AVERAGE_NAMES[""])
    elif not any(f"{pck_name(alpha)}/{row.average}" in summary for alpha in row.values):
        found.append("no threshold in common")
    return found


def beside(summaries: Sequence[Summary]) -> tuple[list[tuple[Summary, list[Published]]], list[tuple[Published, str]]]:
    """Sorts the published results on the data set of some summaries of one run.

    Args:
        summaries: of one run, each under another protocol.

    Returns:
        Each summary that has any with its comparable results, and the results that no summary may be compared with,
        each with what differs, but for what `lacks` says.
    """
    mine = [row for row in PUBLISHED if row.dataset == summaries[0]["dataset"]]
    with_theirs = [(summary, [row for row in mine if comparable(row, summary)]) for summary in summaries]
    others = [row for row in mine if not any(comparable(row, summary) for summary in summaries)]
    reasons = [min((differences(row, summary) for summary in summaries), key=len) for row in others]
    return (
        [(summary, rows) for summary, rows in with_theirs if rows],
        [(row, "; ".join(reason)) for row, reason in zip(others, reasons, strict=True)],
    )


def average_name(average: str) -> str:
    """An average in words.

    >>> average_name("per_image/category/JODS"), average_name("")
    ('per image, JODS', 'average not stated')
    """
    name, _, category = average.partition("/category/")
    return AVERAGE_NAMES[name] + (f", {category}" if category else "")


def _rows(dataset: str, supervision: str, *rows: tuple) -> Iterator[Published]:
    """Rows of one data set and kind: method, values, average, protocol, status, source."""
    for method, values, average, protocol, status, source in rows:
        yield Published(method, dataset, values, average, protocol, supervision, status, source)


def _tss(method: str, values: Sequence[float], together: str, protocol: str, status: str, source: str) -> list[tuple]:
    """The three subsets of TSS, and all of it if that is given."""
    averages = [*(f"per_image/category/{subset}" for subset in ("FG3DCar", "JODS", "PASCAL")), together]
    return [
        (method, {0.05: value}, average, protocol, status, source)
        for value, average in zip(values, averages, strict=False)
    ]


_ACSM = "asic, on ACSM's own list of images"
_DHPF = "a square of 240 pixels, target box"
_TRUE_BOX = "a square of 256 or 512 pixels, true key-point box"
_PADDED_240 = "a square of 240 pixels, padding inside the key-point box"
_FLIP = "geoaware with flipped sources at test time"
_TSS_LIST = "pairs flipped as the list of pairs says"
_TSS_TRY = "both flips tried at test time"
_PASCAL_240 = "a square of 240 pixels, image"
_PASCAL_224 = "a square of 224 pixels, image"

PUBLISHED: tuple[Published, ...] = (
    *_rows(
        "spair",
        "none",
        ("Hedlin et al.", {0.05: 28.9, 0.1: 45.4}, "per_image", "hedlin", "M", "paper"),
        ("HPF res101", {0.1: 28.2}, "per_image", "hpf", "V", "README"),
        ("DINO NN (ViT-S/8)", {0.1: 33.3}, "per_point", "asic", "M", "ASIC paper"),
        ("DINO+MLS", {0.1: 31.1}, "per_point", "asic", "M", "ASIC paper"),
        ("Neural Congealing", {0.1: 34.7}, "per_point", "", "M", "paper"),
        ("ASIC (paper)", {0.1: 36.9}, "per_point", "asic", "V2", "Shape-of-You's notes"),
        ("ASIC (released)", {0.1: 36.5}, "per_point", "asic", "V", "README, +-1.06"),
        ("DIFT adm", {0.1: 52.0}, "per_point", "dift", "M", "paper"),
        ("DIFT sd 2.1", {0.1: 59.5}, "per_point", "dift", "M", "paper"),
        ("DIFT sd 2.1", {0.01: 7.2, 0.05: 39.7, 0.1: 52.9}, "per_image", "geoaware", "M", "GeoAware-SC paper"),
        ("DINOv2-B/14 NN", {0.01: 6.3, 0.05: 38.4, 0.1: 53.9}, "per_image", "geoaware", "M", "GeoAware-SC paper"),
        ("DINOv2-B/14 NN", {0.1: 55.6}, "per_point", "", "M", "sd-dino paper"),
        ("DINOv2-B/14 NN", {0.1: 55.7}, "per_point", "", "V2", "Shape-of-You's notes"),
        ("SD+DINO", {0.1: 59.9}, "per_image", "geoaware", "Vi", "GeoAware-SC abstract"),
        ("SD+DINO", {0.01: 7.9, 0.05: 44.7}, "per_image", "geoaware", "M", "GeoAware-SC paper"),
        ("SD+DINO", {0.1: 64.0}, "hybrid", "sd_dino", "M", "paper"),
        ("SD+DINO", {0.05: 48.3, 0.1: 63.5}, "per_point", "", "V2", "Shape-of-You's notes"),
        ("GeoAware-SC zero-shot", {0.1: 65.4}, "per_image", _FLIP, "V", "abstract"),
        ("GeoAware-SC zero-shot", {0.01: 9.9, 0.05: 49.1}, "per_image", _FLIP, "M", "paper"),
        ("CleanDIFT + DIFT", {0.1: 61.4}, "per_point", "", "M", "paper"),
        ("CleanDIFT + SD+DINO", {0.1: 64.8}, "per_point", "", "M", "paper"),
        ("CleanDIFT + GeoAware-SC", {0.1: 70.0}, "per_point", "", "M", "paper"),
        ("DistillDIFT", {0.1: 65.1}, "per_point", "distilldift_released", "V", "issue 3 of its code"),
        ("DistillDIFT", {0.05: 42.7}, "per_point", "", "V2", "Shape-of-You's notes"),
        (
            "DistillDIFT",
            {0.1: 59.8},
            "per_point",
            "distilldift_released, the box times the smaller factor",
            "V",
            "issue 3 of its code",
        ),
        ("Shape-of-You", {0.05: 50.8, 0.1: 67.9}, "", "", "V2", "notes on arXiv 2603.11618"),
    ),
    *_rows(
        "spair",
        "weak",
        ("WarpC-SemanticGLU-Net", {0.1: 23.8}, "per_image", "", "V", "DenseMatching README"),
        ("DHPF weak res101", {0.1: 27.7}, "per_image", _DHPF, "V", "README"),
        ("NC-Net", {0.1: 20.1}, "per_image", "", "M", "paper"),
        ("PMD", {0.1: 26.5}, "per_image", "", "M", "paper"),
        ("PSCNet", {0.1: 27.0}, "per_image", "", "M", "paper"),
        ("DIY-SC", {0.1: 71.6}, "per_point", "", "M", "paper"),
    ),
    *_rows(
        "spair",
        "strong",
        ("DHPF res101", {0.1: 37.3}, "per_image", _DHPF, "V", "README"),
        ("PMNC", {0.1: 50.4}, "per_image", "", "M", "paper"),
        ("CATs", {0.1: 49.9}, "per_image", "cats_bbox", "V", "README"),
        ("CATs, frozen backbone", {0.1: 42.4}, "per_image", "cats_bbox", "V", "README"),
        ("TransforMatcher", {0.1: 53.7}, "per_image", "", "M", "paper"),
        ("SCorrSAN", {0.1: 55.3}, "per_image", "cats_bbox", "V", "README"),
        ("CATs++", {0.1: 59.9}, "per_image", "cats_bbox", "M", "paper"),
        ("Diffusion Hyperfeatures", {0.1: 64.6}, "", "its own 360 pairs", "M", "paper"),
        ("SD+DINO, supervised head", {0.1: 74.6}, "per_image", "geoaware", "Vi", "GeoAware-SC abstract"),
        ("SD4Match", {0.1: 75.5}, "per_image", "", "M", "paper"),
        ("GeoAware-SC", {0.1: 85.6}, "per_image", "geoaware", "V", "abstract, README"),
        ("GeoAware-SC, run again", {0.01: 21.7, 0.1: 83.2}, "", "", "V2", "MARCO"),
        ("DINOv2, unified benchmarking", {0.1: 85.1}, "", "", "V", "README, arXiv 2505.18060"),
        ("SimpleMatch", {0.1: 84.2}, "", "", "V2", "2026"),
        ("SemAlign3D", {0.1: 88.9}, "", "", "V2", "2025"),
        ("MARCO", {0.1: 87.2}, "", "", "V", "README"),
        ("MARCO, with AP-10K", {0.1: 87.3}, "", "", "V", "README"),
    ),
    *_rows(
        "pfwillow",
        "none",
        ("Hedlin et al.", {0.05: 53.0, 0.1: 84.3}, "per_image", "hedlin", "M", "paper"),
        ("HPF res101", {0.1: 74.4}, "per_image", "hpf", "V", "README"),
        ("SCOT res101", {0.05: 48.0, 0.1: 76.2, 0.15: 87.1}, "per_image", "", "V", "README; probably that of HPF"),
        ("DIFT sd 2.1", {0.05: 58.1, 0.1: 81.2}, "", "", "M", "weak"),
        ("DIFT adm", {0.05: 54.0}, "", "", "M", "weak"),
    ),
    *_rows(
        "pfwillow",
        "weak",
        ("WeakAlign", {0.1: 71.2}, "per_image", "standard", "V", "README"),
        ("Arbicon-Net", {0.1: 72.2}, "per_image", "standard", "V", "README"),
        ("SemanticGLU-Net", {0.05: 36.4, 0.1: 63.8}, "per_image", "standard", "V", "DenseMatching README"),
        ("WarpC-SemanticGLU-Net", {0.05: 49.0, 0.1: 75.1}, "per_image", "standard", "V", "DenseMatching README"),
    ),
    *_rows(
        "pfwillow",
        "strong",
        ("DHPF", {0.05: 49.5, 0.1: 77.6, 0.15: 89.1}, "per_image", _PADDED_240, "M", "paper; about 10 less if mended"),
        ("CATs", {0.05: 50.3, 0.1: 79.2, 0.15: 90.3}, "per_image", "cats_bbox", "M", "paper"),
        ("CATs", {0.05: 40.7, 0.1: 69.0}, "per_image", _TRUE_BOX, "M", "CATs++ paper"),
        ("SCorrSAN", {0.05: 54.1, 0.1: 80.0, 0.15: 89.8}, "per_image", "cats_bbox", "V", "README"),
        ("CATs++", {0.05: 56.7, 0.1: 81.2}, "per_image", "cats_bbox", "M", "paper"),
        ("CATs++", {0.05: 47.0, 0.1: 72.6}, "per_image", _TRUE_BOX, "M", "paper"),
    ),
    *_rows(
        "cub",
        "none",
        ("Hedlin et al.", {0.05: 61.6, 0.1: 77.5}, "per_image", "hedlin", "M", "paper"),
        ("ASIC", {0.05: 57.9, 0.1: 75.9}, "per_point", _ACSM, "M", "paper"),
        ("DINO NN", {0.05: 52.8, 0.1: 68.3}, "per_point", _ACSM, "M", "ASIC paper"),
        ("DINO+MLS", {0.05: 52.0, 0.1: 67.0}, "per_point", _ACSM, "M", "ASIC paper"),
        ("Neural Congealing", {0.1: 64.7}, "per_point", _ACSM, "M", "ASIC paper, weak"),
        ("GANgealing", {0.1: 56.8}, "per_point", _ACSM, "M", "ASIC paper, weak"),
        ("DIFT sd 2.1", {0.1: 83.5}, "", "its code is not published", "M", "paper, weak"),
    ),
    *_rows(
        "pfpascal",
        "none",
        ("HPF res50", {0.1: 83.4}, "per_image", "hpf", "V", "README"),
        ("HPF res101", {0.1: 84.8}, "per_image", "hpf", "V", "README"),
        ("HPF fcn101", {0.1: 88.3}, "per_image", "hpf", "V", "README"),
        ("SD+DINO zero-shot", {0.05: 73.0, 0.1: 86.1, 0.15: 91.1}, "", "", "M", "paper"),
        ("GeoAware-SC zero-shot", {0.05: 74.0, 0.1: 86.2, 0.15: 90.7}, "", "", "M", "paper, weak"),
    ),
    *_rows(
        "pfpascal",
        "weak",
        ("DHPF weak res101", {0.1: 82.1}, "per_image", _PASCAL_240, "V", "README"),
        ("WeakAlign", {0.1: 75.8}, "per_image", _PASCAL_224, "V", "README"),
        ("Arbicon-Net", {0.1: 77.3}, "per_image", _PASCAL_224, "V", "README"),
        ("NC-Net", {0.05: 54.3, 0.1: 78.9, 0.15: 86.0}, "per_image", _PASCAL_224, "M", "paper"),
        ("WarpC-SemanticGLU-Net", {0.05: 62.1, 0.1: 81.7}, "per_image", "", "V", "DenseMatching README"),
    ),
    *_rows(
        "pfpascal",
        "strong",
        ("DHPF res101", {0.1: 90.7}, "per_image", _PASCAL_240, "V", "README"),
        ("CATs", {0.05: 75.4, 0.1: 92.6, 0.15: 96.4}, "per_image", "cats_bbox", "V", "README"),
        ("CATs, frozen backbone", {0.05: 67.5, 0.1: 89.1, 0.15: 94.9}, "per_image", "cats_bbox", "V", "README"),
        ("SCorrSAN", {0.05: 81.5, 0.1: 93.3, 0.15: 96.6}, "per_image", "cats_bbox", "V", "README"),
        ("CATs++", {0.05: 84.9, 0.1: 93.8, 0.15: 96.8}, "per_image", "cats_bbox", "M", "paper"),
        ("GeoAware-SC", {0.05: 85.4, 0.1: 95.5}, "", "", "M", "paper, weak"),
    ),
    *_rows(
        "tss",
        "weak",
        *_tss("WeakAlign", (90.3, 76.4, 56.5), "", _TSS_LIST, "V", "README"),
        *_tss("Arbicon-Net", (92.5, 76.5, 58.5), "", _TSS_LIST, "V", "README"),
        *_tss("SemanticGLU-Net", (94.4, 75.5, 78.3, 82.8), "category_per_image", _TSS_TRY, "V", "README"),
        *_tss("GLU-Net-GOCor", (94.6, 77.9, 77.7, 83.4), "category_per_image", _TSS_TRY, "V", "README"),
        *_tss("WarpC-SemanticGLU-Net", (97.1, 84.7, 79.7, 87.2), "category_per_image", _TSS_TRY, "V", "README"),
    ),
    *_rows(
        "tss",
        "none",
        *_tss("SD+DINO", (94.3, 73.2, 60.9, 79.7), "per_image", "its own: rows up to a patch lower", "M", "paper"),
    ),
    *_rows(
        "ap10k",
        "none",
        ("Shape-of-You, within species", {0.1: 68.0}, "", "", "V2", "notes on arXiv 2603.11618"),
        ("Shape-of-You, across species", {0.1: 65.8}, "", "", "V2", "notes on arXiv 2603.11618"),
    ),
    *_rows(
        "ap10k",
        "strong",
        ("DINOv2, unified benchmarking", {0.1: 87.4}, "", "", "V", "README, arXiv 2505.18060"),
    ),
)
