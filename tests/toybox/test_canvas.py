import numpy as np
import pytest

from sdcorr.toybox.canvas import SUPERSAMPLING, Canvas, Pose, label, limb, oval, paint, turn

SQUARE = np.array([2 + 2j, 6 + 2j, 6 + 6j, 2 + 6j])  # pixels


class TestShapes:
    @pytest.mark.parametrize(("angle", "unit"), [(0, 1), (np.pi / 2, 1j), (np.pi, -1)])
    def test_turning_goes_clockwise_on_the_screen(self, angle, unit):
        assert turn(angle) == pytest.approx(unit)

    def test_oval(self):
        corners = oval(1 + 2j, 3, 1, angle=np.pi / 2, corners=4)
        assert corners == pytest.approx([1 + 5j, 0 + 2j, 1 - 1j, 2 + 2j])

    def test_limb(self):
        assert limb(0j, 4 + 0j, 2, 1) == pytest.approx([1j, 4 + 0.5j, 4 - 0.5j, -1j])
        assert limb(0j, 4 + 0j, 2) == pytest.approx([1j, 4 + 1j, 4 - 1j, -1j])


class TestPose:
    def test_turns_scales_and_moves(self):
        assert Pose(2 * turn(np.pi / 2), 10 + 20j, False).apply(np.array([1, 1j])) == pytest.approx([10 + 22j, 8 + 20j])

    def test_mirrors_left_and_right_before_it_turns(self):
        upright, turned = Pose(1, 0, True), Pose(turn(np.pi / 2), 0, True)
        assert upright.apply(np.array([1 + 2j])) == pytest.approx([-1 + 2j])
        assert turned.apply(np.array([1 + 2j])) == pytest.approx([-2 - 1j])

    def test_keeps_lengths_in_proportion(self):
        pose = Pose(3 * turn(0.4), 1 + 1j, True)
        a, b, c = pose.apply(np.array([0, 1 + 2j, -1j]))
        assert abs(a - b) == pytest.approx(3 * 5**0.5) and abs(a - c) == pytest.approx(3)


class TestCanvas:
    def test_extent_of_all_shapes(self):
        canvas = Canvas()
        canvas.add("body", np.array([0, 1, 1 + 1j]), (0, 0, 0))
        canvas.add("tail", np.array([-2, -1, -1 + 3j]), (0, 0, 0))
        assert canvas.extent(Pose(10, 30 + 0j, False)) == pytest.approx((10, 0, 40, 30))
        assert canvas.extent(Pose(10, 30 + 0j, True)) == pytest.approx((20, 0, 50, 30))


class TestPainting:
    ground = np.full((8, 8, 3), 200, np.uint8)

    def test_covers_the_pixels_between_its_coordinates(self):
        pixels = np.asarray(paint([(SQUARE, (10, 20, 30))], self.ground))
        covered = np.zeros((8, 8), bool)
        covered[2:6, 2:6] = True
        # Pillow draws the far edge as well: an eighth of a pixel at most, which the average shows there
        assert (pixels[covered] == (10, 20, 30)).all()
        assert (np.abs(pixels[~covered].astype(int) - 200).max(-1) <= 190 / SUPERSAMPLING + 1).all()
        assert (pixels[0] == 200).all() and (pixels[:, 7] == 200).all()

    def test_edges_are_mixed(self):
        pixels = np.asarray(paint([(SQUARE + 0.5, (0, 0, 0))], self.ground))[..., 0]
        assert 0 < pixels[4, 2] < 200 and pixels[4, 3] == 0  # half covered, and all of it

    def test_later_shapes_are_on_top(self):
        pixels = np.asarray(paint([(SQUARE, (1, 1, 1)), (SQUARE, (9, 9, 9))], self.ground))
        assert (pixels[3, 3] == 9).all()

    def test_labels_show_the_topmost_shape(self):
        seen = label([(SQUARE, 1), (SQUARE + 2, 2), (SQUARE + 2 + 2j, 0)], 8)
        assert seen.shape == (8 * SUPERSAMPLING,) * 2
        points = np.array([(2.5, 2.5), (6.5, 3.5), (6.5, 6.5), (0.5, 0.5)])
        x, y = (points * SUPERSAMPLING).astype(int).T
        assert seen[y, x].tolist() == [1, 2, 0, 0]
