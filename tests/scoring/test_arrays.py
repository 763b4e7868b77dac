import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.run.records import Failure
from sdcorr.scoring.arrays import collect, read
from tests.run.fakes import make_pair
from tests.scoring.fakes import missed, record, write_records


class TestCollect:
    def test_points_follow_their_pair_and_pairs_are_sorted(self):
        late, early = make_pair("b-z", points=2), make_pair("a-z", points=3, visible=[True, False, True])
        arrays = collect([record([missed(late, [1, 2])]), record([missed(early, [3, 4])])])
        assert arrays.ids.tolist() == ["a-z", "b-z"]
        assert arrays.rows.tolist() == [0, 0, 1, 1]
        assert (arrays.predicted - arrays.truth).tolist() == [[3, 0], [4, 0], [1, 0], [2, 0]]
        assert arrays.truth.tolist() == [*early.true_points.tolist(), *late.true_points.tolist()]

    def test_what_is_known_of_the_run(self):
        records = [record([missed(make_pair(f"{s}-z", points=1), [0])], seconds=1.5, split="val") for s in "ab"]
        records.append(
            record([missed(make_pair("c-z", points=1), [0])], failures=[Failure("c-x", "x", "")], split="val")
        )
        arrays = collect(records)
        assert (arrays.dataset, arrays.split) == ("spair", "val")
        assert (arrays.seconds, arrays.failures) == (5.0, 1)

    def test_pairs_without_visible_points_are_left_out(self):
        blind = make_pair("a-b", points=2, visible=[False, False])
        assert collect([record([missed(blind, []), missed(make_pair("a-c", points=1), [0])])]).ids.tolist() == ["a-c"]
        with pytest.raises(UserError, match="nothing to score"):
            collect([record([missed(blind, [])])])

    def test_records_of_two_data_sets_are_refused(self):
        records = [record([missed(make_pair(), [0, 0, 0])], dataset=name) for name in ("cub", "spair")]
        with pytest.raises(UserError, match="cub test, spair test"):
            collect(records)


def test_read_puts_the_method_first(tmp_path):
    records = [record([missed(make_pair(points=1), [ord(name[0])])], name) for name in ("a", "prompt", "z")]
    arrays = read(write_records(tmp_path, records), "prompt")
    assert list(arrays) == ["prompt", "a", "z"]
    assert np.allclose(arrays["z"].predicted - arrays["z"].truth, [[ord("z"), 0]])
