import json
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets import coco
from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate, save_image

SIZE = (60, 40)
NAMES = ["nose", "left eye", "tail"]
CAT, DOG = 1, 7  # ids of categories


def thing(number, image, category=CAT, points=((10, 20, 2), (30, 25, 1), (0, 0, 0)), **changes):
    """An annotation, the second point of which is hidden and the third one without a place."""
    flat = [value for point in points for value in point]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "keypoints": flat,
        "bbox": [5, 6, 40, 30],
    } | changes


def images(*numbers, **changes):
    return [{"id": n, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]} | changes for n in numbers]


def plain(annotations, numbers=range(1, 9), **changes):
    categories = [{"id": CAT, "name": "cat", "keypoints": NAMES}, {"id": DOG, "name": "dog", "keypoints": NAMES}]
    return {"info": {}, "images": images(*numbers), "annotations": annotations, "categories": categories} | changes


@pytest.fixture
def write(tmp_path):
    """Writes a file beside eight pictures, and gives what a Folder needs."""
    for number in range(1, 9):
        save_image(tmp_path / f"{number}.png", SIZE)

    def written(content, name="pairs.json"):
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return written


def ids(found):
    return [pair.id for pair in found.pairs]


def complaint(root, **options):
    with pytest.raises(UserError) as caught:
        Folder(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestAPair:
    def test_everything_there_is(self, write):
        second = thing(12, 2, points=((11, 21, 2), (0, 0, 0), (50, 39, 1)), bbox=[0, 0, 0, 0])
        (pair,) = Folder(write(plain([second, thing(11, 1)]))).pairs
        assert (pair.id, pair.category) == ("1.png -> 2.png:cat", "cat")  # the image that is listed first is the source
        assert (pair.source, pair.target, pair.source_size) == ("1.png", "2.png", SIZE)
        assert pair.names == tuple(NAMES) and pair.visible.tolist() == [True, False, False]
        assert pair.query_points.tolist() == [[10, 20]] and pair.true_points.tolist() == [[11, 21]]
        assert (pair.source_box, pair.target_box) == ((5, 6, 45, 36), None)

    def test_hidden_points_are_asked_for(self, write):
        (pair,) = Folder(write(plain([thing(1, 1), thing(2, 2)]))).pairs
        assert pair.visible.tolist() == [True, True, False]

    def test_no_names_no_sizes_no_boxes(self, write):
        bare = [{key: value for key, value in each.items() if key != "bbox"} for each in (thing(1, 1), thing(2, 2))]
        pictures = [{"id": n, "file_name": f"./{n}.png"} for n in (1, 2)]
        (pair,) = Folder(write(plain(bare, images=pictures, categories=[{"id": CAT, "name": "cat"}]))).pairs
        assert pair.names == ("1", "2", "3") and pair.source_box is None and pair.source_size == SIZE

    @pytest.mark.parametrize("nothing", [0, -1, math.nan, None, 1e9])
    def test_what_is_not_visible_is_not_looked_at(self, write, nothing):
        points = ((10, 20, 2), (nothing, nothing, 0), (nothing, nothing, 0))
        (pair,) = Folder(write(plain([thing(1, 1, points=points), thing(2, 2)]))).pairs
        assert pair.visible.tolist() == [True, False, False]

    def test_numbers_that_pandas_made_floats(self, write):
        points = ((10.0, 20.0, 2.0), (30.0, 25.0, 1.0), (0.0, 0.0, 0.0))
        Folder(write(plain([thing(1.0, 1.0, CAT * 1.0, points), thing(2, 2)])))

    def test_a_picture_on_its_side_is_annotated_as_one_sees_it(self, write, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (40, 60)).save(tmp_path / "1.png", exif=exif)
        content = plain([thing(1, 1), thing(2, 2)])
        assert Folder(write(content)).pairs[0].source_size == (60, 40)
        content["images"][0] |= {"width": 40, "height": 60}
        assert "annotation 1: 1.png is 60 x 40 pixels as one sees it, and not 40 x 60" in complaint(write(content))


class TestWhichPairs:
    def test_all_of_a_category_once(self, write):
        cats, dogs = [thing(n, n) for n in (3, 1, 2)], [thing(n, n, DOG) for n in (5, 4)]
        assert ids(Folder(write(plain(cats + dogs)))) == [
            *("1.png -> 2.png:cat", "1.png -> 3.png:cat", "2.png -> 3.png:cat", "4.png -> 5.png:dog")
        ]

    def test_only_with_a_point_in_common(self, write):
        nose, tail = ((1, 2, 2), (0, 0, 0), (0, 0, 0)), ((0, 0, 0), (0, 0, 0), (3, 4, 2))
        cats = [thing(1, 1, points=nose), thing(2, 2, points=tail), thing(3, 3)]
        assert ids(Folder(write(plain(cats)))) == ["1.png -> 3.png:cat"]
        assert "No two objects of a category have a key-point in common" in complaint(write(plain(cats[:2])))

    def test_what_is_left_out_is_said_in_one_line(self, write):
        none = ((0, 0, 0),) * 3
        others = [thing(4, 4, iscrowd=1), thing(5, 5, points=none), thing(6, 6), thing(7, 6), thing(8, 6, DOG)]
        with pytest.warns(UserWarning) as told:
            found = Folder(write(plain([thing(1, 1), thing(2, 2), *others, thing(9, 7, DOG)])))
        assert ids(found) == ["1.png -> 2.png:cat", "6.png -> 7.png:dog"]  # two cats and a dog are in 6.png
        (said,) = (str(each.message) for each in told)
        assert "1 annotated as crowds, 1 without a key-point, 2 beside another of their category" in said

    @pytest.mark.parametrize("keypoints", [None, [], [0] * 9, ...])
    def test_a_box_without_key_points_is_left_out(self, write, keypoints):
        box = thing(3, 3, keypoints=keypoints)
        if keypoints is ...:
            del box["keypoints"]
        with pytest.warns(UserWarning, match="1 without a key-point"):
            assert ids(Folder(write(plain([thing(1, 1), thing(2, 2), box])))) == ["1.png -> 2.png:cat"]

    def test_one_picture_that_is_listed_twice_has_two_objects(self, write):
        content = plain([thing(n, n) for n in (1, 2, 3, 4)])
        content["images"][3]["file_name"] = "3.png"
        with pytest.warns(UserWarning, match="2 beside another of their category"):
            assert ids(Folder(write(content))) == ["1.png -> 2.png:cat"]

    def test_nothing_is_said_if_nothing_is_left_out(self, write):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Folder(write(plain([thing(1, 1), thing(2, 2)])))

    def test_so_many_of_each_category(self, write):
        root = write(plain([thing(n, n) for n in range(1, 9)] + [thing(10 + n, n, DOG) for n in range(1, 4)]))
        found = Folder(root, per_category=5, seed=3)
        assert Counter(pair.category for pair in found.pairs) == {"cat": 5, "dog": 3}  # of 28 and of 3
        assert set(ids(found)) <= set(ids(Folder(root))) and len(set(ids(found))) == 8
        assert ids(found) == ids(Folder(root, per_category=5, seed=3)) != ids(Folder(root, per_category=5, seed=4))

    def test_other_categories_change_nothing(self, write):
        cats, dogs = [thing(n, n) for n in range(1, 9)], [thing(10 + n, n, DOG) for n in range(1, 9)]
        alone = ids(Folder(write(plain(cats)), per_category=4))
        assert [id for id in ids(Folder(write(plain(dogs + cats)), per_category=4)) if id.endswith("cat")] == alone

    def test_every_pair_is_drawn_as_often(self):
        things = [thing(n, n) for n in range(1, 9)]
        objects, mistakes, _ = coco.read_objects("x.json", plain(things))
        drawn = Counter(
            (source.file, target.file)
            for seed in range(700)
            for source, target in coco.choose(objects, per_category=2, seed=seed)
        )
        assert not mistakes and len(drawn) == 28
        assert all(50 - 5 * math.sqrt(50) < count < 50 + 5 * math.sqrt(50) for count in drawn.values())  # 50 expected

    def test_some_of_very_many(self):
        count = 30_000
        objects, _, _ = coco.read_objects("x.json", plain([thing(n, n) for n in range(count)], range(count)))
        chosen = coco.choose(objects, per_category=20, seed=0)
        assert len({(source.file, target.file) for source, target in chosen}) == 20
        assert all(source.place < target.place for source, target in chosen)
        with pytest.raises(UserError, match="449,985,000 pairs: say how many with dataset.per_category=100"):
            coco.choose(objects, None, 0)

    def test_pictures_that_are_not_drawn_are_not_looked_at(self, write, tmp_path):
        things = [thing(n, n) for n in range(1, 200)]
        content = plain(things, range(1, 200))
        drawn = {each.file for pair in coco.choose(coco.read_objects("x", content)[0], 2, 0) for each in pair}
        for name in drawn:
            save_image(tmp_path / name, SIZE)
        assert len(Folder(write(content), per_category=2).pairs) == 2  # nearly all others are not there

    def test_is_not_for_a_table(self, tmp_path):
        save_image(tmp_path / "a.png", SIZE)
        (tmp_path / "pairs.csv").write_text("source,target,x,y\na.png,a.png,1,2\n")
        assert "per_category is for a JSON of COCO" in complaint(tmp_path, per_category=3)


class TestMistakes:
    @pytest.mark.parametrize(
        "change, words",
        [
            ({"image_id": 99}, "annotation 2: image_id is 99, which is the id of nothing"),
            ({"image_id": [2]}, "image_id is [2]"),
            ({"category_id": None}, "category_id is None"),
            ({"keypoints": [1, 2, 2]}, "it has 1 key-points, and its category names 3"),
            ({"keypoints": [1, 2, 2, 4]}, "keypoints is not x, y, v of each point"),
            ({"keypoints": [1, 2]}, "keypoints is not x, y, v of each point"),
            ({"keypoints": "none"}, "keypoints is not x, y, v of each point"),
            ({"keypoints": {"nose": [1, 2]}}, "keypoints is not x, y, v"),
            ({"keypoints": [1, 2, 3] * 3}, "a visibility of 3, which is not 0, 1 or 2"),
            ({"keypoints": [1, "2", 2] * 3}, "something that is not a number"),
            ({"keypoints": [1, None, 2] * 3}, "something that is not a number"),
            ({"keypoints": [1, math.nan, 2] * 3}, "a key-point with v above 0 is not a number"),
            ({"keypoints": [10**400, 1, 2] * 3}, "annotation 2: "),
            ({"keypoints": [61, 1, 2] + [1, 1, 2] * 2}, "nose (61, 1) is outside 2.png, which is 60 x 40 pixels"),
            ({"bbox": [1, 2, 3]}, "bbox is [1, 2, 3], which is not x, y, width, height"),
            ({"bbox": {}}, "bbox is {}, which is not x"),
            ({"bbox": 7}, "bbox is 7, which is not x"),
            ({"bbox": [5, 6, -4, 9]}, "bbox as corners is [5, 6, 1, 15], which is not x0"),
            ({"bbox": [5, 6, 400, 300]}, "bbox as corners is [5, 6, 405, 306], which goes beyond its picture"),
            ({"bbox": [100, 6, 40, 30]}, "lies outside its picture"),
        ],
    )
    def test_in_an_annotation(self, write, change, words):
        said = complaint(write(plain([thing(1, 1), thing(2, 2, **change)])))
        assert words in said and "pairs.json" in said

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"images": images(1, 2, 2)}, "two images have the id 2"),
            ({"images": [*images(1, 2), {"file_name": "3.png"}]}, "entry 3 of images has no id"),
            ({"images": images(1, 2, file_name=None)}, "file_name is None"),
            (
                {"images": [*images(1), *images(2, file_name="no.png")]},
                "annotation 2: there is no picture no.png in",
            ),
            ({"images": images(1, 2, width="60")}, "its image is '60' pixels wide or high"),
            ({"images": images(1, 2, height=0)}, "its image is 0 pixels wide or high"),
            ({"categories": [{"id": CAT, "name": 3, "keypoints": NAMES}]}, "name is 3"),
            (
                {"categories": [{"id": CAT, "name": "cat", "keypoints": "nose"}]},
                "keypoints of its category are not names",
            ),
            ({"categories": [{"id": n, "name": "cat"} for n in (CAT, DOG)]}, "2 categories are called 'cat'"),
            ({"categories": [{"id": CAT, "name": "c\x00t"}]}, "has a control character"),
            ({"categories": []}, "category_id is 1, which is the id of nothing"),
            ({"annotations": ["cat"]}, "image_id is None"),
            ({"annotations": []}, "No two objects"),
            ({"annotations": None}, "not a list of pairs, nor one of COCO"),
        ],
    )
    def test_in_the_lists(self, write, change, words):
        assert words in complaint(write(plain([thing(1, 1), thing(2, 2)], (1, 2)) | change))

    def test_objects_of_a_category_with_different_numbers_of_points(self, write):
        both = [thing(1, 1), thing(2, 2, points=((1, 2, 2),) * 2)]
        content = plain(both, categories=[{"id": CAT, "name": "cat"}])
        assert "annotation 2 has 2 key-points, and pairs.json, annotation 1 of its category 3" in complaint(
            write(content)
        )

    def test_a_key_that_is_there_twice(self, write):
        root = write(plain([thing(1, 1), thing(2, 2)]))
        (root / "pairs.json").write_text(
            (root / "pairs.json").read_text().replace('"bbox"', '"bbox": [1, 1, 2, 2], "bbox"', 1)
        )
        assert "the key 'bbox' is there twice" in complaint(root)


def test_a_damaged_picture_costs_its_pairs_alone(write, tmp_path):
    root = write(plain([thing(n, n) for n in (1, 2, 3)]))
    (tmp_path / "3.png").write_bytes(b"no picture")
    found = Folder(root)
    assert ids(found) == ["1.png -> 2.png:cat"]
    assert [id for id, _ in found.broken] == ["1.png -> 3.png:cat", "2.png -> 3.png:cat"]


def test_a_whole_evaluation(write, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    root = write(plain([thing(n, n) for n in (1, 2, 3)] + [thing(4, 4, DOG), thing(5, 5, DOG)]), "keypoints.json")
    arguments = ["dataset=folder", f"dataset.root={root}", "dataset.pairs=keypoints.json", "dataset.per_category=2"]
    result = evaluate(monkeypatch, capfd, *arguments, "run_dir=run")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["pairs"], summary["points"]) == (3, 6)
    assert not np.isnan(summary["pck@0.10/per_point/category/dog"])
