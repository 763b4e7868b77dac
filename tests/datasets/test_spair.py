import gc
import json
import os
import shutil
import warnings

import numpy as np
import pytest

from sdcorr.datasets import spair
from sdcorr.datasets.inspect import digest
from sdcorr.datasets.spair import SPair
from sdcorr.errors import UserError
from sdcorr.run.records import pair_to_json
from tests.datasets.fixtures import SPAIR_LINES, evaluate, save_image, spair_file, spair_note, spair_tree
from tests.golden.released import FOLDER as GOLDEN

pytestmark = pytest.mark.filterwarnings("ignore:SPair-71k lists")
PLANE, BACK, MONITOR = SPAIR_LINES


@pytest.fixture
def root(tmp_path):
    return spair_tree(tmp_path / "SPair-71k")


def rewrite(root, line, **changes):
    spair_file(root, line).write_text(json.dumps(spair_note(line, **changes)))


class TestTheRealExample:
    def test_every_number_as_it_is_written(self, root):
        pair = SPair(str(root)).pairs[0]
        assert (pair.id, pair.category) == (PLANE, "aeroplane")
        assert (pair.source, pair.target) == ("aeroplane/2008_002719", "aeroplane/2008_004100")
        assert (pair.source_size, pair.target_size) == ((500, 333), (500, 332))  # [W, H, channels]
        assert pair.source_points.tolist() == [[212, 153], [300, 130], [330, 127]]
        assert pair.target_points.tolist() == [[39, 145], [364, 171], [416, 173]]
        assert (pair.source_box, pair.target_box) == ((210, 34, 475, 250), (36, 92, 500, 200))
        assert pair.names == ("0", "7", "11") and pair.visible.all() and pair.ambiguous is None

    def test_flags_are_words(self, root):
        assert SPair(str(root)).pairs[0].flags == {
            "viewpoint_variation": "easy",
            "scale_variation": "easy",
            "truncation": "target",
            "occlusion": "target",
            "mirror": "no",
            "source_pose": "Left",
            "target_pose": "Left",
        }

    def test_images(self, root):
        found = SPair(str(root))
        assert found.image("aeroplane/2008_004100").size == (500, 332)
        assert np.array(found.image("aeroplane/2008_004100")).any()


class TestTheTree:
    def test_a_photograph_of_two_categories_is_two_images(self, root):
        found = SPair(str(root))
        assert [pair.source for pair in found.pairs] == [
            "aeroplane/2008_002719",
            "aeroplane/2008_004100",
            "tvmonitor/2008_002719",
        ]
        assert (found.name, found.split, found.broken) == ("spair", "test", ())

    def test_the_folder_round_it_will_do(self, root):
        assert len(SPair(str(root.parent)).pairs) == 3

    def test_splits_and_sizes(self, root):
        spair_tree(root, [BACK], split="val")
        spair_tree(root, [MONITOR], split="trn", size="small")
        assert [pair.id for pair in SPair(str(root), "val").pairs] == [BACK]
        assert [pair.id for pair in SPair(str(root), "trn", "small").pairs] == [MONITOR]

    @pytest.mark.parametrize("categories, kept", [("tvmonitor", [2]), (["aeroplane"], [0, 1]), ([], [0, 1, 2])])
    def test_categories(self, root, categories, kept):
        assert [pair.id for pair in SPair(str(root), categories=categories).pairs] == [SPAIR_LINES[i] for i in kept]

    @pytest.mark.parametrize("colon", ["_", "%3A", "%3a", "\uf03a"])
    def test_files_whose_colon_was_replaced(self, tmp_path, root, colon):
        other = spair_tree(tmp_path / "other", colon=colon)
        assert [pair_to_json(pair) for pair in SPair(str(other)).pairs] == [
            pair_to_json(pair) for pair in SPair(str(root)).pairs
        ]

    @pytest.mark.parametrize("colon", ["_", "%3A", "%3a", "\uf03a"])
    @pytest.mark.parametrize("files", [":", "_"])
    def test_a_layout_whose_colon_was_replaced(self, tmp_path, root, colon, files):
        other = spair_tree(tmp_path / "other", colon=files)
        layout = other / "Layout/large/test.txt"
        layout.write_text(layout.read_text().replace(":", colon))
        for categories in (None, "tvmonitor"):
            assert [pair_to_json(pair) for pair in SPair(str(other), categories=categories).pairs] == [
                pair_to_json(pair) for pair in SPair(str(root), categories=categories).pairs
            ]

    def test_a_box_that_cannot_be_costs_its_pair_alone(self, root):
        rewrite(root, BACK, trg_bndbox=[600, 10, 700, 90])
        found = SPair(str(root))
        assert [id for id, _ in found.broken] == [BACK] and len(found.pairs) == 2
        assert "The box of the target is [600, 10, 700, 90], which lies outside its picture" in found.broken[0][1]

    def test_a_line_that_is_there_twice_counts_once(self, root):
        assert len(SPair(str(spair_tree(root, [PLANE, BACK, PLANE]))).pairs) == 2

    def test_a_pair_without_points_is_kept(self, root):
        rewrite(root, BACK, src_kps=[], trg_kps=[], kps_ids=[])
        pair = SPair(str(root)).pairs[1]
        assert pair.query_points.shape == (0, 2)

    def test_points_outside_their_image_are_kept(self, root):
        rewrite(root, BACK, src_kps=[[-3, 5], [900, 2]])
        assert SPair(str(root)).pairs[1].source_points.tolist() == [[-3, 5], [900, 2]]

    def test_annotations_without_sizes_names_and_poses(self, root):
        note = spair_note(BACK)
        for name in ("src_imsize", "trg_imsize", "kps_ids", "src_pose", "trg_pose", "mirror"):
            del note[name]
        spair_file(root, BACK).write_text(json.dumps(note))
        pair = SPair(str(root)).pairs[1]
        assert (pair.source_size, pair.target_size, pair.names) == ((500, 332), (500, 333), ("0", "1"))


class TestWhatTheReleasedCodeReads:
    """The miniature tree whose numbers the released code gave."""

    @pytest.fixture
    def found(self, tmp_path):
        return SPair(str(shutil.copytree(GOLDEN / "fake_datasets", tmp_path / "data")))

    def test_points_and_boxes_in_the_square_of_512(self, found):
        golden = np.load(GOLDEN / "g_eval.npz")
        assert len(found.pairs) == len(golden["spair_n_pts"])
        for index, pair in enumerate(found.pairs):
            for side, short in (("source", "src"), ("target", "trg")):
                scale = 512 / np.array(getattr(pair, f"{side}_size"))
                points = golden[f"spair_{short}_kps"][index][:, : len(pair.names)].T
                assert getattr(pair, f"{side}_points") * scale == pytest.approx(points, rel=1e-6)
                box = np.reshape(getattr(pair, f"{side}_box"), (2, 2)) * scale
                assert box == pytest.approx(golden[f"spair_{short}_bbox"][index].reshape(2, 2), rel=1e-6)


DAMAGES = {
    "torn": ('{"src_kps": [[1,', "is damaged (Expecting value: line 1 column 17"),
    "no object": ("[1, 2]", "is damaged"),
    "no points": ({"trg_kps": None}, "is damaged"),
    "counts": ({"trg_kps": [[1, 2]]}, "2 src_kps, 1 trg_kps and 2 kps_ids"),
    "ids": ({"kps_ids": ["1"]}, "2 src_kps, 2 trg_kps and 1 kps_ids"),
    "three numbers": ({"src_kps": [[1, 2], [1, 2, 3]]}, "in src_kps, [1, 2, 3] is not 2 numbers"),
    "text": ({"src_kps": [[1, 2], [1, "2"]]}, "in src_kps, [1, '2'] is not 2 numbers"),
    "not finite": ({"trg_kps": [[1, 2], [1, float("nan")]]}, "in trg_kps"),
    "box": ({"src_bndbox": [1, 2, 3]}, "in bndbox, [1, 2, 3] is not 4 numbers"),
    "category": ({"category": "cat"}, "its category is cat"),
    "image": ({"trg_imname": "2010_000001.jpg"}, "its trg_imname is 2010_000001.jpg"),
    "binary": (b"\xff\xfe\x00", "is damaged"),
}


class TestMistakes:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_a_damaged_annotation_is_left_out_and_listed(self, root, name):
        damage, reason = DAMAGES[name]
        if isinstance(damage, dict):
            rewrite(root, BACK, **damage)
        else:
            spair_file(root, BACK).write_bytes(damage if isinstance(damage, bytes) else damage.encode())
        found = SPair(str(root))
        assert [pair.id for pair in found.pairs] == [PLANE, MONITOR]
        ((id, sentence),) = found.broken
        assert id == BACK and reason in sentence and f"{BACK}.json" in sentence and "prepare spair" in sentence

    def test_missing_box(self, root):
        note = spair_note(BACK)
        del note["src_bndbox"]
        spair_file(root, BACK).write_text(json.dumps(note))
        assert "it lacks 'src_bndbox'" in SPair(str(root)).broken[0][1]

    def test_a_missing_annotation_and_a_bad_line(self, root):
        (root / "Layout/large/test.txt").write_text(f"{PLANE}\nnonsense\n\n{BACK}\n")
        spair_file(root, BACK).unlink()
        found = SPair(str(root))
        assert [pair.id for pair in found.pairs] == [PLANE]
        assert [id for id, _ in found.broken] == ["nonsense", BACK]
        assert "'nonsense' in the layout" in found.broken[0][1]
        assert f"There is no annotation {spair_file(root, BACK)}" in found.broken[1][1]

    def test_no_annotation_can_be_read(self, root):
        shutil.rmtree(root / "PairAnnotation/test")
        with pytest.raises(UserError, match="There is no .*PairAnnotation/test: .*prepare spair"):
            SPair(str(root))
        (root / "PairAnnotation/test").mkdir()
        with pytest.raises(UserError, match="lists 3 pairs here, of which none .* There is no annotation"):
            SPair(str(root))

    @pytest.mark.parametrize(
        "arguments, words",
        [
            ({"split": "train"}, "'train'.*split= from trn, val, test"),
            ({"size": "tiny"}, "'tiny'.*size= from large, small"),
            ({"categories": ["cat", "sofa"]}, "'sofa'.*categories= from aeroplane, bicycle"),
            ({"categories": ["cat"]}, "lists no pair of cat"),
            ({"split": "val"}, "There is no .*val.txt"),
            ({"root": "nowhere"}, "no SPair-71k in nowhere, which is no folder: .*prepare spair.*dataset.root="),
        ],
    )
    def test_one_sentence(self, root, arguments, words):
        with pytest.raises(UserError, match=words):
            SPair(**({"root": str(root)} | arguments))

    def test_a_folder_of_something_else(self, root):
        with pytest.raises(UserError, match="does not hold it, nor does SPair-71k in there"):
            SPair(str(root / "JPEGImages"))

    def test_an_image_of_another_size_than_its_annotation_says(self, root):
        save_image(root / "JPEGImages/aeroplane/2008_004100.jpg", (332, 500))
        with pytest.raises(UserError, match="332 x 500 pixels and annotated as 500 x 332"):
            SPair(str(root)).image("aeroplane/2008_004100")

    def test_a_missing_image(self, root):
        (root / "JPEGImages/aeroplane/2008_004100.jpg").unlink()
        with pytest.raises(UserError, match="There is no image .*2008_004100.jpg"):
            SPair(str(root)).image("aeroplane/2008_004100")

    @pytest.mark.filterwarnings("default:SPair-71k lists")
    def test_another_total_than_the_published_one_only_warns(self, root):
        with pytest.warns(UserWarning, match="lists 3 pairs here, and the published test split has 12,234"):
            SPair(str(root))
        spair_tree(root, [MONITOR], split="val")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            SPair(str(root), "val", categories="tvmonitor")  # nothing is known of a part of val


class TestCache:
    @pytest.fixture(autouse=True)
    def small_is_worth_it(self, monkeypatch):
        monkeypatch.setattr(spair, "WORTH_A_CACHE", 1)

    @pytest.fixture
    def reads(self, monkeypatch):
        """The names of the annotations that are read."""
        names = []
        loads = json.loads

        def counting(text, **options):
            found = loads(text, **options)
            names.extend([found["filename"]] if "filename" in found else [])
            return found

        monkeypatch.setattr(spair.json, "loads", counting)
        return names

    def test_the_second_time_gives_the_same_and_reads_no_annotation(self, root, reads):
        first = SPair(str(root))
        assert sorted(reads) == sorted(SPAIR_LINES)
        second = SPair(str(root))
        assert len(reads) == 3
        assert [pair_to_json(pair) for pair in second.pairs] == [pair_to_json(pair) for pair in first.pairs]

    def test_another_layout_is_read_anew(self, root, reads):
        SPair(str(root))
        spair_tree(root, [BACK])
        assert [pair.id for pair in SPair(str(root)).pairs] == [BACK]
        assert len(reads) == 4

    def test_what_was_broken_is_tried_again_and_nothing_else(self, root, reads):
        whole = spair_file(root, BACK).read_text()
        spair_file(root, BACK).write_text(whole[:50])
        assert len(SPair(str(root)).broken) == 1
        spair_file(root, BACK).write_text(whole)
        found = SPair(str(root))
        assert len(found.pairs) == 3 and found.broken == ()
        assert sorted(reads) == sorted(SPAIR_LINES)
        SPair(str(root))
        assert len(reads) == 3

    def test_categories_share_what_was_read(self, root, reads):
        SPair(str(root), categories="tvmonitor")
        assert reads == [MONITOR]
        SPair(str(root))
        assert sorted(reads) == sorted(SPAIR_LINES)

    def test_a_replaced_annotation_is_read_anew(self, root, reads):
        SPair(str(root))
        new = root / "new.json"
        new.write_text(json.dumps(spair_note(BACK, src_kps=[[1, 1], [2, 2]])))
        new.replace(spair_file(root, BACK))
        os.utime(root / "PairAnnotation/test", ns=(1, 1))  # a clock too coarse to tell must not decide the test
        assert SPair(str(root)).pairs[1].source_points.tolist() == [[1, 1], [2, 2]]

    def test_an_annotation_rewritten_in_place_is_read_anew_and_no_other(self, root, reads):
        SPair(str(root))
        folder = spair_file(root, BACK).parent
        before = folder.stat().st_mtime_ns
        rewrite(root, BACK, src_kps=[[1, 1], [2, 2]])
        assert folder.stat().st_mtime_ns == before
        found = SPair(str(root))
        assert found.pairs[1].source_points.tolist() == [[1, 1], [2, 2]]
        assert sorted(reads) == sorted([*SPAIR_LINES, BACK])

    def test_the_card_is_of_what_is_there_now(self, root):
        first = digest(SPair(str(root)).pairs)
        rewrite(root, BACK, src_kps=[[1, 1], [2, 2]])
        assert digest(SPair(str(root)).pairs) != first
        rewrite(root, BACK)
        assert digest(SPair(str(root)).pairs) == first

    def test_a_size_that_no_annotation_says_is_always_the_picture_s(self, root):
        rewrite(root, BACK, src_imsize=None)
        assert SPair(str(root)).pairs[1].source_size == (500, 332)
        save_image(root / "JPEGImages/aeroplane/2008_004100.jpg", (498, 331))
        assert SPair(str(root)).pairs[1].source_size == (498, 331)

    def test_the_collector_of_cycles_does_not_slow_it_down(self, root, monkeypatch):
        seen, make = [], spair._pair
        monkeypatch.setattr(spair, "_pair", lambda *of: seen.append(gc.isenabled()) or make(*of))
        SPair(str(root))
        assert seen == [False] * 3 and gc.isenabled()

    def test_a_torn_cache_changes_nothing(self, root):
        first = SPair(str(root))
        (path,) = (root / ".sdcorr").iterdir()
        path.write_bytes(path.read_bytes()[:-9])
        assert [pair.id for pair in SPair(str(root)).pairs] == [pair.id for pair in first.pairs]


def test_evaluation(tmp_path, monkeypatch, capfd):
    spair_tree(tmp_path / "data/SPair-71k")
    (tmp_path / "data/SPair-71k/JPEGImages/tvmonitor/2010_005805.jpg").unlink()
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, "dataset=spair", "run_dir=run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["pairs"], summary["points"], summary["failures"]) == (2, 5, 1), result.stderr
    assert "pck@0.10/per_point/category/aeroplane" in summary
    assert result.stdout.splitlines()[-1] == "run"
