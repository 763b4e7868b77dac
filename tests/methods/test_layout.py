"""A picture on a canvas: points there and back, and where the picture is."""

import numpy as np
import pytest
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.methods.layout import Layout, check_fit, lay_out


class TestLayOut:
    def test_squashed(self) -> None:
        canvas, layout = lay_out(Image.new("RGB", (40, 20)), 16, "squash")
        assert canvas.size == (16, 16) and layout == Layout((40, 20), (16, 16), (0, 0, 16, 16))

    def test_padded_in_the_middle(self) -> None:
        canvas, layout = lay_out(Image.new("RGB", (40, 20), "white"), 16, "pad")
        assert canvas.size == (16, 16) and layout.box == (0, 4, 16, 12)
        rows = np.asarray(canvas)[:, 8, 0]
        assert rows.tolist() == [0] * 4 + [255] * 8 + [0] * 4

    def test_at_its_own_aspect_to_the_next_multiple(self) -> None:
        canvas, layout = lay_out(Image.new("RGB", (100, 60)), 56, "aspect", multiple=14)
        assert canvas.size == (56, 28) == layout.canvas  # 33.6 is nearer to 28 than to 42
        assert layout.box == (0, 0, 56, 28)

    def test_a_picture_of_that_size_is_not_resampled(self) -> None:
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
        assert lay_out(picture, 16, "squash")[0].tobytes() == picture.tobytes()


class TestPoints:
    def test_by_hand(self) -> None:
        """40 x 20 pixels on the middle half of 16 x 16, seen through a grid of 4 x 4 cells."""
        layout = Layout((40, 20), (16, 16), (0, 4, 16, 12))
        cells = layout.to_grid(np.array([[0, 0], [40, 20], [20, 10]]), (4, 4))
        assert cells.tolist() == [[0, 1], [4, 3], [2, 2]]

    @pytest.mark.parametrize("fit", ["squash", "pad", "aspect"])
    def test_there_and_back(self, fit) -> None:
        _, layout = lay_out(Image.new("RGB", (37, 91)), 28, fit, multiple=4)
        points = np.array([[0.5, 0.5], [36.5, 90.5], [10, 70]])
        assert np.allclose(layout.from_grid(layout.to_grid(points, (7, 5)), (7, 5)), points)

    def test_cells_of_padding_are_outside(self) -> None:
        inside = Layout((40, 20), (16, 16), (0, 4, 16, 12)).inside((4, 4))
        assert inside[:, 0].tolist() == [False, True, True, False] and (inside == inside[:, :1]).all()


def test_a_fit_that_does_not_exist() -> None:
    with pytest.raises(UserError, match="fit=crop of vision.*squash, pad, aspect"):
        check_fit("vision", "crop")
