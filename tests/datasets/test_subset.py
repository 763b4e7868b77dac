from collections import Counter

import numpy as np
import pytest

from sdcorr.datasets.subset import TARGETS, Part, limited
from tests.run.fakes import FakeBenchmark, make_pair


def pairs_of(**categories):
    """Pairs of each category: `cat=[3, 2]` are three targets of its first source and two of its second one."""
    return [
        make_pair(f"{name}{source}-{target}", category=name)
        for name, sources in categories.items()
        for source, targets in enumerate(sources)
        for target in range(targets)
    ]


def ids(pairs):
    return [pair.id for pair in pairs]


def test_categories_take_turns():
    pairs = pairs_of(cat=[9], dog=[1, 1, 1], cow=[5])
    assert ids(limited(pairs, 5)) == ["cat0-0", "cat0-1", "dog0-0", "cow0-0", "cow0-1"]
    assert Counter(pair.category for pair in limited(pairs, 9)) == {"cat": 3, "dog": 3, "cow": 3}
    assert Counter(pair.category for pair in limited(pairs, 13)) == {"cat": 5, "dog": 3, "cow": 5}  # there are no more


def test_a_few_targets_of_a_source_then_the_next_source():
    pairs = pairs_of(cat=[10, 10, 2])
    assert [len([p for p in limited(pairs, 10) if p.source == s]) for s in ("cat0", "cat1", "cat2")] == [4, 4, 2]
    assert ids(limited(pairs, 6)) == [*(f"cat0-{n}" for n in range(TARGETS)), "cat1-0", "cat1-1"]
    assert ids(limited(pairs, 12)) == ids(pairs[:6] + pairs[10:14] + pairs[20:])


def test_sources_whose_pairs_are_not_neighbors():
    pairs = [make_pair(f"{source}-{n}", category="cat") for n in range(6) for source in "ab"]
    assert Counter(pair.source for pair in limited(pairs, 4)) == {"a": 4}


@pytest.mark.parametrize("count", [0, 19, 20])
def test_all(count):
    pairs = pairs_of(cat=[10, 5], dog=[4])
    assert limited(pairs, count) == tuple(pairs)


def test_a_larger_part_holds_every_smaller_one_in_the_order_of_the_data_set():
    pairs = pairs_of(cat=[7, 3, 9], dog=[2, 6], cow=[1], horse=[4, 4])
    order = ids(pairs)
    before = set()
    for count in range(1, len(pairs) + 1):
        part = ids(limited(pairs, count))
        assert len(part) == count and before < set(part) and part == sorted(part, key=order.index)
        before = set(part)


def test_pairs_without_a_point_come_last():
    empty = [make_pair(f"a-{n}", category="a", points=2, visible=[False, False]) for n in range(5)]
    pairs = empty + pairs_of(cat=[2])
    assert ids(limited(pairs, 2)) == ["cat0-0", "cat0-1"] and len(limited(pairs, 4)) == 4


def test_it_needs_few_sources():
    draws = np.random.default_rng(0)
    names = [f"c{k:02d}" for k in range(18)]
    pairs = [make_pair(f"{name}s{s}-{t}", category=name) for name in names for s, t in draws.integers(0, 25, (60, 2))]
    part = limited(pairs, 144)  # eight of each category
    assert len({pair.source for pair in part}) < 2 * len({pair.category for pair in part}) * 1.5 + 18


class TestPart:
    def test_is_the_whole_with_fewer_pairs(self):
        whole = FakeBenchmark()
        part = Part(whole, 3)
        assert (part.name, part.split, part.limit, part.broken, dict(part.expected)) == ("fake", "test", 3, (), {})
        assert part.pairs == limited(whole.pairs, 3) and part.whole is whole and part.identity == whole.identity
        assert part.image("a").size == whole.image("a").size
