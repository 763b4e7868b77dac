import json
import shutil
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from sdcorr.cli.main import main
from sdcorr.datasets.inspect import card
from sdcorr.datasets.spair import SPair
from sdcorr.datasets.spair_u import SPairU
from sdcorr.errors import UserError
from sdcorr.run.records import pair_to_json
from tests.datasets.fixtures import SPAIR_LINES, spair_file, spair_note, spair_tree

pytestmark = pytest.mark.filterwarnings("ignore:SPair-71k lists")
PLANE, _, MONITOR = SPAIR_LINES
NEW = {"src_kps": [[220, 60], [400, 200]], "trg_kps": [[50, 100], [450, 120]], "kps_ids": ["0", "2"]}


@pytest.fixture
def root(tmp_path):
    """SPair-71k, and beside it new points for two of its pairs, as the archive of SPair-U and nothing more."""
    spair_tree(tmp_path / "SPair-71k")
    return annotate(tmp_path / "SPair-U")


def annotate(root, colon=":"):
    for line in (MONITOR, PLANE):
        path = spair_file(root, line, colon=colon)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(spair_note(line) | (NEW if line == PLANE else {})))
    (root / "ImageAnnotation").mkdir()
    return root


class TestPairs:
    def test_they_are_those_that_have_new_points(self, root):
        found = SPairU(str(root))
        assert (found.name, found.split, found.broken) == ("spair_u", "test", ())
        assert [pair.id for pair in found.pairs] == [PLANE, MONITOR]
        pair = found.pairs[0]
        assert pair.source_points.tolist() == NEW["src_kps"] and pair.target_points.tolist() == NEW["trg_kps"]
        assert pair.names == ("0", "2") and pair.target_box == (36, 92, 500, 200)
        assert pair.flags["truncation"] == "target"

    def test_all_but_the_points_is_as_in_spair(self, root):
        old = {pair.id: pair_to_json(pair) for pair in SPair(str(root.parent)).pairs}
        new = {pair.id: pair_to_json(pair) for pair in SPairU(str(root)).pairs}
        assert new[MONITOR] == old[MONITOR]
        assert {name for name in new[PLANE] if new[PLANE][name] != old[PLANE][name]} == {
            *("source_points", "target_points", "visible", "names"),
        }

    @pytest.mark.parametrize("place", ["", "SPair-U"])
    def test_the_folder_round_it_will_do(self, root, place):
        assert len(SPairU(str(root.parent / place)).pairs) == 2

    def test_categories(self, root):
        assert [pair.id for pair in SPairU(str(root), categories="tvmonitor").pairs] == [MONITOR]

    @pytest.mark.parametrize("colon", ["_", "%3A"])
    def test_names_whose_colon_was_replaced(self, root, colon):
        shutil.rmtree(root)
        annotate(root, colon)
        (root / f"PairAnnotation/test/._{PLANE}.json").write_bytes(b"\0")  # as macOS leaves them
        assert [pair.id for pair in SPairU(str(root)).pairs] == [PLANE, MONITOR]

    def test_a_damaged_annotation_is_left_out_and_listed(self, root):
        spair_file(root, MONITOR).write_text("{")
        ((id, sentence),) = SPairU(str(root)).broken
        assert id == MONITOR and "is damaged" in sentence and "sdcorr prepare spair_u" in sentence

    def test_the_card_claims_no_published_number(self, root):
        shown = card(SPairU(str(root)))
        assert "spair_u, split test" in shown and "published" not in shown


class TestPhotographs:
    def test_are_those_of_spair_beside_it(self, root):
        found = SPairU(str(root))
        assert found.image("aeroplane/2008_004100").size == (500, 332)
        assert found.digest("aeroplane/2008_004100") == SPair(str(root.parent)).digest("aeroplane/2008_004100")

    def test_or_linked_into_it(self, root):
        elsewhere = (root.parent / "SPair-71k").rename(root.parent / "elsewhere")
        (root / "JPEGImages").symlink_to(elsewhere / "JPEGImages")
        assert SPairU(str(root)).image("tvmonitor/2010_005805").size == (60, 80)

    def test_without_them_one_sentence_says_how_to_have_them(self, root):
        shutil.rmtree(root.parent / "SPair-71k")
        with pytest.raises(UserError, match="no SPair-71k beside .*: get that with `sdcorr prepare spair`, or link"):
            SPairU(str(root))


class TestMistakes:
    @pytest.mark.parametrize(
        "arguments, words",
        [
            ({"split": "val"}, "no dataset.split=val: it annotates the test pairs"),
            ({"categories": ["sofa"]}, "'sofa'.*categories= from aeroplane, bicycle"),
            ({"categories": ["cat"]}, "annotates no pair of cat: get it with `sdcorr prepare spair_u`"),
            ({"root": "nowhere"}, "no SPair-U in nowhere, which is no folder: .*prepare spair_u.*dataset.root="),
        ],
    )
    def test_one_sentence(self, root, arguments, words):
        with pytest.raises(UserError, match=words):
            SPairU(**({"root": str(root)} | arguments))

    def test_spair_itself_is_not_taken_for_it(self, root):
        (root.parent / "SPair-71k/Segmentation").mkdir()
        with pytest.raises(UserError, match="is SPair-71k, whose points are not those of SPair-U"):
            SPairU(str(root.parent / "SPair-71k"))


def test_evaluation(root, monkeypatch, capfd):
    monkeypatch.chdir(root.parent)
    GlobalHydra.instance().clear()
    settings = [f"dataset.root={root}", "methods=[same_pixel]", "logger=none", "bootstrap=20", "run_dir=run"]
    assert main(["eval", "dataset=spair_u", *settings]) == 0, capfd.readouterr().err
    summary = json.loads(Path("run/summary.json").read_text())
    assert (summary["dataset"], summary["pairs"], summary["points"]) == ("spair_u", 2, 4)
