from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sdcorr.toybox.making.samples import Judge, load_pipeline, reconstruction_error, sample, subject
from sdcorr.toybox.world import VAL, draw

DRAWINGS = [draw((VAL, 7, index), annotate=False) for index in range(60)]


@pytest.fixture(scope="module")
def pipeline(workshop):
    return load_pipeline(workshop.model)


class TestSample:
    def test_a_picture_depends_on_its_place_and_not_on_the_batch(self, pipeline):
        captions = [drawing.caption for drawing in DRAWINGS[:3]]
        together = sample(pipeline, captions, steps=2)
        in_pieces = sample(pipeline, captions, steps=2, batch=2)
        for one, other in zip(together, in_pieces, strict=True):
            assert np.abs(np.asarray(one, float) - np.asarray(other, float)).max() <= 1  # float rounding
        assert len({picture.tobytes() for picture in sample(pipeline, captions[:1] * 2, steps=2)}) == 2


def test_reconstruction_error(pipeline, monkeypatch):
    images = [drawing.image for drawing in DRAWINGS[:4]]
    assert 0.05 < reconstruction_error(pipeline, images) < 1  # three steps of training
    monkeypatch.setattr(pipeline.vae, "decode", lambda latents: SimpleNamespace(sample=torch.zeros(())))  # all gray
    pixels = np.stack([np.asarray(image) for image in images]) / 127.5 - 1
    assert reconstruction_error(pipeline, images) == pytest.approx(np.abs(pixels).mean(), abs=1e-5)


class TestJudge:
    def test_learns_to_read_drawings(self):
        judge = Judge(drawings=600, epochs=4)
        assert len(judge.subjects) == 12 and "cat" in judge.subjects and "fish facing left" in judge.subjects
        read = judge.read([drawing.image for drawing in DRAWINGS])
        right = np.mean([name == subject(drawing.caption) for name, drawing in zip(read, DRAWINGS, strict=True)])
        assert right > 0.3  # chance: 1 in 12
