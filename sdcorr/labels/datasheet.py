"""The datasheet of a folder of labels: what it is, what made it, what each filter took away, what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from sdcorr import __version__
from sdcorr.files import write_whole
from sdcorr.labels.filters import read_filters, removals
from sdcorr.labels.folder import costs, judged, read_labels, read_settings

MEANING = {
    "track": "a point of a source picture; its rows are that point in all other pictures",
    "category": "group of the pictures",
    "source, target": "keys of the pictures",
    "source_x, source_y": "the point, in pixels of the source",
    "target_x, target_y": "its match, in pixels of the target",
    "confidence": "the method's own, from 0 to 1",
    "peak": "log of how much more of the map lies at the match than at a place of average share",
    "margin": "the peak less the greatest other one of the map",
    "entropy": "of the map, as a share of a flat map's",
    "restarts, layers": "mean distance of the restarts' and of the layers' own peaks, in longer sides of the target",
    "way_back": "from the point to the place whose features are most like the match's, in longer sides of the source",
    "likeness": "cosine of the features at the point and at its match",
    "votes": "log of the share of the two pictures' votes that speak for the match",
    "on_object": "how unlike the pictures' borders the match's place is; above 1 it is the object's",
    "kept": "whether it passes all filters",
}

_TEXT = """\
# Correspondences in {dataset}

Found by `sdcorr label` (sdcorr {version}) with {method} in pictures alone. **Nobody has annotated or checked them.** A
row is a point of a source picture and its match in a target picture.

{count} labels, of which {kept} are kept: {tracks} points of {sources} source pictures, followed to {targets} targets.

![A random sample of those that are kept](sheet.png)

## What is in it

`labels/*.parquet` has one row per label. Points are in pixels of the pictures, x to the right, y down; the center of
the top-left pixel is (0.5, 0.5).

{columns}

`pictures/*.parquet` has `key`, `png` (the picture as PNG), `width`, `height` and `category`. Any reader of Parquet will
do:

```python
import io, pandas as pd
from PIL import Image

labels = pd.read_parquet("labels").query("kept")
pictures = pd.read_parquet("pictures").set_index("key")
picture = Image.open(io.BytesIO(pictures.png[labels.source.iloc[0]]))
```

## What each filter removes

{removed}

A label is kept if it passes all. What `confidence` and `margin` mean is the method's affair, so that thresholds which
suit one method or model need not suit another.

## What it cost

{cpu} s of CPU in all: {cpu_source} s a source picture, {cpu_label} ms a label, {cpu_kept} ms a label that is kept.

## What made it

What was labeled, how points were chosen and filtered, the method with its settings, and what its model is
(settings.yaml):

```yaml
{settings}
```
"""


def write_datasheet(folder: Path) -> None:
    """Writes README.md of a folder of labels, from what lies in it.

    Raises:
        UserError: if it has no labels, or cannot be written.
    """
    write_whole(folder / "README.md", datasheet(folder))


def datasheet(folder: Path) -> str:
    """The text of README.md; raises what `write_datasheet` raises."""
    settings, labels, spent = read_settings(folder), read_labels(folder), costs(folder)
    count, kept = len(labels), int(labels.column("kept").to_numpy(zero_copy_only=False).sum())
    cpu = sum(each.cpu_seconds for each in spent)
    head = ("filter", "threshold", "removes alone", "left after it and those above")
    removed = [
        (each.name, f"{each.threshold:g}", f"{each.alone:,} ({_share(each.alone, count)})", f"{each.left:,}")
        for each in removals(read_filters(settings["filters"]), judged(labels))
    ]
    return _TEXT.format(
        dataset=settings["dataset"]["name"],
        version=__version__,
        method=settings["method"]["kind"].rpartition(".")[2],
        count=f"{count:,}",
        kept=f"{kept:,} ({_share(kept, count)})",
        tracks=f"{len(labels.column('track').unique()):,}",
        sources=f"{len(spent):,}",
        targets=f"{sum(each.targets for each in spent):,}",
        columns=_table(("column", "what it is"), [(f"`{name}`", what) for name, what in MEANING.items()]),
        removed=_table(head, removed),
        cpu=f"{cpu:,.0f}",
        cpu_source=f"{cpu / max(len(spent), 1):.2f}",
        cpu_label=f"{1e3 * cpu / max(count, 1):.1f}",
        cpu_kept=f"{1e3 * cpu / max(kept, 1):.1f}",
        settings=yaml.safe_dump(settings, sort_keys=False).rstrip(),
    )


def _share(part: int, whole: int) -> str:
    return f"{part / max(whole, 1):.1%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
