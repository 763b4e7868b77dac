import numpy as np
import pytest
from PIL import Image

from sdcorr.toybox import world
from sdcorr.toybox.canvas import Canvas
from sdcorr.toybox.classes import THINGS, Thing
from sdcorr.toybox.palette import Paint
from sdcorr.toybox.world import SIZE, TRAIN, VAL, draw

SEEDS = [(VAL, 9, index) for index in range(60)]


@pytest.fixture
def nothing_in_front(monkeypatch):
    monkeypatch.setattr(world, "OCCLUDED", 0.0)


def pixels(drawing):
    return np.asarray(drawing.image)


class TestSeeds:
    def test_one_seed_one_picture(self):
        for seed in SEEDS[:10]:
            once, again = draw(seed), draw(seed)
            assert (pixels(once) == pixels(again)).all() and once.caption == again.caption
            assert (once.points == again.points).all() and (once.visible == again.visible).all()

    def test_annotations_change_no_pixel(self):
        for seed in SEEDS[:10]:
            with_masks, without = draw(seed), draw(seed, annotate=False)
            assert (pixels(with_masks) == pixels(without)).all() and with_masks.caption == without.caption
            assert (with_masks.points == without.points).all() and with_masks.box == without.box
            assert with_masks.visible.any() and not without.visible.any() and not without.masks

    def test_another_seed_another_picture(self):
        seeds = SEEDS + [(TRAIN, index) for index in range(60)]
        assert len({pixels(draw(seed, annotate=False)).tobytes() for seed in seeds}) == len(seeds)

    def test_the_class_can_be_chosen(self):
        assert {name: draw(3, category=name).category for name in THINGS} == {name: name for name in THINGS}

    def test_every_class_comes_up(self):
        assert {draw(seed, annotate=False).category for seed in SEEDS} == set(THINGS)


class TestWorld:
    def test_enough_classes_of_enough_kinds(self):
        assert len(THINGS) >= 6 and len({thing.kind for thing in THINGS.values()}) >= 3

    @pytest.mark.parametrize("name", THINGS)
    def test_look_alikes_are_keypoints(self, name):
        assert THINGS[name].look_alikes <= set(draw(0, category=name).names)

    @pytest.mark.parametrize("name", THINGS)
    def test_every_drawing_of_a_class_has_the_same_keypoints(self, name):
        assert len({draw((VAL, index), category=name, annotate=False).names for index in range(20)}) == 1


def hidden_treasure(c: Canvas, p: Paint) -> None:
    """A chest, a lid on its right half, and a keypoint of the chest on either half."""
    c.add("chest", np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]), (200, 40, 40))
    c.add("lid", np.array([0 - 1j, 1 - 1j, 1 + 1j, 0 + 1j]), (40, 40, 200))
    c.keypoint("open", -0.5 + 0j, "chest")
    c.keypoint("covered", 0.5 + 0j, "chest")
    c.keypoint("lid", 0.5 + 0.1j, "lid")
    c.keypoint("beside", 1.2 + 0j, "chest")
    c.keypoint("out of the picture", 6 + 0j, "chest")


class TestVisibility:
    @pytest.fixture
    def chest(self, monkeypatch, nothing_in_front):
        """Draws a chest in a random pose."""
        monkeypatch.setitem(THINGS, "chest", Thing("chest", "test", hidden_treasure, frozenset({"lid"}), True))
        return lambda seed: draw(seed, category="chest")

    def test_a_part_hides_what_is_under_it(self, chest):
        for drawing in map(chest, range(20)):
            assert dict(zip(drawing.names, drawing.visible.tolist(), strict=True)) == {
                "open": True,
                "covered": False,
                "lid": True,
                "beside": False,
                "out of the picture": False,
            }

    def test_what_stands_in_front_hides_points(self, chest, monkeypatch):
        left_half = np.array([0, SIZE / 2, SIZE / 2 + SIZE * 1j, SIZE * 1j])
        monkeypatch.setattr(world, "_occluder", lambda rng, box: [(left_half, (0, 255, 0))])
        drawings = [chest(seed) for seed in range(20)]
        in_sight = [d.points[0, 0] >= SIZE / 2 for d in drawings]
        assert [bool(d.visible[0]) for d in drawings] == in_sight and 0 < sum(in_sight) < 20
        assert all(not d.masks["chest"][:, : SIZE // 2].any() for d in drawings)

    def test_look_alikes(self, chest):
        assert chest(0).look_alike.tolist() == [False, False, True, False, False]

    def test_masks_show_who_is_where(self, chest):
        drawing = chest(0)
        for name, part in (("open", "chest"), ("covered", "lid"), ("lid", "lid")):
            x, y = drawing.points[drawing.names.index(name)].astype(int)
            assert drawing.masks[part][y, x] == 1


class TestMirrors:
    def test_the_caption_says_which_way_it_faces(self):
        front, rear = {"car": ("headlight", "taillight"), "fish": ("mouth", "tail"), "bird": ("beak", "tail")}, set()
        for name, (head, back) in front.items():
            for index in range(30):
                drawing = draw((VAL, index), category=name, annotate=False)
                x = dict(zip(drawing.names, drawing.points[:, 0].tolist(), strict=True))
                rear.add((name, " facing right on " in drawing.caption))
                assert (x[head] > x[back]) == (" facing right on " in drawing.caption)
        assert len(rear) == 2 * len(front)  # both ways came up

    @pytest.mark.parametrize(("name", "pairs"), [("cat", ("eye", "ear")), ("crab", ("eye", "claw"))])
    def test_left_stays_left_where_there_is_no_side_view(self, name, pairs):
        for index in range(30):
            drawing = draw((VAL, index), category=name, annotate=False)
            x = dict(zip(drawing.names, drawing.points[:, 0].tolist(), strict=True))
            assert all(x[f"left {part}"] < x[f"right {part}"] for part in pairs) and "facing" not in drawing.caption


class TestBoxesAndMasks:
    def test_boxes_are_tight(self, nothing_in_front):
        for seed in SEEDS:
            drawing = draw(seed)
            rows, columns = np.nonzero(sum(drawing.masks.values()))
            shown = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.abs(np.array(drawing.box) - shown).max() <= 1.25  # a pixel and the width of an edge

    def test_visible_points_lie_on_their_parts(self):
        for name, thing in THINGS.items():
            for seed in SEEDS[:20]:
                drawing, canvas = draw(seed, category=name), Canvas()
                thing.draw(canvas, Paint(canvas, np.random.default_rng(seed)))
                parts = [part for _, part in canvas.keypoints.values()]
                for (x, y), part, visible in zip(drawing.points, parts, drawing.visible, strict=True):
                    assert not visible or drawing.masks[part][int(y), int(x)] > 0

    def test_masks_share_the_picture(self):
        for seed in SEEDS[:20]:
            total = sum(draw(seed).masks.values())
            assert total.shape == (SIZE, SIZE) and 0 < total.mean() < 1 and total.max() <= 1 + 1e-6

    def test_pictures(self):
        image = draw(0).image
        assert isinstance(image, Image.Image) and image.size == (SIZE, SIZE) and image.mode == "RGB"


class TestCaptions:
    def test_colors_are_those_of_the_parts(self, monkeypatch):
        monkeypatch.setattr(world, "MENTIONED", 1.0)
        for name, thing in THINGS.items():
            canvas, seed = Canvas(), (VAL, 4)
            thing.draw(canvas, Paint(canvas, np.random.default_rng(seed)))
            caption = draw(seed, category=name).caption
            assert caption.startswith(f"a {name} ")
            assert all(f" {color} {part}" in caption for part, color in canvas.colors.items())
            assert len(caption.split()) == (
                (6 if thing.side_view else 4) + sum(1 + len(part.split()) for part in canvas.colors)
            )
