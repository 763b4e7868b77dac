"""What each data set says of points that the target does not show, by hand."""

import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from sdcorr.datasets.ap10k import AP10K
from sdcorr.datasets.cub import CUB
from sdcorr.datasets.folder import Folder
from sdcorr.datasets.inspect import card, digest
from sdcorr.datasets.opening import open_benchmark
from sdcorr.datasets.pfpascal import PFPascal
from sdcorr.datasets.spair import SPair
from sdcorr.datasets.spair_u import SPairU
from sdcorr.errors import UserError
from sdcorr.run.records import annotation_digest
from sdcorr.toybox.dataset import Toybox, drawing
from tests.datasets.fixtures import (
    SPAIR_LINES,
    SPAIR_SIZES,
    pascal_flip_rows,
    pascal_test_rows,
    pascal_tree,
    spair_note,
    spair_tree,
    write_csv,
)
from tests.datasets.trees import CUB_PARTS, ap10k_animal, ap10k_tree, cub_tree, own_folder
from tests.datasets.trees import write_csv as write_table

pytestmark = pytest.mark.filterwarnings("ignore:.*(lists|published|comparable)")
PLANE = SPAIR_LINES[0]


def alone(pair):
    """Names and places of the points that the source alone shows; nothing is known of them in the target."""
    assert np.isnan(pair.true_points[pair.is_hidden]).all()
    places = pair.query_points[pair.is_hidden].tolist()
    return dict(zip(np.array(pair.asked_names)[pair.is_hidden].tolist(), places, strict=True))


def visible(pair):
    return pair.source_points[pair.visible].tolist(), pair.target_points[pair.visible].tolist()


def image_annotations(root, line, shown):
    """ImageAnnotation of both pictures: which of the points 0 to 12 each shows, and the pair's own."""
    note = spair_note(line)
    for side, name in (("src", note["src_imname"]), ("trg", note["trg_imname"])):
        places = dict(zip(note["kps_ids"], note[f"{side}_kps"], strict=True))
        places |= {number: [int(number), 9] for number in shown[side]}
        path = root / "ImageAnnotation" / note["category"] / f"{name.removesuffix('.jpg')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"kps": {str(number): places.get(str(number)) for number in range(13)}}))


class TestSPair:
    @pytest.fixture
    def root(self, tmp_path):
        root = spair_tree(tmp_path / "SPair-71k", [PLANE])
        image_annotations(root, PLANE, {"src": ["3", "12"], "trg": ["5"]})
        return root

    def test_points_of_the_source_s_own_annotation_that_the_target_s_has_not(self, root):
        (before,), (pair,) = SPair(str(root)).pairs, SPair(str(root), ask="all").pairs
        assert alone(pair) == {"3": [3, 9], "12": [12, 9]}  # 5 is in the target alone
        assert visible(pair) == visible(before) and pair.names == (*before.names, "3", "12")
        assert before.hidden is None and pair.visible.tolist() == [True] * 3 + [False] * 2
        assert before.target_alone == pair.target_alone == ("5",)

    def test_without_the_annotations(self, root):
        (root / "ImageAnnotation/aeroplane/2008_004100.json").unlink()
        with pytest.raises(UserError, match="no annotation .*2008_004100.json"):
            SPair(str(root), ask="all")
        assert SPair(str(root)).pairs[0].target_alone is None  # which nobody knows then, and nothing else changes
        (root / "ImageAnnotation/aeroplane/2008_004100.json").write_text('{"kps": [1]}')
        with pytest.raises(UserError, match="2008_004100.json is damaged"):
            SPair(str(root), ask="all")
        (root / "ImageAnnotation").rename(root / "else")
        with pytest.raises(UserError, match="ask=all needs .*ImageAnnotation"):
            SPair(str(root), ask="all")
        assert SPair(str(root)).pairs[0].target_alone is None

    def test_spair_u_has_its_own(self, tmp_path):
        root = spair_tree(tmp_path / "SPair-U", [PLANE])
        image_annotations(root, PLANE, {"src": ["2"], "trg": []})
        (pair,) = SPairU(str(root), ask="all").pairs
        assert alone(pair) == {"2": [2, 9]} and set(SPAIR_SIZES) >= {"2008_002719"}


def test_ap10k_a_labeled_hidden_point_has_a_place_and_is_scored(tmp_path):
    animals = [ap10k_animal(1, 1), ap10k_animal(2, 1, seen=(0, 1, *[2] * 15))]
    root = ap10k_tree(tmp_path / "ap-10k", animals)
    (before,), (pair,) = AP10K(root).pairs, AP10K(root, ask="all").pairs
    assert list(alone(pair)) == ["left eye"]
    assert visible(pair) == visible(before) and pair.visible.sum() == 16
    assert pair.target_alone == ()


def test_ap10k_what_the_target_alone_shows(tmp_path):
    animals = [ap10k_animal(1, 1, seen=(0, 2, *[2] * 15)), ap10k_animal(2, 1, seen=(1, 0, *[2] * 15))]
    (pair,) = AP10K(ap10k_tree(tmp_path / "ap-10k", animals)).pairs
    assert pair.target_alone == ("left eye",)


def test_cub(tmp_path):
    pairs = {pair.id: pair for pair in CUB(cub_tree(tmp_path / "CUB_200_2011"), ask="all").pairs}
    assert alone(pairs["1-3"]) == {"beak": [12, 11]}  # image 3 lacks it
    assert alone(pairs["1-4"]) == {} and pairs["1-4"].hidden is not None
    assert alone(pairs["3-4"]) == {}  # the source does not show it either
    assert set(alone(pairs["5-6"])) == {*CUB_PARTS} - {"tail"}


@pytest.mark.parametrize(
    "rows, name", [(pascal_test_rows(), "test_pairs.csv"), (pascal_flip_rows([0]), "val_pairs.csv")]
)
def test_pfpascal_by_the_annotations(tmp_path, rows, name):
    write_csv(pascal_tree(tmp_path / "PF-PASCAL") / name, rows)
    root, split = str(tmp_path / "PF-PASCAL"), name.partition("_")[0]
    before, pairs = PFPascal(root, split).pairs, PFPascal(root, split, ask="all").pairs
    assert [alone(pair) for pair in pairs] == [{"3": [280, 190]}, {}]
    assert [visible(pair) for pair in pairs] == [visible(pair) for pair in before]
    assert pairs[0].asked_names == ("0", "2", "3")


def test_pfpascal_without_annotations(tmp_path):
    tree = pascal_tree(tmp_path / "PF-PASCAL")
    write_csv(tree / "test_pairs.csv", pascal_test_rows())
    (tree / "Annotations").rename(tree / "else")
    with pytest.raises(UserError, match="ask=all needs .*Annotations"):
        PFPascal(str(tree), ask="all")


def test_a_folder_s_empty_places_are_unknown_or_hidden_as_it_was_asked(tmp_path):
    rows = [
        "source,target,x,y,target_x,target_y,visible",
        *(f"a.png,sub/b.png,{row}" for row in ("1,2,3,4,", "5,6,,,", "7,8,,,0")),
    ]
    write_table(own_folder(tmp_path), "\n".join(rows))
    (unknown,), (hidden,) = Folder(tmp_path).pairs, Folder(tmp_path, ask="all").pairs
    assert unknown.has_truth.tolist() == hidden.has_truth.tolist() == [True, False]
    assert unknown.is_hidden.tolist() == [False, False] and alone(hidden) == {"2": [5, 6]}
    assert hidden.asked.tolist() == [True, True, False]


def test_the_toybox_knows_what_its_drawings_hide():
    before, pairs = Toybox("demo").pairs, Toybox("demo", "all").pairs
    assert sum(len(alone(pair)) for pair in pairs) == 3
    for pair, old in zip(pairs, before, strict=True):
        source, target = drawing(pair.source), drawing(pair.target)
        assert pair.hidden.tolist() == (source.visible & ~target.visible).tolist()
        assert visible(pair) == visible(old) and pair.names == old.names


class TestWhatFollows:
    def test_another_digest_where_hidden_points_are_asked_for(self):
        before, pairs = Toybox("demo").pairs, Toybox("demo", "all").pairs
        assert all(annotation_digest(a) != annotation_digest(b) for a, b in zip(before, pairs, strict=True))
        assert digest(before) != digest(pairs)

    def test_the_card_counts_them(self):
        assert "points hidden in the target       3\n" in card(Toybox("demo", "all"))
        assert "hidden" not in card(Toybox("demo"))

    @pytest.mark.parametrize(
        "settings, words",
        [
            ({"_target_": "sdcorr.datasets.tss.TSS", "ask": "all"}, "TSS does not say which points its targets hide"),
            ({"_target_": "sdcorr.datasets.tss.TSS", "ask": "some"}, "no dataset.ask=some: choose visible or all"),
            ({"_target_": "sdcorr.toybox.dataset.Toybox", "ask": "al"}, "no dataset.ask=al: choose visible or all"),
        ],
    )
    def test_mistakes(self, settings, words):
        with pytest.raises(UserError, match=words):
            open_benchmark(OmegaConf.create(settings))
