"""How the rooms lie: no circle of imports, and arrows run down, as CONTRIBUTING says."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join((path.parent if path.name == "__init__.py" else path.with_suffix("")).relative_to(ROOT).parts): path
    for path in (ROOT / "sdcorr").rglob("*.py")
}

# From the top down; a line's rooms know only lines below.
FLOORS = [
    "__main__ api app evaluation toybox.making toybox.train toybox.curve toybox.showcase",
    "cli",
    "report exchange",
    "tracking scoring labels findings retrieval",
    "run callbacks pictures",
    "methods",
    "prompt visualize student",
    "vision toybox",
    "diffusion",
    "datasets web",
    "configuration digests finite images parquet strict_json",
    "files",
    "errors",
]
# `python -m` with the name that a command had before there was `sdcorr`.
OLD_COMMANDS = ("sdcorr.datasets.prepare", "sdcorr.datasets.card")


def imports(body: list[ast.stmt]) -> Iterator[str]:
    """Modules of the package that statements import while they are run, not those for the type checker alone."""
    for statement in body:
        match statement:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                yield from imports(statement.orelse)
            case ast.Import():
                yield from (each.name for each in statement.names if each.name in FILES)
            case ast.ImportFrom(module=str(module)):
                for each in statement.names:
                    yield from [name for name in (f"{module}.{each.name}", module) if name in FILES][:1]


def at_the_top(path: Path) -> set[str]:
    return set(imports(ast.parse(path.read_text()).body))


def room(module: str) -> str:
    names = module.split(".")[1:]
    return ".".join(names[:2]) if ".".join(names[:2]) in FLOORS[0].split() else names[0]


def test_no_circle_of_imports():
    graph = {name: at_the_top(path) for name, path in FILES.items()}
    assert graph["sdcorr.cli.build"] >= {"sdcorr.cli.compose", "sdcorr.datasets", "sdcorr.methods.base"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which tells the circle


def test_arrows_run_down():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
    assert {room(name) for name in FILES if name != "sdcorr"} <= set(floor), "a new room has no floor yet"
    upward = [
        f"{name} imports {other}"
        for name, path in FILES.items()
        for other in at_the_top(path)
        if name not in OLD_COMMANDS and "sdcorr" not in (name, other)
        if room(name) != room(other) and floor[room(name)] >= floor[room(other)]
    ]
    assert not upward
