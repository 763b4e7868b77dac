"""Loss, gradient and optimization steps against the released code, with its random draws, on our fast path.

All contexts of the file are optimized in one batch; the released code optimized one at a time.
"""

import numpy as np
import pytest
import torch

from sdcorr.prompt.module import PromptOptimization, RandomCrops, run
from sdcorr.prompt.objective import gaussian_target
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache
from tests.golden import released

LOSS, GRADIENT, CONTEXT = 1e-6, 1e-5, 5e-6  # tolerances: relative, relative L2, absolute


@pytest.fixture(scope="module")
def recorded(arrays):
    return arrays("e_optimize")


@pytest.fixture(scope="module")
def settings(recorded):
    return released.optimization_settings(recorded)


@pytest.fixture(scope="module", params=["together", "first alone", "last alone"])
def contexts(request, settings) -> list[int]:
    """Which contexts of the file are optimized in one batch."""
    every = list(range(settings.restarts))
    return {"together": every, "first alone": every[:1], "last alone": every[-1:]}[request.param]


with_first_context = pytest.mark.parametrize("contexts", ["together", "first alone"], indirect=True)
with_second_context = pytest.mark.parametrize("contexts", ["together", "last alone"], indirect=True)


@pytest.fixture(scope="module")
def problem(backbone, images, recorded, settings, contexts):
    size = backbone.image_size
    queries = released.queries(contexts)
    draws = released.RecordedDraws(recorded, settings.flip)
    point = torch.from_numpy(recorded["pixel_loc"]) * size
    crops = CachedCrops(LatentCache(backbone), images["src"][None], settings.optimize_side(size))
    crops = RandomCrops(crops, point.expand(len(queries), 2), queries, settings, draws)
    start = draws.embeddings(queries, backbone.tokens, backbone.width)
    return PromptOptimization(backbone, start, settings), crops


@pytest.fixture(scope="module")
def trace(problem):
    """Losses, gradients and embeddings of every step of one run."""
    module, crops = problem
    losses, gradients, embeddings = [], [], []

    def on_step(step, loss):
        losses.append(loss.item())
        gradients.append(module.embeddings.grad.numpy().copy())
        embeddings.append(module.embeddings.detach().numpy().copy())

    run(module, crops, on_step)
    return losses, gradients, embeddings


def test_points_in_crops(problem, recorded, contexts, backbone):
    _, crops = problem
    centers = torch.stack([crops[step]["centers"] for step in range(len(crops))], 1) / backbone.image_size
    np.testing.assert_allclose(centers, recorded["crop_new_pixel"][contexts], rtol=0, atol=1e-6)


@with_first_context
def test_target(problem, recorded, contexts, settings, backbone):
    target = gaussian_target(problem[1][0]["centers"][0], backbone.image_size, settings.sigma)
    np.testing.assert_allclose(target[1::8, 1::8], recorded["gt_step0_stride8"], rtol=0, atol=1e-5)


@with_first_context
def test_first_maps(problem, recorded, contexts, backbone, settings):
    module = PromptOptimization(backbone, torch.from_numpy(recorded["ctx_init"][contexts]), settings)
    batch = problem[1][0]
    noisy = backbone.add_noise(batch["latents"], batch["noise"], settings.timestep)
    np.testing.assert_allclose(noisy[:1], recorded["noisy_ctx0_step0"], rtol=0, atol=1e-5)
    for index, maps in zip(released.loss_indices(), module.maps(batch, module.embeddings), strict=True):
        expected = recorded[f"native_ctx0_step0_{index}"]
        np.testing.assert_allclose(maps[0].detach(), expected, rtol=0, atol=5e-6)


def test_losses(trace, recorded, contexts):
    losses, _, _ = trace
    np.testing.assert_allclose(losses, recorded["loss"][contexts].sum(0), rtol=LOSS)


def test_gradients(trace, recorded, contexts):
    _, gradients, _ = trace
    for name in (name for name in recorded if name.startswith("grad") and "_step" in name):
        context, step = (int(part) for part in name.removeprefix("grad").split("_step"))
        if context in contexts:
            ours, expected = gradients[step][contexts.index(context)], recorded[name]
            assert np.linalg.norm(ours - expected) <= GRADIENT * np.linalg.norm(expected), name
    norms = np.sqrt(np.square(np.stack(gradients, 1, dtype=np.float64)).sum((2, 3)))  # (ctx, step)
    np.testing.assert_allclose(norms, recorded["grad_norm"][contexts], rtol=GRADIENT)


@with_first_context
def test_gradient_of_each_token(trace, recorded, contexts):
    norms = np.linalg.norm(np.stack(trace[1])[:, contexts.index(0)], axis=-1)  # (step, T)
    np.testing.assert_allclose(norms, recorded["grad_norm_per_token0"], rtol=1e-4)


@with_first_context
def test_first_context_after_each_step(trace, recorded, contexts):
    ours = np.stack(trace[2])[:, contexts.index(0)]
    np.testing.assert_allclose(ours, recorded["ctx0_after"], rtol=0, atol=CONTEXT)


@with_second_context
def test_second_context_after_the_last_step(trace, recorded, contexts):
    ours = trace[2][-1][contexts.index(1)]
    np.testing.assert_allclose(ours, recorded["ctx1_final"], rtol=0, atol=CONTEXT)
