"""Facts that are written in two places agree."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def read(name: str):
    return yaml.safe_load((ROOT / name).read_text())


def test_hooks_have_the_tested_version_of_ruff():
    pinned = re.search(r"^ruff==.+$", (ROOT / "constraints.txt").read_text(), re.M)[0]
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {each for hook in hooks for each in hook.get("additional_dependencies", ()) if "ruff" in each} == {pinned}


def test_the_workflow_does_what_ci_does():
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]


def test_what_ci_makes_is_there_and_is_told():
    made = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.M)
    assert {"lint", "types", "docs", "test"} == set(made)
    told = re.findall(r"`make (\S+)`", (ROOT / "CONTRIBUTING.md").read_text())
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(made) <= set(told) <= set(targets)


def test_citation_has_what_the_format_asks_for_and_the_paper():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert all(citation[key] for key in ("message", "title", "authors", "version"))
    (paper,) = citation["references"]
    names = [author["family-names"] for author in paper["authors"]]
    readme = (ROOT / "README.md").read_text()
    assert f"title     = {{{paper['title']}}}" in readme
    assert names == re.findall(r"(\w+), [\w ]+?(?: and |\})", re.search(r"author +=.*", readme)[0])


def test_versions_agree():
    assert (
        f"## [{read('CITATION.cff')['version']}] - {read('CITATION.cff')['date-released']}"
        in (ROOT / "CHANGELOG.md").read_text()
    )


def test_digests_of_the_data_sets_are_those_of_the_tests_on_real_files():
    told = set(re.findall(r"\b[0-9a-f]{16}\b", (ROOT / "docs/datasets.md").read_text()))
    assert told and told <= set(re.findall(r"\b[0-9a-f]{16}\b", (ROOT / "tests/datasets/test_real.py").read_text()))
