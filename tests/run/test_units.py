import pytest

from sdcorr.datasets import group_by_source
from sdcorr.run.units import share
from tests.run.fakes import make_pair


class TestShare:
    def test_every_unit_once_balanced_and_in_the_order_of_the_data_set(self):
        pairs = [make_pair(f"s{index}-t", points=1 + index % 7) for index in range(40)]
        units = group_by_source(pairs)
        hands = [share(units, rank, 3) for rank in range(3)]
        assert sorted(unit.source for hand in hands for unit in hand) == sorted(unit.source for unit in units)
        for hand in hands:
            assert hand == [unit for unit in units if unit in hand]
        loads = [sum(unit.cost for unit in hand) for hand in hands]
        assert max(loads) - min(loads) <= max(unit.cost for unit in units)

    def test_the_order_of_the_units_changes_no_hand(self):
        units = group_by_source([make_pair(f"s{index}-t", points=1 + index % 3) for index in range(12)])
        first, second = share(units, 1, 2), share(units[::-1], 1, 2)
        assert {unit.source for unit in first} == {unit.source for unit in second}

    def test_more_ranks_than_units(self):
        units = group_by_source([make_pair("a-b")])
        assert [len(share(units, rank, 3)) for rank in range(3)] == [1, 0, 0]

    @pytest.mark.parametrize("rank, world_size", [(2, 2), (-1, 2), (0, 0)])
    def test_a_rank_that_does_not_exist(self, rank, world_size):
        with pytest.raises(ValueError, match="rank must be in"):
            share([], rank, world_size)
