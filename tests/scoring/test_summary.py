import json

from sdcorr.scoring.parts import AMBIGUOUS, Part
from sdcorr.scoring.summary import flatten, key, write_summary
from tests.scoring.fakes import pck, random_counts, scored


def scores(samples: int = 20):
    return scored({"m": random_counts(), "other": random_counts(seed=1)}, samples, headline="per_image")


def test_every_score_has_a_key():
    found, plain = scores(), flatten(scores())
    assert (plain["protocol"], plain["headline"], plain["dataset"], plain["split"]) == (
        *("standard", "per_image"),
        *("toybox", "test"),
    )
    assert (plain["pairs"], plain["points"]) == (found.ours.pairs, found.ours.points)
    for prefix, measured in (
        ("", found.ours),
        ("baseline/other/", found.methods["other"]),
        ("difference/other/", found.differences["other"]),
    ):
        for average, part, name in (
            ("hybrid", None, "pck@0.10/hybrid"),
            ("per_point", AMBIGUOUS, "pck@0.10/per_point/ambiguous"),
        ):
            expected = pck(measured, average, part) if part else pck(measured, average)
            assert tuple(plain[f"{prefix}{name}{end}"] for end in ("", "/low", "/high")) == expected
    assert plain["pck@0.10/per_image/category/cat"] == pck(found.ours, "per_image", Part("category", "cat")).value
    numbers = [f"{name}/{what}" for name in ("baseline/other", "difference/other") for what in ("pairs",)]
    assert [plain[name] for name in numbers] == [50, 50]


def test_keys_are_different():
    ours = scores().ours
    assert len({key(each) for each in ours.scores}) == len(ours.scores)


def test_no_ends_without_a_bootstrap():
    assert not [name for name in flatten(scores(samples=0)) if name.endswith(("/low", "/high"))]


def test_written_and_read_again(tmp_path):
    path = write_summary(tmp_path, scores())
    assert path == tmp_path / "summary.json" and json.loads(path.read_text()) == flatten(scores())
