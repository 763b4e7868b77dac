from dataclasses import replace

import pytest
import torch
from lightning import Callback

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.prompt.crops import Crops
from sdcorr.prompt.module import PromptOptimization, RandomCrops, fit, run
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings

SETTINGS = PromptSettings(steps=4, sigma=4.0, restarts=2, learning_rate=0.01, flip=0.5)
POINTS = torch.tensor([[20.0, 30.0], [60.0, 5.0]])
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def problem(
    backbone, settings=SETTINGS, points=POINTS, image=IMAGE, module=PromptOptimization
) -> tuple[PromptOptimization, RandomCrops]:
    queries = [Query("image", x, y, restart) for x, y in points.tolist() for restart in range(settings.restarts)]
    draws = Draws(settings.seed, "test", settings.noise)
    crops = Crops(backbone, image, settings.optimize_side(backbone.image_size))
    crops = RandomCrops(crops, points.repeat_interleave(settings.restarts, 0), queries, settings, draws)
    start = draws.embeddings(queries, backbone.tokens, backbone.width)
    return module(backbone, start, settings), crops


class TestRandomCrops:
    def test_shapes(self, small_backbone):
        _, crops = problem(small_backbone)
        assert len(crops) == 4
        shapes = {name: tuple(value.shape) for name, value in crops[0].items()}
        assert shapes == {"latents": (4, 4, 16, 16), "noise": (4, 4, 16, 16), "centers": (4, 2), "boxes": (4, 4)}

    def test_latents_are_those_of_the_pixels(self, small_backbone):
        _, crops = problem(small_backbone)
        flips = set()
        for step in range(len(crops)):
            batch = crops[step]
            torch.testing.assert_close(small_backbone.encode(crops.pixels(batch["boxes"])), batch["latents"])
            flips |= set(batch["boxes"][:, 3].tolist())
        assert flips == {0, 1}

    def test_point_stays_in_its_crop_and_on_its_pixel(self, small_backbone):
        # The image is black but for the query pixel, so the brightest place of each crop is where the point must be.
        point = torch.tensor([[20.5, 30.5]])
        image = torch.zeros(1, 3, 64, 64)
        image[..., 30, 20] = 1
        _, crops = problem(small_backbone, points=point, image=image)
        for step in range(len(crops)):
            batch = crops[step]
            for pixels, center in zip(crops.pixels(batch["boxes"]), batch["centers"], strict=True):
                index = pixels[0].flatten().argmax().item()
                assert abs(index % 64 + 0.5 - center[0].item()) <= 1
                assert abs(index // 64 + 0.5 - center[1].item()) <= 1

    def test_whole_image(self, small_backbone):
        settings = PromptSettings(steps=2, restarts=2, sigma=4.0, optimize_crops=False)
        _, crops = problem(small_backbone, settings)
        for step in range(2):
            assert crops[step]["boxes"].tolist() == [[0, 0, 0, 0]] * 4
            torch.testing.assert_close(crops[step]["centers"], POINTS.repeat_interleave(2, 0))

    def test_an_item_does_not_depend_on_those_before(self, small_backbone):
        first, second = problem(small_backbone)[1][3], problem(small_backbone)[1]
        for step in (0, 3):
            again = second[step]
        assert all(torch.equal(first[name], again[name]) for name in first)


class TestOptimization:
    def test_loss_falls(self, small_backbone):
        settings = PromptSettings(steps=25, sigma=8.0, restarts=2, learning_rate=0.05, optimize_crops=False)
        losses = []
        run(*problem(small_backbone, settings), lambda step, loss: losses.append(loss.item()))
        assert len(losses) == 25
        assert max(losses[-5:]) < 0.98 * min(losses[:5])

    def test_start_is_not_changed(self, small_backbone):
        module, crops = problem(small_backbone)
        start = module.embeddings.detach().clone()
        again = PromptOptimization(small_backbone, start, SETTINGS)
        run(again, crops)
        assert torch.equal(start, module.embeddings.detach())
        assert (again.embeddings != start).any(-1).all()  # all tokens were optimized

    def test_queries_together_are_queries_alone(self, small_backbone):
        together = run(*problem(small_backbone))
        for index in range(len(POINTS)):
            alone = run(*problem(small_backbone, points=POINTS[index : index + 1]))
            torch.testing.assert_close(alone, together[2 * index : 2 * index + 2], rtol=0, atol=1e-4)

    def test_state_holds_the_embeddings_alone(self, small_backbone):
        module, _ = problem(small_backbone)
        assert list(module.state_dict()) == ["embeddings"]
        assert [name for name, _ in module.named_parameters()] == ["embeddings"]

    def test_autocast_stays_outside(self, small_backbone):
        module, crops = problem(small_backbone)
        batch = crops[0]
        plain = module.training_step(batch, 0)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(module.training_step(batch, 0), plain)

    def test_half_precision_backbone(self, two_level_folder, small_backbone):
        half = FrozenDiffusion.load(str(two_level_folder), layers=small_backbone.layers, precision="bf16")
        module, crops = problem(half)
        run(module, crops)
        assert module.embeddings.dtype == module.embeddings.grad.dtype == torch.float32


class TestNumbers:
    """Nothing is made of NaN: the query and the step are named."""

    def test_a_loss_that_is_none(self, small_backbone, monkeypatch):
        module, crops = problem(small_backbone)
        maps, step = module.maps, iter(range(100))

        def spoiled(batch, embeddings):
            factor = torch.tensor([1.0, 1.0, torch.nan if next(step) >= 2 else 1.0, 1.0])
            return [layer * factor[:, None, None, None] for layer in maps(batch, embeddings)]

        monkeypatch.setattr(module, "maps", spoiled)
        told = r"The loss at step 2 of the query \(60, 5\) in image, restart 0, is NaN or infinite: .*weights anew"
        with pytest.raises(UserError, match=told):
            run(module, crops)

    @pytest.mark.parametrize("solve", [run, fit])
    def test_an_embedding_that_is_none(self, small_backbone, solve):
        module, crops = problem(small_backbone, replace(SETTINGS, steps=1))
        module.configure_optimizers = lambda: torch.optim.SGD([module.embeddings], lr=torch.inf)
        with pytest.raises(UserError, match=r"The embedding of the query \(20, 30\) in image, restart 0, is NaN"):
            solve(module, crops)


class TestTrainer:
    @pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
    def test_gives_what_the_light_loop_gives(self, small_backbone, precision):
        assert torch.equal(
            fit(*problem(small_backbone), precision=precision, logger=False), run(*problem(small_backbone))
        )

    def test_callbacks_see_pixels_and_losses(self, small_backbone):
        spy = Spy()
        fit(*problem(small_backbone), callbacks=[spy])
        losses = []
        run(*problem(small_backbone), lambda step, loss: losses.append(loss.item()))
        assert spy.losses == pytest.approx(losses)
        assert spy.shapes == [(4, 3, 64, 64)] * 4
        assert spy.logged == pytest.approx(losses[-1] / 4)  # a query's mean


class Spy(Callback):
    def __init__(self):
        self.losses, self.shapes, self.logged = [], [], None

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())
        self.shapes.append(tuple(trainer.train_dataloader.dataset.pixels(batch["boxes"]).shape))

    def on_train_end(self, trainer, module):
        self.logged = trainer.callback_metrics["loss"].item()
