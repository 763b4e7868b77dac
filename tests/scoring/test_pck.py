import numpy as np
import pytest
import torch

from sdcorr.scoring.pck import AVERAGES, PCK, averages, pck_name, point_distances, within


class TestFunctions:
    @pytest.mark.parametrize("kind", [np.array, torch.tensor])
    def test_hand_computed(self, kind):
        distances = point_distances(
            kind([[3.0, 4.0], [1.0, 1.0], [0.0, 2.0]]), kind([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        )
        assert distances.tolist() == [5, 0, 2]
        assert within(distances, 50.0, 0.1).tolist() == [True, True, True]
        assert within(distances, 50.0, 0.1, "<").tolist() == [False, True, True]
        assert within(distances, 20.0, 0.1).tolist() == [False, True, True]

    def test_a_normalizer_for_each_point(self):
        assert within(np.array([5.0, 5.0]), np.array([50.0, 49.0]), 0.1).tolist() == [True, False]

    def test_the_precision_of_the_inputs_is_kept(self):
        distance = np.array([51.2], dtype=np.float32)  # the nearest number is a little more than 51.2
        assert within(distance, np.float32(512), 0.1).tolist() == [True]
        assert within(distance.astype(np.float64), np.float64(512), 0.1).tolist() == [False]

    def test_names(self):
        assert [pck_name(alpha) for alpha in (0.01, 0.1, 0.125, 1)] == ["pck@0.01", "pck@0.10", "pck@0.125", "pck@1.00"]


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


class TestAverages:
    # cats: 9 of 10 and 0 of 2 points right; a bus: 1 of 1; dogs: none were asked for
    SUMS = ([[9.0], [1.0], [0.0]], [12, 1, 0], [[0.9], [1.0], [0.0]], [2, 1, 0])
    EXPECTED = [10 / 13, 1.9 / 3, (2 * 9 / 12 + 1) / 3, (9 / 12 + 1) / 2, (0.45 + 1) / 2]

    @pytest.mark.parametrize("kind", [np.array, torch.tensor])
    def test_hand_computed(self, kind):
        values = averages(*(kind(sums) for sums in self.SUMS))
        assert [round(float(value[0]), 6) for value in values] == [round(value, 6) for value in self.EXPECTED]

    def test_many_at_once(self):
        once = [np.array(sums) for sums in self.SUMS]
        values = averages(*(np.stack([sums, 2 * sums]) for sums in once))
        assert all(value.shape == (2, 1) and value[0] == pytest.approx(value[1]) for value in values)


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
