import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor, read_image


class TestReadImage:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
    def test_any_mode_becomes_rgb(self, tmp_path, mode):
        path = tmp_path / "image.png"
        Image.new("RGB", (5, 3), (255, 0, 0)).convert(mode).save(path)
        image = read_image(path)
        assert image.mode == "RGB" and image.size == (5, 3)
        expected = (76, 76, 76) if mode == "L" else (255, 0, 0)
        assert image.getpixel((4, 2)) == expected

    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match="There is no image .*nothing.png"):
            read_image(tmp_path / "nothing.png")

    def test_folder(self, tmp_path):
        with pytest.raises(UserError, match="is a folder, not an image"):
            read_image(tmp_path)

    def test_no_image(self, tmp_path):
        path = tmp_path / "text.png"
        path.write_text("no pixels here")
        with pytest.raises(UserError, match="text.png is not an image"):
            read_image(path)

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_cut_short(self, tmp_path, suffix):
        path = tmp_path / f"cut.{suffix}"
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(UserError, match=f"cut.{suffix} is damaged"):
            read_image(path)


class TestImageToTensor:
    def test_values_and_axes(self):
        image = Image.new("RGB", (2, 2))
        image.putpixel((1, 0), (255, 51, 0))  # right of the top row
        tensor = image_to_tensor(image, 2)
        assert tensor.dtype == torch.float32
        assert tensor[:, 0, 1].tolist() == pytest.approx([1, 0.2, 0])
        assert tensor.sum().item() == pytest.approx(1.2)

    def test_is_squashed_to_a_square(self):
        image = Image.new("RGB", (8, 2))
        image.paste((255, 255, 255), (0, 0, 4, 2))  # the left half
        tensor = image_to_tensor(image, 4)
        assert tensor.shape == (3, 4, 4)
        assert tensor[0, :, 0].tolist() == [1] * 4 and tensor[0, :, 3].tolist() == [0] * 4
