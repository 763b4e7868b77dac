"""The sweep files: what an agent of W&B would start is what Hydra takes, and what their comments say without W&B."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args, load_sweep_config

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.cli.configs import CONFIGS

SWEEPS = sorted((CONFIGS / "sweeps").glob("*.yaml"))


def by_agent(path: Path) -> list[list[str]]:
    """The overrides of each run that an agent starts."""
    sweep = load_sweep_config(str(path))
    names, values = zip(*((name, each["values"]) for name, each in sweep["parameters"].items()), strict=True)
    commands = []
    for combination in itertools.product(*values):
        args = {name: {"value": value} for name, value in zip(names, combination, strict=True)}
        words = create_sweep_command_args({"args": args})
        words |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
        macros = [re.fullmatch(r"\$\{(\w+)\}", part) for part in sweep["command"]]
        parts = [words[macro[1]] if macro else [part] for part, macro in zip(sweep["command"], macros, strict=True)]
        command = list(itertools.chain(*parts))
        assert command[:3] == ["/usr/bin/env", "python", "eval.py"] and (CONFIGS.parent / "eval.py").exists()
        commands.append(command[3:])
    return commands


def by_hydra(path: Path) -> list[list[str]]:
    """The overrides of each run of the command in the file's head."""
    comment = "".join(line[1:] for line in path.read_text().splitlines(True) if line.startswith("#"))
    comment = comment.replace("\\\n", "")
    for name, value in re.findall(r"(?m)^ +([A-Z]+)=(.+)$", comment):
        comment = comment.replace(f"${name}", value)
    command = re.search(r"python (eval\.py --multirun .+)", comment)[1]
    words = shlex.split(command)[2:]
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return [list(job) for job in batch]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["method"] == "grid"
    found = {}
    for name, jobs in (("agent", by_agent(path)), ("hydra", by_hydra(path))):
        configs = [compose("eval", *job) for job in jobs]
        benchmark = origin.benchmark(configs[0])
        assert benchmark.split == "val"
        found[name] = {build.run_folder(cfg, benchmark, build.methods(cfg, benchmark)[0]) for cfg in configs}
        assert len(found[name]) == len(jobs) > 1, "two runs would share a folder"
    assert found["agent"] == found["hydra"]


def test_there_is_a_sweep_of_the_ablations() -> None:
    assert "ablations" in [path.stem for path in SWEEPS]
