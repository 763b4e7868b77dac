"""The digest of a picture, which every data set has: another picture, another digest."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sdcorr.datasets import Benchmark
from sdcorr.datasets.ap10k import AP10K
from sdcorr.datasets.cub import CUB
from sdcorr.datasets.folder import Folder
from sdcorr.datasets.pfpascal import MIRRORED, PFPascal
from sdcorr.datasets.pfwillow import PFWillow
from sdcorr.datasets.spair import SPair
from sdcorr.datasets.tss import TSS
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.toybox.dataset import Toybox
from tests.datasets import fixtures, trees

pytestmark = pytest.mark.filterwarnings("ignore")  # of totals


def ap10k(root: Path) -> Benchmark:
    animals = [trees.ap10k_animal(number, 1) for number in range(1, 4)]
    return AP10K(trees.ap10k_tree(root, animals, pictures=True))


def folder(root: Path) -> Benchmark:
    trees.write_csv(trees.own_folder(root), trees.FOLDER_HEADER + trees.FOLDER_ROWS)
    return Folder(root)


def pascal(root: Path) -> Benchmark:
    fixtures.write_csv(fixtures.pascal_tree(root) / "val_pairs.csv", fixtures.pascal_flip_rows())
    return PFPascal(str(root), "val")


def willow(root: Path) -> Benchmark:
    fixtures.willow_tree(root)
    return PFWillow(str(root))


MADE: dict[str, Callable[[Path], Benchmark]] = {
    "ap10k": ap10k,
    "cub": lambda root: CUB(trees.cub_tree(root)),
    "folder": folder,
    "pfpascal": pascal,
    "pfwillow": willow,
    "spair": lambda root: SPair(str(fixtures.spair_tree(root))),
    "tss": lambda root: TSS(trees.tss_tree(root)),
}


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_named_by_the_bytes_of_its_file(name: str, tmp_path: Path) -> None:
    benchmark = MADE[name](tmp_path)
    keys = {key for pair in benchmark.pairs for key in (pair.source, pair.target) if not key.endswith(MIRRORED)}
    before = {key: benchmark.digest(key) for key in keys}
    for key in keys:
        path = benchmark.path(key)
        content = path.read_bytes()
        assert before[key] == digest(content)
        path.write_bytes(content + b"\0")
        assert benchmark.digest(key) == digest(content + b"\0") != before[key]
        path.write_bytes(content)
    assert {key: benchmark.digest(key) for key in keys} == before
    benchmark.path(key).unlink()
    with pytest.raises(UserError, match=r"Cannot read .* \(No such file"):
        benchmark.digest(key)


def test_a_mirrored_picture_changes_with_the_one_it_is_made_of_and_is_another(tmp_path: Path) -> None:
    benchmark = pascal(tmp_path)
    mirrored = next(pair.source for pair in benchmark.pairs if pair.source.endswith(MIRRORED))
    plain = mirrored.removesuffix(MIRRORED)
    before = benchmark.digest(mirrored)
    assert len(before) == 16 and before != benchmark.digest(plain)
    benchmark.path(plain).write_bytes(benchmark.path(plain).read_bytes() + b"\0")
    assert benchmark.digest(mirrored) != before


def test_a_drawing_is_named_by_its_pixels() -> None:
    benchmark = Toybox("demo")
    keys = sorted({key for pair in benchmark.pairs for key in (pair.source, pair.target)})
    digests = [benchmark.digest(key) for key in keys]
    assert len(set(digests)) == len(keys) and digests == [Toybox("demo").digest(key) for key in keys]
    assert digests[0] == digest(benchmark.image(keys[0]).tobytes())


@pytest.mark.parametrize("name", MADE)
def test_a_picture_of_another_size_than_its_pairs_say_is_refused(name: str, tmp_path: Path) -> None:
    benchmark = MADE[name](tmp_path)
    pair = benchmark.pairs[0]
    assert benchmark.image(pair.source).size == pair.source_size
    Image.new("RGB", (7, 5)).save(benchmark.path(pair.source))
    with pytest.raises(UserError, match=r"7 x 5 pixels, and had|is 7 x 5 pixels and annotated as"):
        benchmark.image(pair.source)
