import numpy as np
import pytest

from sdcorr.datasets import Match, group_by_source, scorable, unit_name
from tests.run.fakes import make_pair


class TestPair:
    def test_visible_points_are_asked_for_and_scored(self):
        pair = make_pair(
            points=3,
            source_points=[[1, 2], [3, 4], [5, 6]],
            target_points=[[7, 8], [np.nan, np.nan], [9, 10]],
            visible=[True, False, True],
        )
        assert pair.query_points.tolist() == [[1, 2], [5, 6]]
        assert pair.true_points.tolist() == [[7, 8], [9, 10]]
        assert pair.source_points.dtype == np.float64

    def test_a_pair_without_points(self):
        pair = make_pair(points=0)
        assert pair.query_points.shape == (0, 2)

    def test_the_caller_s_arrays_stay_its_own(self):
        points = np.zeros((3, 2))
        pair = make_pair(points=3, source_points=points)
        points[0] = 7
        assert pair.source_points[0].tolist() == [0, 0]
        with pytest.raises(ValueError, match="read-only"):
            pair.source_points[0] = 7

    @pytest.mark.parametrize(
        "change, complaint",
        [
            ({"source_points": np.zeros((2, 2))}, "source_points has shape"),
            ({"target_points": np.zeros((3, 3))}, "target_points has shape"),
            ({"visible": [True]}, "visible has shape"),
            ({"ambiguous": [True]}, "ambiguous has shape"),
            ({"source_points": [[1, 2], [np.nan, 1], [3, 4]]}, "asked point in source_points"),
            ({"target_points": [[1, 2], [np.inf, 1], [3, 4]]}, "asked point in target_points"),
            ({"source_size": (1, 2, 3)}, "source_size has 3 numbers"),
            ({"target_box": (1, 2, 3)}, "target_box has 3 numbers"),
        ],
    )
    def test_what_does_not_fit_is_refused_by_name(self, change, complaint):
        with pytest.raises(ValueError, match=f"a-b: .*{complaint}"):
            make_pair(**change)


class TestMatch:
    @pytest.mark.parametrize(
        "points, confidence",
        [([[1, 2]], [0.5, 0.5]), ([[1, np.inf]], [0.5]), ([[1, 2]], [np.nan]), ([[1, 2]], [1.1]), ([[1, 2]], [-0.1])],
    )
    def test_what_cannot_be_an_answer_is_refused(self, points, confidence):
        with pytest.raises(ValueError):
            Match(points, confidence)

    @pytest.mark.parametrize("values", [[1.0], [1.0, np.nan]])
    def test_evidence_is_a_finite_number_for_each_point(self, values):
        with pytest.raises(ValueError, match="the evidence margin is not a finite number for each point"):
            Match([[1, 2], [3, 4]], [0.5, 0.5], evidence={"margin": values})

    def test_evidence_goes_with_its_points(self):
        pair = make_pair(points=3, target_points=[[1, 2], [np.nan, np.nan], [3, 4]])
        match = Match(np.ones((3, 2)), [0.1, 0.2, 0.3], evidence={"margin": [1, 2, 3]})
        assert scorable(pair, match)[1].evidence["margin"].tolist() == [1, 3]

    def test_no_points_at_all(self):
        assert Match([], []).points.shape == (0, 2)


class TestGroupBySource:
    def test_points_are_kept_once_and_every_target_finds_its_own(self):
        first = make_pair("a-b", points=2, source_points=[[1, 2], [3, 4]])
        second = make_pair("a-c", points=3, source_points=[[3, 4], [5, 6], [1, 2]], visible=[True, False, True])
        other = make_pair("b-a", points=1)
        units = group_by_source([first, other, second])
        assert [unit.source for unit in units] == ["a", "b"]
        assert units[0].points.tolist() == [[1, 2], [3, 4]]  # (5, 6) is not visible in the target
        assert units[0].pairs == (first, second)
        assert [target.points for target in units[0].targets] == [(0, 1), (1, 0)]
        for target in units[0].targets:
            assert np.array_equal(units[0].points[list(target.points)], target.pair.query_points)

    def test_a_pair_without_visible_points_stays(self):
        (unit,) = group_by_source([make_pair("a-b", points=1, visible=[False])])
        assert unit.points.shape == (0, 2)
        assert unit.targets[0].points == ()

    def test_an_optimized_point_costs_more_than_a_transferred_one(self):
        one_target = group_by_source([make_pair("a-b", points=4)])[0]
        two_targets = group_by_source([make_pair("a-b", points=4), make_pair("a-c", points=4)])[0]
        assert len(two_targets.points) == 8  # the points of the two pairs differ
        same = [
            make_pair(f"a-{target}", points=4, source_points=np.add(np.eye(4, 2), [[0], [0], [1], [2]]))
            for target in "bc"
        ]
        same_points = group_by_source(same)[0]
        assert one_target.cost < same_points.cost < two_targets.cost


class TestUnitName:
    def test_names_are_legal_and_distinct(self):
        keys = ["cat/2008_001", "cat_2008_001", "car(G)/Cars_006a.png", "ü:?*", "x" * 500, "X" * 500, "", "."]
        names = [unit_name(key) for key in keys]
        assert len({name.lower() for name in names}) == len(keys)
        assert all(
            set(name) <= set("-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for name in names
        )
        assert max(map(len, names)) < 100

    def test_a_name_can_be_recognized(self):
        assert unit_name("cat/2008_001").startswith("cat_2008_001-")
