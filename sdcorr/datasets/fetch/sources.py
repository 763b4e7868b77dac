"""Where each data set comes from, as data for `sdcorr.datasets.fetch.prepare`.

Sizes and checksums are quoted from secondary sources, so a difference is reported and does not stop anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GB = 10**9
DATA = Path("data")  # what configs/dataset says of every data set's root, and `prepare` of its own


@dataclass(frozen=True)
class Address:
    """One place on the network with one file."""

    url: str
    file: str  # its usual name
    size: int | None = None  # bytes, as quoted
    md5: str | None = None  # as quoted
    note: str = ""  # what is particular about this copy


@dataclass(frozen=True)
class Extra:
    """A file that some archives of a data set lack."""

    names: tuple[str, ...]  # under which it may be there already, in the data set's folder; a new one gets the first
    addresses: tuple[Address, ...]
    needed: bool = True  # whether the data set is of no use without it
    purpose: str = ""  # what it is for, if it is not needed

    def pick(self, given: Mapping[str, Address]) -> list[Address]:
        """Those of the given files, by their names, that are this one."""
        return [given[name] for name in self.names if name in given]


@dataclass(frozen=True)
class Source:
    """One data set: how to get it, and how to tell that it is there."""

    name: str  # dataset= on the command line
    title: str  # for people
    folder: str  # its name below the root, as the configuration expects it
    archives: tuple[Address, ...]  # the official one first
    holds: tuple[str, ...]  # paths in the data set's folder that tell it from anything else
    terms: str
    most: int  # bytes that may come out of its archive: several times what is known or likely
    extras: tuple[Extra, ...] = ()

    def is_in(self, folder: Path) -> bool:
        """Whether a folder holds this data set, extras apart."""
        return all((folder / path).exists() for path in self.holds)


def drive(key: str, file: str, note: str = "") -> Address:
    """A file of Google Drive, which is asked for by its id."""
    return Address(f"https://drive.google.com/uc?id={key}", file, note=note)


def _mirrors(url: str, size: int | None = None) -> tuple[Address, Address]:
    """An address that is reported with and without encryption: old servers lose one or the other."""
    file = url.rsplit("/", 1)[1]
    return Address(f"https://{url}", file, size), Address(f"http://{url}", file, size)


WILLOW = "www.di.ens.fr/willow/research"
VOC_TERMS = "research benchmark; the images are PASCAL VOC's, under the terms of Flickr"

SOURCES = {
    source.name: source
    for source in (
        Source(
            name="pfwillow",
            title="PF-Willow",
            folder="PF-WILLOW",
            archives=(
                *_mirrors(f"{WILLOW}/proposalflow/dataset/PF-dataset.zip"),
                drive("1tDP0y8RO5s45L-vqnortRaieiWENQco_", "PF-WILLOW.tar.gz", "copy of POSTECH, with its pair list"),
            ),
            holds=("car(G)", "duck(S)", "motorbike(M)", "winebottle(woC)"),
            terms="research use; cite Ham et al., Proposal Flow, CVPR 2016",
            most=2 * GB,
            extras=(
                Extra(
                    ("test_pairs_pf.csv", "test_pairs.csv"),
                    (
                        *_mirrors(f"{WILLOW}/cnngeometric/other_resources/test_pairs_pf.csv"),
                        Address("https://www.robots.ox.ac.uk/~xinghui/sd4match/test_pairs.csv", "test_pairs.csv"),
                    ),
                    needed=False,
                    purpose="the pairs are made of the .mat files instead, in the same order",
                ),
            ),
        ),
        Source(
            name="spair",
            title="SPair-71k",
            folder="SPair-71k",
            archives=(
                *_mirrors("cvlab.postech.ac.kr/research/SPair-71k/data/SPair-71k.tar.gz", 226_961_117),
                drive("1KSvB0k2zXA06ojWNvFjBv0Ake426Y76k", "SPair-71k.tar.gz", "copy of POSTECH, its current version"),
            ),
            holds=("Layout/large/test.txt", "PairAnnotation/test", "ImageAnnotation", "JPEGImages"),
            terms=VOC_TERMS,
            most=5 * GB,
        ),
        Source(
            name="spair_u",
            title="SPair-U",
            folder="SPair-U",
            archives=(
                Address(
                    "https://groups.inf.ed.ac.uk/hbilen-data/data/JamaisVuData/SPair-U.zip",
                    "SPair-U.zip",
                    note="annotations alone; its photographs are those of SPair-71k (sdcorr prepare spair)",
                ),
            ),
            holds=("PairAnnotation/test", "ImageAnnotation"),
            terms="no terms are stated; cite Mariotti et al., Jamais Vu, NeurIPS 2025",
            most=GB,
        ),
        Source(
            name="pfpascal",
            title="PF-PASCAL",
            folder="PF-PASCAL",
            archives=(
                *_mirrors(f"{WILLOW}/proposalflow/dataset/PF-dataset-PASCAL.zip"),
                drive("1OOwpGzJnTsFXYh-YffMQ9XKM_Kl_zdzg", "PF-PASCAL.tar.gz", "copy of POSTECH, with its pair lists"),
            ),
            holds=("JPEGImages", "Annotations"),
            terms=f"{VOC_TERMS}; cite Ham et al., Proposal Flow, TPAMI 2017",
            most=2 * GB,
            extras=(
                Extra(
                    ("test_pairs_pf_pascal.csv", "test_pairs.csv"),
                    _mirrors(f"{WILLOW}/cnngeometric/other_resources/test_pairs_pf_pascal.csv"),
                ),
                Extra(
                    ("val_pairs_pf_pascal.csv", "val_pairs.csv"),
                    _mirrors(f"{WILLOW}/cnngeometric/other_resources/val_pairs_pf_pascal.csv"),
                    needed=False,
                    purpose="only the validation split needs it",
                ),
                Extra(
                    ("train_pairs_pf_pascal.csv", "train_pairs.csv", "trn_pairs.csv"),
                    (drive("111tpXshLiJ4qudBHoGK3HbMSNr9vVRq9", "train_pairs_pf_pascal.csv"),),
                    needed=False,
                    purpose="only the training split needs it",
                ),
            ),
        ),
        Source(
            name="cub",
            title="CUB-200-2011",
            folder="CUB_200_2011",
            archives=(
                Address(
                    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                    "CUB_200_2011.tgz",
                    size=1_150_585_339,
                    md5="97eceeb196236b17998738112f37df78",
                ),
                drive("1hbzc_P1FuxMkcabkgn9ZKinBwW683j45", "CUB_200_2011.tgz", "copy used by ASIC"),
            ),
            holds=("images.txt", "bounding_boxes.txt", "train_test_split.txt", "parts/part_locs.txt", "images"),
            terms="non-commercial research and education; the images belong to their owners",
            most=10 * GB,
        ),
        Source(
            name="tss",
            title="TSS",
            folder="TSS_CVPR2016",
            archives=(
                Address(
                    "http://www.hci.iis.u-tokyo.ac.jp/datasets/data/JointCorrCoseg/TSS_CVPR2016.zip",
                    "TSS_CVPR2016.zip",
                ),
                drive("0B-VxeI7PlJE1U3FyTGVpbUFtcjg", "TSS_CVPR2016.zip", "the authors' copy"),
            ),
            holds=("FG3DCar", "JODS", "PASCAL"),
            terms="research use only; cite Taniai et al., CVPR 2016",
            most=10 * GB,
            extras=(
                Extra(
                    ("test_pairs_tss.csv", "test_pairs.csv"),
                    _mirrors(f"{WILLOW}/cnngeometric/other_resources/test_pairs_tss.csv"),
                    needed=False,
                    purpose="it says which pairs are mirrored",
                ),
            ),
        ),
        Source(
            name="ap10k",
            title="AP-10K",
            folder="ap-10k",
            archives=(drive("1-FNNGcdtAQRehYYkGY1y4wzFNg4iWNad", "ap-10k.zip", "copy used by GeoAware-SC"),),
            holds=("annotations/ap10k-test-split1.json", "data"),
            terms="CC BY 4.0, by what is said of it; cite Yu et al., AP-10K, NeurIPS 2021",
            most=30 * GB,
        ),
    )
}


def by_hand(source: Source) -> str:
    """What to do if no address works for programs, in lines."""
    lines = ["To do it by hand, save one of these with a browser:"]
    lines += [f"    {address.url}  {address.note or address.file}" for address in source.archives]
    for extra in source.extras:
        if extra.needed:
            lines.append(f"and, unless the archive has one, a pair list from one of these as {extra.names[0]}:")
            lines += [f"    {address.url}" for address in extra.addresses]
    return "\n".join([*lines, f"then run: sdcorr prepare {source.name} --from FILE [FILE]"])


def catalog(root: Path) -> str:
    """Every data set in a paragraph: its place below `root` and whether it is there, its terms, its addresses."""
    lines = []
    for source in SOURCES.values():
        folder = root / source.folder
        lines += [
            f"{source.name}: {folder}, {'ready' if source.is_in(folder) else 'not here yet'}",
            f"    {source.terms}",
        ]
        lines += [f"    {address.url}  {address.note}".rstrip() for address in source.archives]
    return "\n".join(lines)
