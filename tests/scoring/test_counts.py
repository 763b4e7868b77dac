import numpy as np

from sdcorr.scoring.arrays import collect
from sdcorr.scoring.bootstrap import Bootstrap, estimate
from sdcorr.scoring.counts import count
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import GROUPS
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import make_pair
from tests.scoring.fakes import ALPHAS, missed, record

STANDARD = PROTOCOLS["standard"]


def counted(records):
    return count(collect(records), STANDARD, ALPHAS)


class TestCount:
    def test_hand_computed(self):
        first = make_pair("a-b", points=2, category="cat")
        second = make_pair("a-c", points=4, category="bus", visible=[True, True, False, True])
        counts = counted([record([missed(second, [4, 6, 11]), missed(first, [0, 5])])])
        assert counts.ids.tolist() == ["a-b", "a-c"]
        assert counts.categories.tolist() == ["cat", "bus"]
        assert counts.points[:, 0].tolist() == [2, 3]
        assert counts.sums[:, 0].tolist() == [[2, 2], [1, 2]]
        assert counts.measures == PCK.measures(ALPHAS)
        assert counts.points[:, 1:].sum() == 0  # nobody said which parts are ambiguous

    def test_ambiguous_and_distinct_points(self):
        pair = make_pair("a-b", points=4, ambiguous=[True, True, False, False], visible=[True, False, True, True])
        counts = counted([record([missed(pair, [20, 0, 7]), missed(make_pair("a-c", points=1), [0])])])
        assert counts.points[:, :3].tolist() == [[3, 1, 2], [1, 0, 0]]
        assert counts.sums[:, :3].tolist() == [[[1, 2], [0, 0], [1, 2]], [[1, 1], [0, 0], [0, 0]]]

    def test_order_of_the_records_does_not_matter(self):
        records = [record([missed(make_pair(f"{source}-z"), [0, 6, 11])]) for source in "abc"]
        forward, backward = (counted(each) for each in (records, records[::-1]))
        assert forward.ids.tolist() == backward.ids.tolist()
        assert np.array_equal(*(Bootstrap(10).means(each).resamples for each in (forward, backward)), equal_nan=True)


class TestParts:
    def flagged(self, *flags):
        pairs = [make_pair(f"{k}-z", points=1, flags=each) for k, each in enumerate(flags)]
        return counted([record([missed(pair, [0]) for pair in pairs])])

    def parts(self, *flags):
        return {part.name: rows.tolist() for part, rows in self.flagged(*flags).parts()}

    def test_flags_sort_the_pairs_by_difficulty(self):
        parts = self.parts({"scale": "easy", "occlusion": 0}, {"scale": "hard", "occlusion": 2}, {"occlusion": 0})
        assert parts == {
            "cat": [True, True, True],
            "occlusion=0": [True, False, True],
            "occlusion=2": [False, True, False],
            "scale=easy": [True, False, False],
            "scale=hard": [False, True, False],  # the last pair has no such flag
        }

    def test_a_flag_that_all_share_or_that_names_or_measures_a_pair_is_no_difficulty(self):
        flags = [{"mirror": "no", "species": f"species {k}", "angle": k / 2} for k in range(9)]
        assert list(self.parts(*flags)) == ["cat"]
        assert list(self.parts(*flags[:3])) == ["cat", *(f"species=species {k}" for k in range(3))]

    def test_parts_are_kept_with_some_of_the_rows(self):
        counts = self.flagged({"scale": "easy"}, {"scale": "hard"}, {"scale": "easy"}).rows(np.array([1, 2]))
        assert {part.name: rows.tolist() for part, rows in counts.parts()}["scale=easy"] == [False, True]
        assert estimate(counts).shape == (5, len(GROUPS), 2)
