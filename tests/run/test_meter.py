"""Seconds and FLOPs of a source image, and what a method costs by them."""

import time
from dataclasses import replace

import torch
import torch.nn.functional as F

from sdcorr.run.costs import cost_of
from sdcorr.run.meter import Meter
from sdcorr.run.records import Cost, UnitRecord, record_from_json, record_to_json
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, evaluate


class TestMeter:
    def test_products_convolutions_and_attention_of_a_processor_are_counted(self) -> None:
        """2 m k n; 2 for each weight and place of the result; attention is two products of 8 x 8 x 4 in 2 heads."""
        with Meter(count=True) as meter:
            torch.zeros(3, 4) @ torch.zeros(4, 5)
            meter.source_done()
            F.conv2d(torch.zeros(1, 2, 6, 6), torch.zeros(3, 2, 3, 3))
            q = torch.zeros(1, 2, 8, 4)
            F.scaled_dot_product_attention(q, q, q)
        cost = meter.cost(1, 0)
        assert cost.flops_of_source == 2 * 3 * 4 * 5
        assert cost.flops == 2 * 3 * 4 * 5 + 2 * (3 * 2 * 3 * 3) * (4 * 4) + 2 * (2 * 2 * 8 * 8 * 4)

    def test_a_backward_pass_is_counted(self) -> None:
        weights, inputs = torch.ones(4, 5), torch.ones(3, 4, requires_grad=True)
        with Meter(count=True) as meter:
            (inputs @ weights).sum().backward()
        assert meter.cost(1, 0).flops == 2 * 2 * 3 * 4 * 5

    def test_the_source_is_told_apart_from_its_targets(self) -> None:
        with Meter(count=False) as meter:
            time.sleep(0.05)
            meter.source_done()
            time.sleep(0.02)
        cost = meter.cost(2, 0)
        assert cost.seconds_of_source is not None and cost.flops is None
        assert 0.05 <= cost.seconds_of_source < cost.seconds - 0.02 + 0.005


def record(**cost) -> UnitRecord:
    return UnitRecord("fake", "test", "m", "a", 1.0, (), peak_bytes=5, cost=Cost(**cost))


class TestCosts:
    def test_means_over_targets(self) -> None:
        """The first counts FLOPs and is slow; the others took 10 + 20 s for 3 + 2 targets, 4 + 6 s of it at these."""
        costs = cost_of(
            [
                record(seconds=90.0, targets=2, seconds_of_source=80.0, flops=100, flops_of_source=60),
                record(seconds=10.0, targets=3, seconds_of_source=6.0),
                record(seconds=20.0, targets=2, seconds_of_source=14.0),
            ]
        )
        assert (costs.pair_seconds, costs.target_seconds) == (6, 2)
        assert (costs.pair_flops, costs.target_flops) == (50, 20)
        assert costs.peak_bytes == 5

    def test_what_was_found_on_disk_leaves_no_cost_of_a_pair(self) -> None:
        costs = cost_of(
            [record(seconds=10.0, targets=5, seconds_of_source=1.0, flops=100, flops_of_source=50, found=7)]
        )
        assert costs.found == 7 and costs.pair_seconds is None and costs.pair_flops is None
        assert costs.target_flops == 10  # targets cost what they cost

    def test_records_of_before(self) -> None:
        costs = cost_of([replace(record(seconds=1.0, targets=1), cost=None)])
        assert costs.pair_seconds is None and costs.peak_bytes == 5

    def test_it_lies_in_the_record(self) -> None:
        told = record(seconds=1.5, targets=2, found=3)
        assert record_from_json(record_to_json(told)).cost == told.cost


def test_a_run_measures_and_counts_once(tmp_path) -> None:
    store = PredictionStore(tmp_path)
    evaluate(FakeBenchmark(), FakeMethod(0.001), store)
    costs = [each.cost for each in store.records("fake")]
    assert [cost.targets for cost in costs if cost] == [3] * 4
    assert sum(cost.flops is not None for cost in costs if cost) == 1
    assert all(cost.seconds >= 0.003 for cost in costs if cost)


def test_a_cost_is_no_part_of_what_is_predicted(tmp_path) -> None:
    store = PredictionStore(tmp_path)
    evaluate(FakeBenchmark(), FakeMethod(), store)
    again = FakeMethod()
    first = store.records("fake")[0]
    store.save(replace(first, cost=None))
    evaluate(FakeBenchmark(), again, store)
    assert again.matched == []
