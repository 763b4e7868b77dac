"""What `--help` promises is there."""

import re

import pytest
from omegaconf import OmegaConf

from sdcorr.cli import help
from sdcorr.cli.compose import compose
from sdcorr.cli.configs import CONFIGS, choices, groups

TEXTS = {"eval": help.evaluation(), "train": help.transfer(), "student": help.student()}


@pytest.mark.parametrize("config_name", TEXTS)
def test_every_group_is_named_with_its_choices(config_name: str) -> None:
    lines = TEXTS[config_name].splitlines()
    for group, default in groups(config_name).items():
        (line,) = (line for line in lines if line.startswith(f"  {group}= "))
        listed = line.partition("= ")[2].split(",")
        assert [each.split()[0] for each in listed] == choices(group, config_name)
        assert [each.split()[0] for each in listed if "(default)" in each] == ([default] if default else [])


@pytest.mark.parametrize("config_name", TEXTS)
def test_every_setting_that_is_named_exists(config_name: str) -> None:
    needed = {"eval": ["dataset=spair"], "train": ["source=a", "target=b", "points=[]"], "student": ["data=a"]}
    cfg = compose(config_name, *needed[config_name])
    settings = re.findall(r"^  ([a-z._]+)=\S+  +\S", TEXTS[config_name], re.M)
    assert len(settings) > 5
    for setting in set(settings) - set(groups(config_name)):
        assert OmegaConf.select(cfg, setting, default="absent") != "absent", setting


def test_choices_of_a_setting_exist() -> None:
    for name in (*help.MATCH_SETTINGS, *help.APP_SETTINGS):
        group, _, choice = name.partition("=")
        if (CONFIGS / group).is_dir():
            assert choice in choices(group)


def test_the_page_is_told_of_the_model_and_the_method_alone() -> None:
    said = help.settings("train", help.APP_SETTINGS, help.APP_GROUPS)
    assert "  model=" in said and "  method=" in said and "trainer" not in said and "logger" not in said


def test_it_says_where_all_settings_are() -> None:
    for text in (*TEXTS.values(), help.inspection()):
        assert str(CONFIGS) in text
