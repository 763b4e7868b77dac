import pytest
from matplotlib.figure import Figure
from rich.console import Console

from sdcorr.errors import UserError
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import Toybox, drawing
from sdcorr.toybox.making import showcase
from sdcorr.toybox.making.samples import Judge


@pytest.fixture(scope="module")
def judge():
    return Judge(drawings=64, epochs=1)


def test_samples(workshop, judge):
    facts, figure = showcase.sample_facts(workshop.model, judge, each=2, shown=1)
    assert isinstance(figure, Figure) and len(figure.axes) == 2 * len(THINGS)
    for name in ("judge/samples", "judge/drawings", "judge/samples/class", "judge/drawings/class"):
        assert 0 <= facts[f"{name}/low"] <= facts[name] <= facts[f"{name}/high"] <= 1
    assert facts["judge/drawings"] <= facts["judge/drawings/class"]
    assert 0 < facts["vae_l1"] < 1


def test_words(workshop):
    found, twins, figure = showcase.word_facts(workshop.model, each=1)
    assert isinstance(figure, Figure) and 0 <= twins.low <= twins.high <= 1
    assert found["all"].words == sum(score.words for name, score in found.items() if name != "all") >= 20
    facts = showcase.as_facts(found)
    assert facts["words/all/lift/low"] == found["all"].lift.low and facts["words/all/mass"] == found["all"].mass
    console = Console(record=True, width=120)
    console.print(showcase.words_table(found))
    assert "{:.2f} [{:.2f}, {:.2f}]".format(*found["all"].lift) in console.export_text()


def test_no_pair_is_made_of_what_is_measured():
    pairs = Toybox("val").pairs
    in_pairs = {drawing(key).image.tobytes() for pair in pairs for key in (pair.source, pair.target)}
    assert not in_pairs & {shown.image.tobytes() for shown in showcase.val_drawings(showcase.SAMPLED)}


class TestMistakes:
    def test_no_model(self, tmp_path):
        with pytest.raises(UserError, match="There is no model in .*: train it first"):
            showcase.showcase(tmp_path, tmp_path / "figures")

    def test_no_summary(self, workshop, tmp_path):
        with pytest.raises(UserError, match="There is no summary .*/missing.json"):
            showcase.showcase(workshop.model, tmp_path / "figures", tmp_path / "missing.json")
        assert not (tmp_path / "figures").exists()
