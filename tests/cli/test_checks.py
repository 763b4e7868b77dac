"""Values of a configuration that are legal; tests/test_commands.py has those that are not."""

import pytest
from omegaconf import OmegaConf

from sdcorr.cli.checks import KINDS, check
from sdcorr.cli.compose import compose
from sdcorr.cli.configs import choices
from sdcorr.errors import UserError


@pytest.mark.parametrize("experiment", choices("experiment", "eval"))
@pytest.mark.parametrize("model", ["toybox", "sd14"])
def test_every_shipped_configuration_is_legal(model, experiment):
    compose("eval", f"model={model}", f"experiment={experiment}")


@pytest.mark.parametrize(
    "override",
    ["embeddings=null", "model.transfer_layers=null", "alphas=[1]", "bootstrap=0", "pictures=0"],
)
def test_nothing_where_nothing_is_legal(override):
    compose("eval", override)


def test_what_is_not_there_or_not_said_yet_is_not_looked_at():
    check(OmegaConf.create({"source": "???", "dataset": {"root": "???"}}))


def test_every_key_is_one_of_ours():
    there = [compose("eval", f"dataset={name}") for name in ("folder", "cub", "spair", "tss", "ap10k")]
    there.append(compose("train", "source=a.png", "target=b.png", "points=[]"))
    there.append(compose("student", "data=labels"))
    there.append(compose("label", "dataset=toybox"))
    for key in KINDS:
        group, _, name = key.rpartition(".")
        assert any(name in (OmegaConf.select(cfg, group) if group else cfg) or () for cfg in there), key


def test_a_switch_is_no_number():
    with pytest.raises(UserError, match="bootstrap=True is not legal: give a whole number from 0"):
        check(OmegaConf.create({"bootstrap": True}))


@pytest.mark.parametrize(
    "override, what",
    [
        ("maps=true", "maps=True is not legal: give the cells a side of the maps to keep, 0 to 128"),
        ("logger.pairs=many", "logger.pairs=many is not legal: give a whole number from 0"),
        ("logger.tags=mine", "logger.tags=mine is not legal: give a list of words"),
    ],
)
def test_what_is_kept_to_look_at(override, what):
    with pytest.raises(UserError, match=what):
        compose("eval", override)
