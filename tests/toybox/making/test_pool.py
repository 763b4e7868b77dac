import numpy as np
import pytest
import torch

from sdcorr.toybox.making import pool
from sdcorr.toybox.making.pool import drawing_pool, to_unit_range
from sdcorr.toybox.world import SIZE, TRAIN, draw


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(pool, "CHUNK", 4)


def files(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


class TestDrawingPool:
    def test_the_first_training_drawings(self, tmp_path):
        images, captions = drawing_pool(tmp_path, 6)
        drawings = [draw((TRAIN, seed)) for seed in range(6)]
        assert images.shape == (6, SIZE, SIZE, 3) and images.dtype == np.uint8
        assert all((image == np.asarray(drawing.image)).all() for image, drawing in zip(images, drawings, strict=True))
        assert captions == [drawing.caption for drawing in drawings]

    def test_is_drawn_once(self, tmp_path):
        first, _ = drawing_pool(tmp_path, 6)
        before = files(tmp_path)
        again, captions = drawing_pool(tmp_path, 5)
        assert (again == first[:5]).all() and len(captions) == 5 and files(tmp_path) == before

    def test_a_larger_one_extends_a_smaller_one(self, tmp_path):
        small, _ = drawing_pool(tmp_path, 6)
        before = files(tmp_path)
        large, captions = drawing_pool(tmp_path, 9)
        assert (large[:6] == small).all() and len(large) == len(captions) == 9
        assert files(tmp_path)["0000000.npy"] == before["0000000.npy"]  # a chunk that was complete is left alone

    def test_a_chunk_without_captions_is_drawn_again(self, tmp_path):
        first, _ = drawing_pool(tmp_path, 4)
        (tmp_path / "0000000.json").unlink()
        (tmp_path / "0000000.npy").write_bytes(b"cut sho")
        assert (drawing_pool(tmp_path, 4)[0] == first).all()


def test_to_unit_range():
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    images[0, 2, 5] = (255, 0, 51)
    pixels = to_unit_range(images)
    assert pixels.shape == (1, 3, SIZE, SIZE) and pixels.dtype == torch.float32
    assert pixels[0, :, 2, 5].tolist() == pytest.approx([1, -1, -0.6])
