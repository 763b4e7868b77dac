import json
from collections import Counter

import pytest

from sdcorr.datasets import ap10k
from sdcorr.datasets.ap10k import AP10K
from sdcorr.datasets.inspect import digest
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate, save_image
from tests.datasets.trees import AP10K_SIZE, ap10k_animal, ap10k_tree

pytestmark = pytest.mark.filterwarnings("ignore:.*published AP-10K")
ANTELOPE, BISON, CAT, KING, COW = 1, 2, 3, 4, 5


@pytest.fixture
def tree(tmp_path):
    """Makes a tree of these animals, and gives its folder."""
    return lambda *animals, **options: ap10k_tree(tmp_path / "ap-10k", animals, **options)


def herd(species, numbers, **changes):
    return [ap10k_animal(number, species, **changes) for number in numbers]


def ids(found):
    return [pair.id for pair in found.pairs]


class TestWhichImages:
    def test_the_last_30_of_a_species_are_test_and_the_20_before_them_val(self, tree):
        root = tree(*herd(CAT, range(1, 56)), *herd(KING, range(100, 132)))
        test, val = AP10K(root), AP10K(root, split="val")
        assert {pair.source for pair in test.pairs if pair.category == "cat"} == {
            f"{n:012d}.jpg" for n in range(26, 55)
        }
        assert sum(pair.category == "cat" for pair in test.pairs) == 30 * 29 / 2
        assert sum(pair.category == "cat" for pair in val.pairs) == 20 * 19 / 2
        assert {pair.source for pair in val.pairs} >= {f"{n:012d}.jpg" for n in range(6, 25)}
        assert sum(pair.category == "king cheetah" for pair in val.pairs) == 1  # two are left for it

    def test_a_species_with_few_images_is_not_in_val(self, tree):
        found = AP10K(tree(*herd(CAT, range(1, 56)), *herd(KING, range(100, 130))), split="val")
        assert {pair.category for pair in found.pairs} == {"cat"}

    def test_images_with_several_animals_are_left_out(self, tree):
        twice = ap10k_animal(2, CAT, id=7)
        assert ids(AP10K(tree(*herd(CAT, [1, 2, 3]), twice))) == ["1-3"]

    def test_a_list_of_crowds_takes_the_place_of_that_rule_and_the_first_animal_counts(self, tree):
        root = tree(*herd(CAT, [1, 2, 3]), ap10k_animal(2, CAT, id=7, bbox=[0, 0, 1, 1]))
        assert AP10K(root).identity == {"crowds": "images with several annotations"}
        (root / "ap-10k_is_crowd.txt").write_text("000000000003\n000000000077\n")
        found = AP10K(root)
        assert ids(found) == ["1-2"] and found.pairs[0].target_box == (3, 4, 53, 44.5)
        assert found.identity == {"crowds": "ap-10k_is_crowd.txt"}  # a run on the other list is another run

    def test_images_with_less_than_three_key_points_are_left_out(self, tree):
        few = ap10k_animal(2, CAT, seen=(2, 2) + (0,) * 15)
        assert ids(AP10K(tree(*herd(CAT, [1, 3]), few))) == ["1-3"]

    def test_a_pair_needs_enough_points_in_common(self, tree):
        first, second, hidden = (2,) * 9 + (0,) * 8, (0,) * 6 + (2,) * 11, (1,) * 10 + (0,) * 7
        animals = [ap10k_animal(number, CAT, seen) for number, seen in ((1, first), (2, second), (3, hidden))]
        # 1-2 have three in common; a hidden one counts a half: 1-3 have 9 / 2, 2-3 have 4 / 2
        assert ids(AP10K(tree(*animals))) == ["1-2", "1-3"]

    def test_another_number_of_images_is_a_warning(self, tree):
        with pytest.warns(UserWarning, match="2 images.*10,015"):
            AP10K(tree(*herd(CAT, [1, 2])))


class TestAPair:
    def test_numbers_are_raw(self, tree):
        source = ap10k_animal(1, CAT, seen=(2, 1, 0) + (2,) * 14)
        pair = AP10K(tree(source, ap10k_animal(2, CAT))).pairs[0]
        assert (pair.source, pair.target, pair.category) == ("000000000001.jpg", "000000000002.jpg", "cat")
        assert pair.source_size == AP10K_SIZE and pair.source_box == (3, 4, 53, 44.5)
        assert pair.source_points[:3].tolist() == [[1, 0], [2, 2], [0, 0]]
        assert pair.visible.tolist() == [True, True, False] + [True] * 14  # v = 1 is labeled, so it is asked for
        assert pair.names[2:5] == ("nose", "neck", "root of tail")

    def test_all_but_nose_neck_and_tail_are_ambiguous(self, tree):
        pair = AP10K(tree(*herd(CAT, [1, 2]))).pairs[0]
        assert [name for name, alike in zip(pair.names, pair.ambiguous, strict=True) if not alike] == [
            *("nose", "neck", "root of tail")
        ]

    def test_images(self, tree):
        root = tree(*herd(CAT, [1, 2]), pictures=True)
        found = AP10K(root.parent)  # the folder round it will do
        assert found.image("000000000001.jpg").size == AP10K_SIZE
        save_image(root / "data/000000000002.jpg", (48, 64))
        with pytest.raises(UserError, match="48 x 64 pixels and annotated as 64 x 48"):
            found.image("000000000002.jpg")


class TestKinds:
    ZOO = (*herd(ANTELOPE, [1, 2]), *herd(BISON, [3, 4]), *herd(CAT, [5]), *herd(KING, [6]))

    def test_within_a_species_every_two_images_once(self, tree):
        assert ids(AP10K(tree(*self.ZOO))) == ["1-2", "3-4"]

    def test_across_the_species_of_a_family_from_the_first_to_the_second(self, tree):
        found = AP10K(tree(*self.ZOO), kind="cross_species")
        assert ids(found) == ["1-3", "1-4", "2-3", "2-4", "5-6"]
        assert [pair.category for pair in found.pairs] == ["Bovidae"] * 4 + ["Felidae"]
        assert found.pairs[0].flags == {
            "source_species": "antelope",
            "target_species": "bison",
            "source_family": "Bovidae",
            "target_family": "Bovidae",
        }

    def test_across_families(self, tree):
        found = AP10K(tree(*self.ZOO), kind="cross_family")
        assert set(ids(found)) == {f"{a}-{b}" for a in (1, 2, 3, 4) for b in (5, 6)}  # Bovidae come before Felidae
        assert {pair.category for pair in found.pairs} == {"all"}

    def test_at_most_900_of_a_family_and_30_of_two_the_same_every_time(self, tree):
        herds = [herd(kind, range(30 * i + 1, 30 * i + 31)) for i, kind in enumerate((COW, ANTELOPE, BISON, CAT))]
        root = tree(*(animal for each in herds for animal in each))
        species, family = AP10K(root, kind="cross_species"), AP10K(root, kind="cross_family")
        assert len(species.pairs) == len(set(ids(species))) == 900  # of 2,700
        assert len(family.pairs) == len(set(ids(family))) == 30  # of 2,700
        assert ids(AP10K(root, kind="cross_species")) == ids(species)
        ways = Counter((pair.flags["source_species"], pair.flags["target_species"]) for pair in species.pairs)
        assert sorted(ways) == [("antelope", "bison"), ("antelope", "cow"), ("bison", "cow")]
        assert all(240 < count < 360 for count in ways.values())  # 300 are expected, within 4 standard deviations

    def test_the_drawn_pairs_do_not_depend_on_the_order_of_the_files(self, tree, tmp_path):
        animals = [*herd(ANTELOPE, range(1, 31)), *herd(CAT, range(61, 91))]
        other = ap10k_tree(tmp_path / "other", animals[::-1])
        assert ids(AP10K(tree(*animals), kind="cross_family")) == ids(AP10K(other, kind="cross_family"))

    @pytest.mark.parametrize(
        "kind, count, name",
        [
            ("intra_species", 1740, "67caed9c3e27c45e"),
            ("cross_species", 900, "1c391cb864dc0d83"),
            ("cross_family", 30, "6aa6ce6cf1110ca0"),
        ],
    )
    def test_the_list_is_the_same_on_every_machine(self, tree, kind, count, name):
        """Another digest is another list: scores on it are not comparable with those of earlier versions."""
        herds = [herd(each, range(30 * i + 1, 30 * i + 31)) for i, each in enumerate((COW, ANTELOPE, BISON, CAT))]
        found = AP10K(tree(*(animal for each in herds for animal in each)), kind=kind)
        assert len(found.pairs) == count and digest(found.pairs) == name

    def test_no_pair_of_that_kind(self, tree):
        with pytest.raises(UserError, match="kind cross_family.*dataset.kind"):
            AP10K(tree(*herd(CAT, [1, 2])), kind="cross_family")


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "change, words",
        [
            ({"keypoints": [1, 2, 2]}, "key-points"),
            ({"keypoints": ["nose"] * 51}, "nose"),
            ({"keypoints": [float("nan")] * 51}, "not finite"),
            ({"bbox": [1, 2, 3]}, "a box"),
            ({"bbox": [1, 2, 0, 9]}, "the box is empty"),
        ],
    )
    def test_an_annotation_s_pairs_are_left_out_and_listed(self, tree, change, words):
        found = AP10K(tree(*herd(CAT, [1, 3]), ap10k_animal(2, CAT, **change)))
        assert ids(found) == ["1-3"]
        assert [id for id, _ in found.broken] == ["1-2", "2-3"]
        assert all(words in reason and "split1.json: annotation 1002" in reason for _, reason in found.broken)

    def test_an_annotation_of_nothing_is_a_mistake(self, tree):
        with pytest.raises(UserError, match="no image or species.*99"):
            AP10K(tree(*herd(CAT, [1, 2]), ap10k_animal(3, 99)))

    @pytest.mark.parametrize("content", ['{"images": [', "[]", '{"images": []}', '{"images": [{"name": 1}]}', "\xff"])
    def test_a_file_that_is_torn_or_another_is_named(self, tree, content):
        root = tree(*herd(CAT, [1, 2]))
        (root / "annotations/ap10k-val-split1.json").write_bytes(content.encode("latin1"))
        with pytest.raises(UserError, match="ap10k-val-split1.json.*prepare ap10k"):
            AP10K(root)

    def test_a_missing_file_is_named(self, tree):
        root = tree(*herd(CAT, [1, 2]))
        (root / "annotations/ap10k-test-split1.json").unlink()
        with pytest.raises(UserError, match="no .*ap10k-test-split1.json.*prepare ap10k"):
            AP10K(root)

    def test_a_list_of_crowds_that_is_none(self, tree):
        root = tree(*herd(CAT, [1, 2]))
        (root / "ap-10k_is_crowd.txt").write_text("cats")
        with pytest.raises(UserError, match="is_crowd.txt is not a list of image ids"):
            AP10K(root)

    def test_no_data_set(self, tmp_path):
        with pytest.raises(UserError, match="no AP-10K.*prepare ap10k"):
            AP10K(tmp_path)

    @pytest.mark.parametrize("change, words", [({"split": "train"}, "split=train"), ({"kind": "any"}, "cross_family")])
    def test_unknown_settings(self, tree, change, words):
        with pytest.raises(UserError, match=words):
            AP10K(tree(), **change)


def test_there_are_17_names():
    assert len(ap10k.POINTS) == len(set(ap10k.POINTS)) == 17


def test_a_whole_evaluation(tree, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    root = tree(*herd(CAT, [1, 2], seen=(2,) * 4 + (0,) * 13), *herd(KING, [3]), pictures=True)
    for kind, pairs in (("intra_species", 1), ("cross_species", 2)):
        arguments = ["dataset=ap10k", f"dataset.root={root}", f"dataset.kind={kind}", f"run_dir={kind}"]
        result = evaluate(monkeypatch, capfd, *arguments)
        assert result.returncode == 0, result.stderr
        summary = json.loads((tmp_path / kind / "summary.json").read_text())
        assert (summary["pairs"], summary["points"]) == (pairs, 4 * pairs)
