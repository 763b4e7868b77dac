"""`sdcorr label`: correspondences that nobody annotated, as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from sdcorr.cli import build, origin
from sdcorr.cli.command import command
from sdcorr.configuration import plain
from sdcorr.datasets import Benchmark
from sdcorr.digests import value_digest
from sdcorr.errors import UserError
from sdcorr.exchange.labels import check_formats, export
from sdcorr.labels.datasheet import write_datasheet
from sdcorr.labels.filters import read_filters
from sdcorr.labels.folder import LabelFolder, kept_rows, read_labels
from sdcorr.labels.labeler import Labeler
from sdcorr.labels.pictures import write_pictures
from sdcorr.labels.retrieval import links_of, read_grouping
from sdcorr.labels.sheet import write_sheet
from sdcorr.labels.work import Extent, finish, label, pictures_of, units_of
from sdcorr.methods.maps import MapMethod
from sdcorr.run.claims import to_plain
from sdcorr.run.processes import launch

SHOWN = 3  # pictures that cannot be read


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code.

    Args:
        argv: overrides of configs/label.yaml; by default those of this process.
    """
    return command("label", make_labels, argv)


def make_labels(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Labels a data set; see configs/label.yaml for what can be set.

    Args:
        cfg: the configuration.
        overrides: what it was composed of, for the other processes.

    Raises:
        UserError: if something is wrong with what was asked for.
    """
    filters = read_filters(plain(cfg.filters))
    extent = Extent(cfg.points, cfg.pictures, cfg.sources, cfg.targets)
    grouping = read_grouping(cfg.group_by, cfg.neighbors)
    check_formats(cfg.export)
    benchmark = origin.benchmark(cfg)
    with launch(cfg.trainer, overrides, "label") as ranks:
        console = Console(quiet=not ranks.first)
        entry = build.only_method(cfg, benchmark.name)
        method = with_maps(entry)
        groups, digests, unread = pictures_of(benchmark, extent, apart=grouping is None)
        settings = {
            "dataset": origin.run_identity(cfg, benchmark)["dataset"],
            "points": extent.points,
            "pictures": extent.pictures,  # more sources and targets can be added; these decide where points are
            **({"grouping": vars(grouping)} if grouping else {}),
            "method": to_plain(entry.claim()),
        }
        folder = LabelFolder(label_folder(cfg, benchmark, settings), settings, filters, digests)
        say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        links = links_of(digests, method, benchmark, folder.folder, settings["method"], grouping) if grouping else None
        units = units_of(groups, extent, links)
        say(f"{len(units):,} source pictures of {len(groups)} groups, up to {extent.points} points in each")
        if unread:
            number = "1 picture is" if len(unread) == 1 else f"{len(unread)} pictures are"
            say(f"{number} left out, for it cannot be read: {', '.join(unread[:SHOWN])}")

        @cache
        def labeler() -> Labeler:
            method.prepare()
            return Labeler(method, benchmark, groups, extent.points)

        label(units, labeler, folder, rank=ranks.rank, world_size=ranks.world_size, console=console)
        if not ranks.first:
            return
        if ranks.world_size > 1:
            finish(units, labeler, folder, alone=ranks.alone, console=console)
    if stale := folder.clear(units):
        say(f"{stale} source pictures are not in the data set any more: their labels are removed.")
    if changed := folder.filter_anew(units):
        say(f"the labels of {changed} source pictures are filtered anew")
    write_pictures(benchmark, groups, folder.folder)
    kept = list(kept_rows(folder.folder))
    write_sheet(folder.folder, kept, benchmark.image)
    write_datasheet(folder.folder)
    for form in cfg.export:
        sizes = {key: benchmark.image(key).size for keys in groups.values() for key in keys}
        say(f"{form}: {export(form, kept, sizes, folder.folder)}")
    count = len(read_labels(folder.folder, ["kept"]))
    say(f"{count:,} labels, {len(kept):,} of them kept: README.md says what each filter removed, sheet.png shows some")
    print(folder.folder)


def with_maps(entry: build.Entry) -> MapMethod:
    """The method, if labels can be made with it.

    Raises:
        UserError: if it gives no maps, by which a label is judged, or a setting is not legal.
    """
    if not isinstance(entry.method, MapMethod):
        raise UserError(
            f"Labels are judged by a method's maps, and {entry.name} has none: give methods=[read_once], say."
        )
    return entry.method


def label_folder(cfg: DictConfig, of: Benchmark, settings: Mapping[str, Any]) -> Path:
    """`cfg.out`, or a folder named by data set, model and all that makes the labels."""
    if cfg.out:
        return Path(cfg.out)
    name = "-".join(["labels", of.called, cfg.model.name, value_digest(settings)[:8]])
    return Path("outputs") / name
