"""Reads an offline W&B run back from its folder: what `wandb sync` would upload."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record, RunRecord

BLOCK, HEADER = 32768, 7  # bytes; a record is cut where a block ends, each piece after its checksum, length and kind
WHOLE, LAST = 1, 4  # kinds of pieces that end a record


@dataclass
class OfflineRun:
    """What an offline run has logged."""

    about: RunRecord  # name, group, tags
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)  # of each step
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)  # key -> that of its x axis
    files: dict[str, Path] = field(default_factory=dict)  # of media, by the path that a value names
    ended: bool = False

    def table(self, key: str) -> list[dict[str, Any]]:
        """The rows of a table, with its pictures' files in place of what stands for them."""
        plain = json.loads(self.files[f"{key}.table.json"].read_text())
        rows = [dict(zip(plain["columns"], row, strict=True)) for row in plain["data"]]
        return [{name: self.picture(value) for name, value in row.items()} for row in rows]

    def picture(self, value: Any) -> Any:
        """The file of a picture; anything else as it is."""
        is_picture = isinstance(value, dict) and value.get("_type") == "image-file"
        return self.files[value["path"]] if is_picture else value

    def logged(self, key: str) -> list[Any]:
        """All values of a key, in order."""
        return [row[key] for row in self.history if key in row]


def read(folder: Path) -> OfflineRun:
    """The run in one of W&B's own folders, `offline-run-<date>-<id>`."""
    (file,) = folder.glob("*.wandb")
    run = OfflineRun(RunRecord())
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.about.MergeFrom(record.run)
            _update(run.config, record.run.config.update)
        elif kind == "config":
            _update(run.config, record.config.update)
        elif kind == "summary":
            _update(run.summary, record.summary.update)
        elif kind == "history":
            run.history.append(_update({}, record.history.item))
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            run.files |= {each.path: Path(each.local_path) for each in record.artifact.manifest.contents}
        elif kind == "files":
            run.files |= {each.path: folder / "files" / each.path for each in record.files.files}
        run.ended |= kind == "exit"
    return run


def _records(content: bytes) -> Iterator[Record]:
    assert content[:4] == b":W&B"
    at, piece = HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # what is left of the block is padding
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        piece += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield Record.FromString(piece)
            piece = b""


def _update(plain: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        place, (*path, last) = plain, list(item.nested_key) or [item.key]
        for name in path:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return plain
