import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.toybox import anatomy
from sdcorr.toybox.making import train
from sdcorr.toybox.making.batches import Batches, CaptionedLatents
from sdcorr.toybox.making.objectives import trapezoid
from sdcorr.toybox.world import SIZE

LAYER = "up_blocks.2.attentions.1"


def steps(workshop, stage):
    lines = (workshop.work / f"{stage}.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def weights(folder):
    return torch.cat([value.flatten() for value in AutoencoderKL.from_pretrained(folder).state_dict().values()])


class TestTraining:
    def test_the_folder_is_a_pipeline(self, workshop):
        pipeline = StableDiffusionPipeline.from_pretrained(workshop.model, dtype=torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        (image,) = pipeline("a cat on green", num_inference_steps=2, guidance_scale=2).images
        assert image.size == (SIZE, SIZE)
        assert pipeline.scheduler.config.prediction_type == "v_prediction"

    def test_the_method_loads_the_folder(self, workshop):
        model = FrozenDiffusion.load(str(workshop.model), layers=[LAYER])
        assert (model.tokens, model.width, model.image_size) == (anatomy.TOKENS, anatomy.WIDTH, SIZE)
        latents = model.encode(torch.rand(1, 3, SIZE, SIZE))
        (heat,) = model.attention_maps(latents, 100, torch.randn(1, model.tokens, model.width), heads="all")
        assert heat.shape[2:] == (16, 16) and torch.isfinite(heat).all()

    def test_latents_of_the_pool_have_unit_variance(self, workshop):
        (file,) = workshop.work.glob("latents-24-*.npy")
        latents = np.load(file)
        assert latents.shape == (24, 4, 16, 16) and np.std(latents.astype(float)) == pytest.approx(1, abs=0.05)

    def test_facts(self, workshop):
        facts = json.loads((workshop.model / "training.json").read_text())
        assert facts["images_seen"] == 24 and facts["vae_images_seen"] == 24 and facts["seed"] == 0
        assert 0 < facts["loss"] < 10 and 0 < facts["vae_loss"] < 10

    def test_goes_on_from_the_checkpoint(self, workshop, tmp_path):
        shutil.copytree(workshop.model, tmp_path / "model")
        shutil.copytree(workshop.work, tmp_path / "work")
        again = type(workshop)(tmp_path / "model", tmp_path / "work")
        for stage in ("vae", "unet"):
            before = torch.load(again.work / f"{stage}.ckpt", weights_only=True)
            again.train(stage, 40)
            after = torch.load(again.work / f"{stage}.ckpt", weights_only=True)
            assert (before["global_step"], after["global_step"]) == (3, 5)
            assert steps(again, stage)[0] == 3 and steps(again, stage)[-1] == 5
            moments = next(iter(after["optimizer_states"][0]["state"].values()))
            assert moments["step"] == 5  # the optimizer went on too
        assert not torch.equal(weights(workshop.model / "vae"), weights(again.model / "vae"))
        assert json.loads((again.model / "training.json").read_text())["images_seen"] == 40

    def test_the_autoencoder_comes_first(self, tmp_path):
        with pytest.raises(UserError, match="There is no autoencoder in .*: train it first"):
            train.main(["unet", "--out", str(tmp_path / "model"), "--work", str(tmp_path / "work")])


class TestTrapezoid:
    def test_warms_up_stays_and_cools_down(self):
        factors = [trapezoid(step, 1000) for step in (0, 99, 199, 500, 750, 875, 1000)]
        assert factors == pytest.approx([0.005, 0.5, 1, 1, 1, 0.5, 0])


class TestBatches:
    def test_every_row_once_an_epoch(self):
        rows = iter(Batches(np.arange(12), torch.arange(12) * 10, batch=4, seed=0))
        epochs = [[next(rows) for _ in range(3)] for _ in range(2)]
        for epoch in epochs:
            assert sorted(torch.cat([numbers for numbers, _ in epoch]).tolist()) == list(range(12))
            assert all(torch.equal(tens, numbers * 10) for numbers, tens in epoch)
        assert not torch.equal(epochs[0][0][0], epochs[1][0][0])

    def test_one_caption_in_ten_is_empty(self):
        tokens, empty = torch.ones(400, 3), torch.zeros(3)
        rows = iter(CaptionedLatents(np.zeros((400, 1)), tokens, empty, batch=400, seed=0))
        kept = torch.cat([next(rows)[1] for _ in range(10)])
        assert set(kept.sum(1).tolist()) == {0, 3} and (kept[:, 0] == 0).float().mean() == pytest.approx(0.1, abs=0.02)
