from dataclasses import replace

import pytest
import torch

from sdcorr.errors import UserError
from sdcorr.prompt.module import RandomCrops, fit, run
from sdcorr.prompt.speed.plateau import StoppingOptimization
from tests.prompt.test_module import SETTINGS, problem


def stopping(backbone, settings) -> tuple[StoppingOptimization, RandomCrops]:
    return problem(backbone, settings, module=StoppingOptimization)


class TestPlateau:
    """At a share just below 1 every loss is a plateau, so that all queries stop as soon as they may: after 20 steps."""

    SETTINGS = replace(SETTINGS, steps=40, plateau=0.99, optimize_crops=False)

    def test_stops_with_the_embeddings_of_that_step(self, small_backbone):
        losses = []
        stopped = run(*stopping(small_backbone, self.SETTINGS), lambda step, loss: losses.append(loss))
        assert len(losses) == 20
        shorter = replace(self.SETTINGS, steps=20, plateau=0.0)
        assert torch.equal(stopped, run(*problem(small_backbone, shorter)))

    def test_each_query_stops_by_itself(self, small_backbone, monkeypatch):
        """The first two queries are told that they go on falling: they are what they would be without the others."""
        patience = replace(self.SETTINGS, steps=25)
        watch = StoppingOptimization.on_train_batch_start

        def first_two_fall(module, batch, step):
            for past, losses in enumerate(module.losses):
                losses[:2] = 0.001**past  # 0 from about the tenth on, but never rising
                losses[:2] += 1e-30
            return watch(module, batch, step)

        monkeypatch.setattr(StoppingOptimization, "on_train_batch_start", first_two_fall)
        module, crops = stopping(small_backbone, patience)
        result = run(module, crops)
        assert sorted(module._stopped) == [2, 3]
        longer, shorter = (replace(patience, steps=steps, plateau=0.0) for steps in (25, 20))
        torch.testing.assert_close(result[2:], run(*problem(small_backbone, shorter))[2:])
        torch.testing.assert_close(result[:2], run(*problem(small_backbone, longer))[:2], rtol=0, atol=1e-4)

    def test_a_falling_loss_goes_on(self, small_backbone):
        settings = replace(self.SETTINGS, plateau=1e-6, learning_rate=0.05, sigma=8.0)
        losses = []
        run(*stopping(small_backbone, settings), lambda step, loss: losses.append(loss))
        assert len(losses) == 40

    def test_a_trainer_stops_too(self, small_backbone):
        light = run(*stopping(small_backbone, self.SETTINGS))
        assert torch.equal(fit(*stopping(small_backbone, self.SETTINGS)), light)

    def test_without_it_nothing_changes(self, small_backbone):
        settings = replace(self.SETTINGS, plateau=0.0, steps=4)
        assert torch.equal(run(*stopping(small_backbone, settings)), run(*problem(small_backbone, settings)))

    def test_a_query_without_a_number_does_not_stop_in_silence(self, small_backbone, monkeypatch):
        module, crops = stopping(small_backbone, self.SETTINGS)
        maps = module.maps
        monkeypatch.setattr(module, "maps", lambda *args: [layer * torch.nan for layer in maps(*args)])
        with pytest.raises(UserError, match="The loss at step 0 of the query"):
            run(module, crops)
