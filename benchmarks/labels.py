"""How right the labels of `sdcorr label` are on the toybox's drawings, where the true place of any point is known.

    python benchmarks/labels.py FOLDER [--out benchmarks/results/labels.md]

A label is right if its match is within alpha times the longer side of the target object's box of the place that the
drawing has for the point (`sdcorr.toybox.surface`), and the point's part is seen there. So it is wrong if the point is
not on the object, or hidden in the target, whatever the distance. Labels know nothing of that: this file alone looks.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdcorr.files import write_whole
from sdcorr.labels.filters import Filters, read_filters
from sdcorr.labels.folder import UnitCost, costs, read_labels, read_settings
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.surface import carried

ALPHA = 0.1
POINTS = ("source_x", "source_y", "target_x", "target_y")


@dataclass(frozen=True)
class Truth:
    """What is true of N labels."""

    on_object: np.ndarray  # (N,) bool: the source's point is on the object
    seen: np.ndarray  # (N,) bool: and its part is seen at its place in the target
    near: np.ndarray  # (N,) bool: the match is within ALPHA of that place

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.seen & self.near


def truth(columns: Mapping[str, np.ndarray], alpha: float = ALPHA) -> Truth:
    """Looks labels up in their drawings.

    Args:
        columns: `source`, `target` and POINTS, (N,) each.
        alpha: share of the longer side of the target object's box.
    """
    on_object, seen, near = (np.zeros(len(columns["source"]), bool) for _ in range(3))
    pairs = np.array(
        [f"{source}\n{target}" for source, target in zip(columns["source"], columns["target"], strict=True)]
    )
    for pair in np.unique(pairs):
        rows = np.flatnonzero(pairs == pair)
        source, target = map(drawing, str(pair).split("\n"))
        points, matches = (
            np.stack([columns[f"{side}_{axis}"][rows] for axis in "xy"], 1) for side in ("source", "target")
        )
        places, seen[rows] = carried(source, target, points)
        on_object[rows] = ~np.isnan(places).any(1)
        x0, y0, x1, y1 = target.box
        away = np.linalg.norm(places - matches, axis=1)  # NaN where the point is not on the object
        near[rows] = np.nan_to_num(away, nan=np.inf) <= alpha * max(x1 - x0, y1 - y0)
    return Truth(on_object, seen, near)


def report(folder: Path) -> str:
    """The tables, as Markdown."""
    settings, table = read_settings(folder), read_labels(folder)
    columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
    filters, known, spent = read_filters(settings["filters"]), truth(columns), costs(folder)
    right, kept = known.right, columns["kept"]
    tracks = np.unique(columns["track"])
    method = settings["method"]["kind"].rpartition(".")[2]
    about = f"{len(right):,} labels of {len(tracks):,} points in {len(spent):,} source pictures, by {method}"
    lines = [
        f"{about}; {settings['dataset']}, alpha = {ALPHA}.",
        "",
        *rows(
            ("", "labels", "share", "right", "right of those seen in the target", "hidden there", "off the object"),
            [_row("all", np.ones(len(right), bool), known), *_filter_rows(filters, columns, known)],
        ),
        "",
        "Each filter alone:",
        "",
        *rows(
            ("filter", "labels left", "share", "right of them", "right of those removed"),
            [
                (
                    f"{name} {getattr(filters, name):g}",
                    f"{passed.sum():,}",
                    _share(passed),
                    _share(right[passed]),
                    _share(right[~passed]),
                )
                for name, passed in filters.passed(columns).items()
                if getattr(filters, name) is not None
            ],
        ),
        "",
        "By class, of those kept:",
        "",
        *rows(
            ("class", "labels", "right before", "kept", "right after"),
            [
                (name, f"{of.sum():,}", _share(right[of]), _share(kept[of]), _share(right[of & kept]))
                for name in np.unique(columns["category"])
                if (of := columns["category"] == name).any()
            ],
        ),
        "",
        cost(spent, len(right), int(kept.sum())),
    ]
    return "\n".join(lines) + "\n"


def cost(spent: Sequence[UnitCost], labels: int, kept: int) -> str:
    """What the labels cost, in words."""
    cpu = sum(each.cpu_seconds for each in spent)
    targets = sum(each.targets for each in spent)
    return (
        f"CPU: {cpu:,.0f} s in all, {cpu / len(spent):.2f} s a source picture with {targets / len(spent):.0f} targets, "
        f"{1e3 * cpu / labels:.1f} ms a label, {1e3 * cpu / max(kept, 1):.1f} ms a label that is kept."
    )


def rows(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *body)]


def _filter_rows(filters: Filters, columns: Mapping[str, np.ndarray], known: Truth) -> list[tuple[str, ...]]:
    left, made = np.ones(len(known.seen), bool), []
    for name, passed in filters.passed(columns).items():
        if (threshold := getattr(filters, name)) is not None:
            left = left & passed
            made.append(_row(f"and {name} {threshold:g}", left, known))
    return made


def _row(name: str, which: np.ndarray, known: Truth) -> tuple[str, ...]:
    hidden = known.on_object & ~known.seen
    return (
        name,
        f"{which.sum():,}",
        _share(which),
        _share(known.right[which]),
        _share(known.near[which & known.seen]),
        _share(hidden[which]),
        _share(~known.on_object[which]),
    )


def _share(which: np.ndarray) -> str:
    return f"{100 * which.mean():.1f}" if len(which) else "-"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of labels of the toybox's drawings")
    parser.add_argument("--out", type=Path, help="a Markdown file; else it is printed alone")
    chosen = parser.parse_args()
    text = report(chosen.folder)
    print(text)
    if chosen.out:
        write_whole(chosen.out, text)


if __name__ == "__main__":
    main()
