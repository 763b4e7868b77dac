import pytest
import torch
from lightning import Callback

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.crops import LatentCache
from sdcorr.prompt.draws import Draws, Query
from sdcorr.prompt.module import PromptOptimization, RandomCrops, fit, optimization_side, run
from sdcorr.prompt.settings import PromptSettings

SETTINGS = PromptSettings(steps=4, sigma=4.0, restarts=2, learning_rate=0.01, flip=0.5)
POINTS = torch.tensor([[20.0, 30.0], [60.0, 5.0]])
IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def problem(backbone, settings=SETTINGS, points=POINTS, cache=None) -> tuple[PromptOptimization, RandomCrops]:
    queries = [Query("image", x, y, restart) for x, y in points.tolist() for restart in range(settings.restarts)]
    draws = Draws(settings.seed, "test", settings.noise)
    cache = cache or LatentCache(backbone, IMAGE, optimization_side(settings, backbone.image_size))
    crops = RandomCrops(cache, points.repeat_interleave(settings.restarts, 0), queries, settings, draws)
    start = draws.embeddings(queries, backbone.tokens, backbone.width)
    return PromptOptimization(backbone, start, settings), crops


class TestRandomCrops:
    def test_shapes(self, small_backbone):
        _, crops = problem(small_backbone)
        assert len(crops) == 4
        shapes = {name: tuple(value.shape) for name, value in crops[0].items()}
        assert shapes == {"latents": (4, 4, 16, 16), "noise": (4, 4, 16, 16), "centres": (4, 2), "boxes": (4, 4)}

    def test_latents_are_those_of_the_pixels(self, small_backbone):
        _, crops = problem(small_backbone)
        flips = set()
        for step in range(len(crops)):
            batch = crops.with_pixels(crops[step])
            torch.testing.assert_close(small_backbone.encode(batch["pixels"]), batch["latents"])
            flips |= set(batch["boxes"][:, 3].tolist())
        assert flips == {0, 1}

    def test_point_stays_in_its_crop_and_on_its_pixel(self, small_backbone):
        # The image is black but for the query pixel, so the brightest place of each crop is where the point must be.
        point = torch.tensor([[20.5, 30.5]])
        image = torch.zeros(1, 3, 64, 64)
        image[..., 30, 20] = 1
        cache = LatentCache(small_backbone, image, optimization_side(SETTINGS, 64))
        _, crops = problem(small_backbone, points=point, cache=cache)
        for step in range(len(crops)):
            batch = crops.with_pixels(crops[step])
            for pixels, centre in zip(batch["pixels"], batch["centres"], strict=True):
                index = pixels[0].flatten().argmax().item()
                assert abs(index % 64 + 0.5 - centre[0].item()) <= 1
                assert abs(index // 64 + 0.5 - centre[1].item()) <= 1

    def test_whole_image(self, small_backbone):
        settings = PromptSettings(steps=2, restarts=2, sigma=4.0, optimize_crops=False)
        _, crops = problem(small_backbone, settings)
        for step in range(2):
            assert crops[step]["boxes"].tolist() == [[0, 0, 0, 0]] * 4
            torch.testing.assert_close(crops[step]["centres"], POINTS.repeat_interleave(2, 0))
        assert len(crops._cache.latents) == 1

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
        assert (again.embeddings != start).any(-1).all()  # all tokens were optimised

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
        plain = module.training_step(crops[0], 0)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(module.training_step(crops[0], 0), plain)

    def test_half_precision_backbone(self, two_level_folder, small_backbone):
        half = FrozenDiffusion.load(str(two_level_folder), layers=small_backbone.layers, precision="bf16")
        module, crops = problem(half)
        run(module, crops)
        assert module.embeddings.dtype == module.embeddings.grad.dtype == torch.float32


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
        self.shapes.append(tuple(batch["pixels"].shape))

    def on_train_end(self, trainer, module):
        self.logged = trainer.callback_metrics["loss"].item()
