import pytest
from omegaconf import OmegaConf

from sdcorr.datasets.opening import open_benchmark
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate


def test_the_class_with_its_arguments():
    found = open_benchmark(OmegaConf.create({"_target_": "sdcorr.toybox.dataset.Toybox", "split": "demo"}))
    assert (found.name, found.split, len(found.pairs)) == ("toybox", "demo", 28)


def test_a_setting_that_there_is_not():
    settings = OmegaConf.create({"_target_": "sdcorr.toybox.dataset.Toybox", "splt": "demo"})
    with pytest.raises(UserError, match=r"no setting 'dataset.splt' of toybox: there is split, ask\."):
        open_benchmark(settings)


@pytest.mark.parametrize(
    "target, words",
    [
        ("nonsense", "names no class (No module named 'nonsense'): give the import path of a class of sdcorr.datasets"),
        ("sdcorr.datasets.Nope", "dataset._target_=sdcorr.datasets.Nope names no class (No module"),
        ("json.dumps", "names no class (Located non-class of type 'function' while loading 'json.dumps')"),
        ("json.JSONDecoder", "names a class of another kind"),
        (None, "dataset._target_=None names no class"),
        ("", "dataset._target_= names no class"),
    ],
)
def test_a_class_that_there_is_not(target, words):
    with pytest.raises(UserError) as told:
        open_benchmark(OmegaConf.create({"_target_": target}))
    assert words in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["dataset=pfwillow", "+dataset.foo=1"], "no setting 'dataset.foo': there is root, download, split, ask."),
        (["dataset=toybox", "dataset.split=[demo]"], "dataset.split=['demo'] is not legal: give a word"),
        (["dataset=spair", "dataset.categories=3"], "dataset.categories=3 is not legal: give a category"),
        (["dataset=spair", "dataset.size=1"], "dataset.size=1 is not legal"),
        (["dataset=tss", "dataset.points=many"], "dataset.points=many is not legal: give a whole number from 1"),
        (["dataset=ap10k", "dataset.kind=[a]"], "dataset.kind=['a'] is not legal"),
        (["dataset=folder", "dataset.root=.", "dataset.per_category=0"], "per_category=0 is not legal"),
        (["dataset=folder", "dataset.root=.", "dataset.seed=-1"], "seed=-1 is not legal"),
        (["dataset=folder", "dataset.root=.", "dataset.pairs=[a]"], "pairs=['a'] is not legal"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, monkeypatch, capfd, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, *arguments)
    assert result.returncode == 2 and words in result.stderr and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
