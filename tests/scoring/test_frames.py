import numpy as np
import pytest

from sdcorr.scoring.frames import BoxCrop, Capped, Letterbox, Original, Square

SIZES = np.array([[500.0, 333.0], [120.0, 160.0]])  # a wide image and a high one
BOXES = np.full((2, 4), np.nan)


def moved(frame, points, sizes=SIZES, boxes=BOXES):
    scale, shift = frame.affine(sizes, boxes)
    return np.asarray(points) * scale + shift


class TestCorners:
    def test_original(self):
        assert moved(Original(), SIZES).tolist() == SIZES.tolist()

    def test_square_is_filled_whatever_the_shape(self):
        assert moved(Square(512), SIZES) == pytest.approx(np.full((2, 2), 512))
        assert moved(Square(512), np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]

    def test_letterbox_puts_the_shorter_side_in_the_middle_at_a_whole_pixel(self):
        # 333 * 840 / 500 = 559.44 is rounded to 559, (840 - 559) / 2 = 140.5 is cut to 140; 120 * 840 / 160 = 630
        assert moved(Letterbox(840), np.zeros((2, 2))).tolist() == [[0, 140], [105, 0]]
        assert moved(Letterbox(840), SIZES) == pytest.approx(np.array([[840, 140 + 559.44], [105 + 630, 840]]))

    def test_a_capped_image_is_never_enlarged(self):
        assert moved(Capped(300), SIZES) == pytest.approx(np.array([[300, 199.8], [120, 160]]))


class TestBoxCrop:
    BOX = np.array([[11.0, 21.0, 50.0, 120.0]])  # pixels 10..49 and 20..119, counted from 0: 40 x 100

    def test_hand_computed(self):
        """Margins of 2 and 5: x 8..51, y 15..124, 44 x 110; 33 more on either side of x: from -25 on, 110 wide."""
        scale, shift = BoxCrop(256).affine(np.array([[60.0, 150.0]]), self.BOX)
        assert scale == pytest.approx(np.full((1, 2), 256 / 110))
        assert shift == pytest.approx(np.array([[25, -15]]) * 256 / 110)

    def test_halves_are_rounded_away_from_zero(self):
        # margins of 0.5 and 1.5: x -0.5..9.5 becomes -1..10, y -1.5..30.5 becomes -2..31, 12 x 34; x grows by 11 a side
        scale, shift = BoxCrop(34).affine(np.array([[60.0, 150.0]]), np.array([[1.0, 1.0, 10.0, 30.0]]))
        assert scale.tolist() == [[1, 1]]
        assert shift.tolist() == [[12, 2]]

    def test_the_crop_is_a_square_round_the_middle_of_the_box(self):
        draws = np.random.default_rng(0)
        low = draws.integers(1, 100, (50, 2))
        boxes = np.concatenate([low, low + draws.integers(5, 200, (50, 2))], axis=1).astype(float)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2 - 1  # counted from 0
        found = moved(BoxCrop(256), middles, np.full((50, 2), 400.0), boxes)
        scale, _ = BoxCrop(256).affine(np.full((50, 2), 400.0), boxes)
        assert np.abs(found - 128).max() <= 1.5 * scale.max()  # roundings of a pixel of the original image
        longest = (boxes[:, 2:] - boxes[:, :2]).max(1) + 1
        assert 256 / scale[:, 0] == pytest.approx(1.1 * longest, abs=1.0001)
