import numpy as np
import pytest
import torch

from sdcorr.scoring.averages import AVERAGES
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.torch_metric import PCK


def reference(pairs, alpha):
    """PCK from its definition, one point at a time: per point, per image."""
    fractions, hits = [], []
    for predicted, truth, normalizer, _ in pairs:
        right = [float(np.hypot(*(p - t))) <= alpha * normalizer for p, t in zip(predicted, truth, strict=True)]
        hits += right
        if right:
            fractions.append(sum(right) / len(right))
    return sum(hits) / len(hits), sum(fractions) / len(fractions)


def random_pairs(count):
    draws = np.random.default_rng(5)
    for index in range(count):
        points = draws.integers(0, 6)
        predicted, truth = draws.uniform(0, 100, (2, points, 2))
        yield predicted, truth, draws.uniform(100, 900), "cat" if index % 3 else "bus"


def updated(metric, pairs):
    for predicted, truth, normalizer, category in pairs:
        metric.update(torch.tensor(predicted), torch.tensor(truth), normalizer, category)
    return metric


class TestMetric:
    @pytest.mark.parametrize("alpha", [0.05, 0.1])
    def test_against_the_definition(self, alpha):
        pairs = list(random_pairs(60))
        summary = updated(PCK(categories=["cat", "bus"]), pairs).compute()
        per_point, per_image = reference(pairs, alpha)
        assert 0 < per_point < 1 and abs(per_point - per_image) > 1e-3  # the averages differ
        assert summary[f"{pck_name(alpha)}/per_point"].item() == pytest.approx(per_point, abs=1e-6)
        assert summary[f"{pck_name(alpha)}/per_image"].item() == pytest.approx(per_image, abs=1e-6)
        parts = {name: [pair for pair in pairs if pair[3] == name and len(pair[0])] for name in ("cat", "bus")}
        of_category = {name: reference(part, alpha) for name, part in parts.items()}
        for name, (per_point, per_image) in of_category.items():
            found = [summary[f"{pck_name(alpha)}/{average}/category/{name}"].item() for average in AVERAGES[:2]]
            assert found == pytest.approx([per_point, per_image], abs=1e-6)
        hybrid = sum(of_category[name][0] * len(part) for name, part in parts.items()) / sum(map(len, parts.values()))
        means = np.mean(list(of_category.values()), axis=0)
        found = [summary[f"{pck_name(alpha)}/{average}"].item() for average in AVERAGES[2:]]
        assert found == pytest.approx([hybrid, *means], abs=1e-6)

    def test_without_categories(self):
        pairs = list(random_pairs(20))
        assert set(updated(PCK(alphas=[0.1]), pairs).compute()) == {"pck@0.10/per_point", "pck@0.10/per_image"}

    def test_ranks_add_up(self):
        pairs = list(random_pairs(40))
        whole = updated(PCK(categories=["cat", "bus"]), pairs)
        ranks = [updated(PCK(categories=["cat", "bus"]), pairs[rank::3]) for rank in range(3)]
        ranks.append(PCK(categories=["cat", "bus"]))  # a rank that had nothing to do
        summed = PCK(categories=["cat", "bus"])
        for name in summed._defaults:  # what the "sum" reduction of torchmetrics does
            assert summed._reductions[name] is whole._reductions[name]
            setattr(summed, name, sum(getattr(rank, name) for rank in ranks))
        summed._update_count = 1
        assert summed.compute().keys() == whole.compute().keys()
        for name, value in whole.compute().items():
            assert summed.compute()[name].item() == pytest.approx(value.item(), abs=1e-12)

    def test_an_unknown_category_is_refused_by_name(self):
        with pytest.raises(ValueError, match="one of cat, bus, not 'dog'"):
            PCK(categories=["cat", "bus"]).update(torch.zeros(1, 2), torch.zeros(1, 2), 1.0, "dog")

    def test_a_category_without_points_is_left_out(self):
        metric = PCK(alphas=[0.1], categories=["cat", "bus"])
        metric.update(torch.zeros(1, 2), torch.zeros(1, 2), 1.0, "cat")
        metric.update(torch.zeros(0, 2), torch.zeros(0, 2), 1.0, "bus")
        assert "pck@0.10/per_point/category/cat" in metric.compute()
        assert "pck@0.10/per_point/category/bus" not in metric.compute()
