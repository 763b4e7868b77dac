import pytest

from sdcorr.methods.base import Claim
from sdcorr.run.claims import differences, from_plain, to_plain, told


def test_a_claim_comes_back_as_a_file_can_hold_it() -> None:
    claim = Claim("a.B", 2, {"layers": ("x", "y"), "eps": 1e-8, "heads": None}, {"unet/weights": "3f"})
    assert from_plain(to_plain(claim)) == Claim(
        "a.B", 2, {"layers": ["x", "y"], "eps": 1e-8, "heads": None}, claim.model
    )
    assert from_plain(to_plain(Claim("a.B", 1, {}))) == Claim("a.B", 1, {}, None)


@pytest.mark.parametrize(
    "there, here, said",
    [
        (Claim("k", 1, {"steps": 129}), Claim("k", 1, {"steps": 50}), "settings.steps is 129 there and 50 here"),
        (Claim("k", 1, {}), Claim("k", 2, {}), "version is 1 there and 2 here"),
        (Claim("k", 1, {}), Claim("l", 1, {}), "kind is k there and l here"),
        (Claim("k", 1, {}, {"w": "3f"}), Claim("k", 1, {}, {"w": "9b"}), "model.w is 3f there and 9b here"),
        (Claim("k", 1, {}, None), Claim("k", 1, {}, {"w": "9b"}), "model.w is absent there and 9b here"),
        (Claim("k", 1, {"a": {"b": 1}}), Claim("k", 1, {"a": None}), "settings.a.b is 1 there and absent here"),
        (Claim("k", 1, {"a": [1]}), Claim("k", 1, {}), "settings.a is [1] there and absent here"),
        (Claim("k", 1, {"a": None}), Claim("k", 1, {"a": 0}), "settings.a is None there and 0 here"),
    ],
)
def test_what_differs_is_said_leaf_by_leaf(there: Claim, here: Claim, said: str) -> None:
    assert list(differences(to_plain(there), to_plain(here))) == [said]


def test_the_same_is_the_same_in_any_order() -> None:
    assert told(to_plain(Claim("k", 1, {"a": 1, "b": (2,)})), to_plain(Claim("k", 1, {"b": [2], "a": 1}))) == ""


def test_many_differences_are_counted() -> None:
    assert told(dict.fromkeys("abcdefg", 0), dict.fromkeys("abcdefg", 1)).endswith(
        "; d is 0 there and 1 here and 3 more"
    )
