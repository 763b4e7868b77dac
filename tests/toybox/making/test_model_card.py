import json

from sdcorr.toybox.making.model_card import CARD, merge, read_facts, scores, write_readme


class TestMerge:
    def test_keeps_what_it_is_not_told(self, tmp_path):
        file = tmp_path / CARD
        assert read_facts(file) == {}
        assert merge(file, {"seed": 0, "loss": 0.5}) == {"seed": 0, "loss": 0.5}
        assert merge(file, {"loss": 0.25, "vae_l1": 0.04}) == {"seed": 0, "loss": 0.25, "vae_l1": 0.04}
        assert json.loads(file.read_text()) == read_facts(file) == {"seed": 0, "loss": 0.25, "vae_l1": 0.04}


def test_scores_are_what_the_card_has_room_for():
    wanted = {
        "protocol": "standard",
        "pairs": 168,
        "pck@0.10/per_point": 0.5,
        "pck@0.10/per_point/low": 0.4,
        "pck@0.10/per_point/ambiguous/high": 0.3,
        "baseline/same_pixel/pck@0.10/per_point": 0.1,
    }
    left_out = {
        "seconds": 3.0,
        "pck@0.05/per_point": 0.2,
        "pck@0.10/per_image": 0.5,
        "pck@0.10/per_point/category/cat": 0.9,
        "difference/same_pixel/pck@0.10/per_point": 0.4,
        "baseline/same_pixel/pairs": 168,
    }
    assert scores(wanted | left_out) == wanted


class TestReadme:
    def test_says_what_is_known(self, tmp_path):
        facts = {"images_seen": 1234567, "machine": "abacus", "words/eye/lift": 2.0, "words/wheel/lift": 5.0}
        facts |= {"words/all/lift": 3.21, "words/all/lift/low": 3.0, "words/all/lift/high": 4.0}
        facts |= {"pck@0.10/per_point/distinct": 0.625, "words/wheel/lift/low": 4.0}
        facts |= {"baseline/same_pixel/pck@0.10/per_point": 0.125}
        merge(tmp_path / CARD, facts)
        text = write_readme(tmp_path).read_text()
        for line in (
            "| training images seen by the UNet | 1,234,567 |",
            "| trained on | abacus |",
            "| attention on the part over the part's fraction of the area (1: chance) | 3.2 [3.0, 4.0] |",
            "| the same, word by word | wheel 5.0, eye 2.0 |",
            "| PCK@0.1 per point, prompt, distinct points | 0.625 |",
            "| PCK@0.1 per point, same_pixel | 0.125 |",
        ):
            assert line in text.splitlines()
        assert "bird, fish, cat" in text

    def test_says_no_more(self, tmp_path):
        merge(tmp_path / CARD, {"seed": 3})
        rows = [line for line in write_readme(tmp_path).read_text().splitlines() if line.startswith("| ")]
        assert rows == ["| | |", "| seed | 3 |"]
