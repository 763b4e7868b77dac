import numpy as np

from sdcorr.scoring.arrays import collect
from sdcorr.scoring.bootstrap import estimate, resampled
from sdcorr.scoring.counts import tally
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import make_pair
from tests.scoring.tallies import ALPHAS, missed, record

STANDARD = PROTOCOLS["standard"]


class TestTally:
    def test_hand_computed(self):
        first = make_pair("a-b", points=2, category="cat")
        second = make_pair("a-c", points=4, category="bus", visible=[True, True, False, True])
        counts = tally([record([missed(second, [4, 6, 11]), missed(first, [0, 5])])], STANDARD, ALPHAS)
        assert counts.ids.tolist() == ["a-b", "a-c"]
        assert counts.categories.tolist() == ["cat", "bus"]
        assert counts.points[:, 0].tolist() == [2, 3]
        assert counts.correct[:, 0].tolist() == [[2, 2], [1, 2]]
        assert counts.points[:, 1:].sum() == 0  # nobody said which parts are ambiguous

    def test_answers_are_counted_as_their_records_are(self):
        records = [record([missed(make_pair(f"{s}-z"), [0, 6, 11])]) for s in "ab"]
        counts, again = tally(records, STANDARD, ALPHAS), tally(collect(records), STANDARD, ALPHAS)
        assert np.array_equal(counts.correct, again.correct) and np.array_equal(counts.ids, again.ids)

    def test_ambiguous_and_distinct_points(self):
        pair = make_pair("a-b", points=4, ambiguous=[True, True, False, False], visible=[True, False, True, True])
        counts = tally([record([missed(pair, [20, 0, 7]), missed(make_pair("a-c", points=1), [0])])], STANDARD, ALPHAS)
        assert counts.points.tolist() == [[3, 1, 2], [1, 0, 0]]
        assert counts.correct.tolist() == [[[1, 2], [0, 0], [1, 2]], [[1, 1], [0, 0], [0, 0]]]

    def test_order_of_the_records_does_not_matter(self):
        records = [record([missed(make_pair(f"{source}-z"), [0, 6, 11])]) for source in "abc"]
        forward, backward = (tally(each, STANDARD, ALPHAS) for each in (records, records[::-1]))
        assert forward.ids.tolist() == backward.ids.tolist()
        assert np.array_equal(resampled(forward, 10, 0), resampled(backward, 10, 0), equal_nan=True)


class TestParts:
    def flagged(self, *flags):
        pairs = [make_pair(f"{k}-z", points=1, flags=each) for k, each in enumerate(flags)]
        return tally([record([missed(pair, [0]) for pair in pairs])], STANDARD, ALPHAS)

    def parts(self, *flags):
        return {name: rows.tolist() for name, rows in self.flagged(*flags).parts()}

    def test_flags_sort_the_pairs_by_difficulty(self):
        parts = self.parts({"scale": "easy", "occlusion": 0}, {"scale": "hard", "occlusion": 2}, {"occlusion": 0})
        assert parts == {
            "category/cat": [True, True, True],
            "difficulty/occlusion=0": [True, False, True],
            "difficulty/occlusion=2": [False, True, False],
            "difficulty/scale=easy": [True, False, False],
            "difficulty/scale=hard": [False, True, False],  # the last pair has no such flag
        }

    def test_a_flag_that_all_share_or_that_names_or_measures_a_pair_is_no_difficulty(self):
        flags = [{"mirror": "no", "species": f"species {k}", "angle": k / 2} for k in range(9)]
        assert list(self.parts(*flags)) == ["category/cat"]
        assert list(self.parts(*flags[:3])) == ["category/cat", *(f"difficulty/species=species {k}" for k in range(3))]

    def test_parts_are_kept_with_some_of_the_rows(self):
        counts = self.flagged({"scale": "easy"}, {"scale": "hard"}, {"scale": "easy"}).rows(np.array([1, 2]))
        assert {name: rows.tolist() for name, rows in counts.parts()}["difficulty/scale=easy"] == [False, True]
        assert estimate(counts).shape == (5, 3, 2)
