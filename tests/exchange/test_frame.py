"""The pixels that a file is in, by hand."""

import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.exchange.frame import FileFrame

SIZE = np.array([[200, 100]])


def original(written, point, first_pixel=0.5):
    return FileFrame.read(written, first_pixel).to_original(np.array([point]), SIZE)[0].tolist()


def test_original_pixels_are_the_very_same():
    assert original("original", [0.1, 1 / 3]) == [0.1, 1 / 3]


def test_a_squashed_square_is_stretched_again():
    assert original("squashed:400", [100, 100]) == [50, 25]  # by 2 and by 4


def test_a_padded_square_loses_its_padding():
    assert original("padded:400", [100, 150]) == [50, 25]  # by 2; 100 rows of padding above and below


def test_indices_of_pixels_are_half_a_pixel_of_the_frame_off():
    assert original("squashed:400", [100, 100], first_pixel=0) == [100.5 / 2, 100.5 / 4]
    assert original("original", [1, 1], first_pixel=1) == [0.5, 0.5]


def test_outside_is_more_than_a_tenth_outside():
    frame = FileFrame.read("original")
    points = np.array([[-19, 50], [-21, 50], [219, 109], [100, 111]])
    assert frame.outside(points, np.repeat(SIZE, 4, 0)).tolist() == [False, True, False, True]


@pytest.mark.parametrize("written", ["square", "padded", "padded:0", "squashed:x", "original:5"])
def test_other_frames_are_refused(written):
    with pytest.raises(UserError, match="no frame .*squashed:840"):
        FileFrame.read(written)
