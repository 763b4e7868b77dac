import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.labels.filters import Filters, read_filters, removals

COLUMNS = {
    "track": np.array(["a", "a", "a", "b", "b", "b"]),
    "confidence": np.array([0.9, 0.5, 0.4, 0.8, 0.2, 0.1]),
    "way_back": np.array([0.0, 0.1, 0.0, 0.3, 0.0, 0.0]),
    "votes": np.full(6, np.nan),
}
COLUMNS |= {name: np.zeros(6) for name in ("margin", "likeness", "restarts", "layers", "on_object")}


def passed(**filters) -> dict[str, list[int]]:
    return {name: which.astype(int).tolist() for name, which in Filters(**filters).passed(COLUMNS).items()}


def test_each_filter_is_a_threshold_that_is_reached():
    found = passed(confidence=0.5, way_back=0.1)
    assert found["confidence"] == [1, 1, 0, 1, 0, 0]
    assert found["way_back"] == [1, 1, 1, 0, 1, 1]
    assert found["margin"] == found["support"] == [1] * 6


def test_support_counts_what_passes_the_others_in_a_track():
    assert passed(confidence=0.5, way_back=0.1, support=0.5)["support"] == [1, 1, 1, 0, 0, 0]  # 2 of 3, 0 of 3
    assert passed(confidence=0.5, support=0.3)["support"] == [1] * 6  # 2 of 3, 1 of 3
    assert list(passed())[-1] == "support"


def test_removals_count_alone_and_in_turn():
    found = list(removals(Filters(confidence=0.5, way_back=0.1, support=0.5), COLUMNS))
    assert [(each.name, each.alone, each.left) for each in found] == [
        ("confidence", 3, 3),
        ("way_back", 1, 2),
        ("support", 3, 2),
    ]


def test_mistakes_are_told():
    with pytest.raises(UserError, match=r"leave no votes behind: give filters.votes=null"):
        passed(votes=-1)
    with pytest.raises(UserError, match=r"There is no filter 'trust': there is confidence, "):
        read_filters({"trust": 1})
    with pytest.raises(UserError, match=r"filters.margin=high is not legal"):
        read_filters({"margin": "high"})
