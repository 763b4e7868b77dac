"""`sdcorr inspect`."""

import subprocess
import sys

import pytest
from hydra.core.global_hydra import GlobalHydra

from sdcorr.cli.main import main
from tests.datasets.fixtures import spair_tree


def test_it_prints_the_card_of_the_data_set_that_is_named(tmp_path, monkeypatch, capfd) -> None:
    spair_tree(tmp_path / "data/SPair-71k")
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    with pytest.warns(UserWarning, match="lists 2 pairs here"):
        assert main(["inspect", "dataset=spair", "dataset.categories=aeroplane"]) == 0
    card = dict(line.split("  ", 1) for line in capfd.readouterr().out.splitlines())
    found = {name: value.strip() for name, value in card.items()}
    assert found["data set"] == "spair, split test" and found["pairs of aeroplane"] == "2 (published: 690)"


def test_it_waits_for_no_torch() -> None:
    code = "import sys\nfrom sdcorr.cli.main import main\nmain(['inspect', 'dataset=toybox', 'dataset.split=demo'])\n"
    told = "print('imported', *{'torch', 'diffusers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code + told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported"
