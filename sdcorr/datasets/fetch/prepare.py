"""Get a data set ready: what `sdcorr prepare pfwillow` does.

Downloads it (the official address first), checks it, unpacks it beside its place and renames it, so that the folder
appears whole or not at all. A command that was stopped at any moment is simply run again. `--from` takes an archive
and pair lists that were downloaded by hand.

    <root>/<folder>/                   the data set, with `prepared.json`: where it came from, and its sha256
    <root>/downloads/<8 hex of URL>/   archives: in part, to be continued; and whole with `--keep`
    <root>/.<folder>.unpacking/        while it is being unpacked; what a killed run leaves is removed by the next
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from sdcorr.datasets.fetch.archives import check_archive, is_web_page, unpack
from sdcorr.datasets.fetch.download import bar, download, place
from sdcorr.datasets.fetch.sources import Address, Extra, Source, by_hand
from sdcorr.errors import UserError
from sdcorr.files import write_whole

RECORD = "prepared.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Preparation:
    """How a data set is prepared, and where."""

    source: Source
    root: Path  # the folder that the data set's own folder belongs in
    keep: bool = False  # whether a downloaded archive stays where it is
    sha256: str = ""  # what the archive must have; empty for any
    wait: bool = False  # for another process that is preparing it, rather than complain

    @property
    def folder(self) -> Path:
        """Where the data set belongs."""
        return self.root / self.source.folder

    @property
    def work(self) -> Path:
        """Where it is unpacked: on the same disk, so that it can be renamed."""
        return self.root / f".{self.source.folder}.unpacking"

    @property
    def downloads(self) -> Path:
        """Where archives are downloaded to."""
        return self.root / "downloads"

    def run(self, given: Sequence[str] = ()) -> Path:
        """Prepares the data set, or finds that it is prepared; says on stdout what it does.

        Args:
            given: an archive and pair lists to use in place of the known addresses, as paths or URLs.

        Returns:
            the data set's folder.

        Raises:
            UserError: if it cannot be had, is not what it should be, or cannot be written.
        """
        archives, lists = self._sort(given)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f".{self.source.folder}.lock", timeout=-1 if self.wait else 0):
                shutil.rmtree(self.work, ignore_errors=True)  # what a killed run left
                try:
                    if self.folder.exists() and any(self.folder.iterdir()):
                        self._complete(lists)
                    else:
                        self._make(archives or self.source.archives, lists)
                finally:
                    shutil.rmtree(self.work, ignore_errors=True)
        except Timeout:
            raise UserError(f"Another command is preparing {self.folder} just now: wait until it is done.") from None
        except OSError as error:
            raise UserError(_sentence(error, self.root)) from error
        return self.folder

    def _sort(self, given: Sequence[str]) -> tuple[list[Address], dict[str, Address]]:
        """What was given, as archives (one at most) and as pair lists by their names."""
        lists = {name for extra in self.source.extras for name in extra.names}
        addresses = [_address(text) for text in given]
        archives = [address for address in addresses if address.file not in lists]
        if len(archives) > 1:
            raise UserError(
                f"--from names {len(archives)} archives ({', '.join(address.file for address in archives)}): name one"
                + (f", and beside it pair lists called {', '.join(sorted(lists))}." if lists else ".")
            )
        return archives, {address.file: address for address in addresses if address.file in lists}

    def _complete(self, lists: dict[str, Address]) -> None:
        """Checks a folder that is there already, and adds the pair lists that it lacks."""
        lacking = [path for path in self.source.holds if not (self.folder / path).exists()]
        if lacking:
            raise UserError(
                f"{self.folder} exists but is not the whole data set, for it lacks {', '.join(lacking)}: move it away, "
                "or choose another --root, and run the same command again."
            )
        print(f"{self.folder} is there already")
        self._add_extras(self.folder, lists, [each for each in self.source.extras if each.needed or each.pick(lists)])

    def _make(self, archives: Sequence[Address], lists: dict[str, Address]) -> None:
        print(f"{self.source.folder}: {self.source.terms}")
        try:
            archive, found, record = _first(archives, self._unpacked)
        except UserError as error:
            raise UserError(f"{error}.\n{by_hand(self.source)}") from error
        record["lists"] = self._add_extras(found, lists, self.source.extras)
        write_whole(found / RECORD, json.dumps(record, indent=2) + "\n")
        if hasattr(os, "sync"):  # a power cut must not leave empty files in the folder; Windows has no such call
            os.sync()
        os.replace(found, self.folder)
        print(f"sha256 {record['sha256']}, recorded in {self.folder / RECORD}")
        for address in archives:  # also what has arrived from those that failed
            if self.keep and address is archive and _is_url(address.url):
                print(f"the archive is kept in {place(address, self.downloads)}")
            else:
                self._discard(address)

    def _unpacked(self, archive: Address) -> tuple[Address, Path, dict[str, Any]]:
        """Gets, checks and unpacks an archive: also the data set's folder in it, and what it is."""
        path = self._fetch(archive)
        try:
            check_archive(path)
            record = _record(archive, path)
            if self.sha256 and record["sha256"] != self.sha256.lower():
                raise UserError(f"{path} has the sha256 {record['sha256']} and not {self.sha256}")
            shutil.rmtree(self.work, ignore_errors=True)  # of an archive that was no good
            self.work.mkdir()
            with bar(f"unpacking {path.name}", path.stat().st_size) as progress:
                unpack(path, self.work, self.source.most, progress)
            for folder in (self.work, *sorted(self.work.glob("*/")), *sorted(self.work.glob("*/*/"))):
                if self.source.is_in(folder):
                    return archive, folder, record
            holds = ", ".join(self.source.holds)
            raise UserError(f"{path} is not {self.source.folder}: no folder in it has {holds}")
        except UserError:
            self._discard(archive)  # or the next run would take it up
            raise

    def _add_extras(self, folder: Path, lists: dict[str, Address], extras: Sequence[Extra]) -> list[dict[str, Any]]:
        """Puts those of the extra files that a folder lacks into it; what they are."""
        records = []
        for extra in extras:
            if any((folder / name).is_file() for name in extra.names):
                continue
            given = extra.pick(lists)
            try:
                address, path, content = _first(given or extra.addresses, self._pair_list)
            except UserError as error:
                if extra.needed:
                    raise UserError(f"{error}.\n{by_hand(self.source)}") from error
                print(f"note: without {extra.names[0]}; {extra.purpose}, and --from adds it later ({error})")
                continue
            write_whole(folder / (address.file if given else extra.names[0]), content)
            records.append(_record(address, path))
            self._discard(address)
        return records

    def _pair_list(self, address: Address) -> tuple[Address, Path, bytes]:
        path = self._fetch(address)
        content = path.read_bytes()
        if is_web_page(content) or b"," not in content.partition(b"\n")[0]:
            self._discard(address)
            raise UserError(f"{path} is no list of pairs: its first line has no commas")
        return address, path, content

    def _fetch(self, address: Address) -> Path:
        """The file itself; downloaded, unless it lies on this machine."""
        if not _is_url(address.url):
            return Path(address.url)
        return download(address, self.downloads)

    def _discard(self, address: Address) -> None:
        """Removes what was downloaded from an address; a file that was there before is nobody's to remove."""
        if _is_url(address.url):
            shutil.rmtree(place(address, self.downloads).parent, ignore_errors=True)
            with suppress(OSError):  # other downloads may be there
                self.downloads.rmdir()


def _first(addresses: Sequence[Address], use: Callable[[Address], T]) -> T:
    """The result of `use` for the first address that it does not complain about.

    Raises:
        UserError: with all complaints, if there is none.
    """
    complaints = []
    for address in addresses:
        if complaints:
            print(f"  {complaints[-1]}; trying the next address")
        try:
            return use(address)
        except UserError as error:
            complaints.append(str(error))
    raise UserError("; ".join(complaints))


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _address(text: str) -> Address:
    """A URL or path of the command line.

    Raises:
        UserError: if it is neither.
    """
    if _is_url(text):
        name = unquote(urlsplit(text).path).rpartition("/")[2]
        return Address(text, name if name.strip(".") else "archive")
    path = Path(text).expanduser()
    if path.is_dir():
        raise UserError(f"{path} is a folder: if it is the data set, say dataset.root={path}; else name an archive.")
    if not path.is_file():
        raise UserError(f"There is no file {path}: --from takes files of this machine, and http:// or https:// URLs.")
    return Address(str(path), path.name)


def _record(address: Address, path: Path) -> dict[str, Any]:
    """What a file is; says so if it is not what is quoted of it."""
    record = {"from": address.url, "bytes": path.stat().st_size, "sha256": _digest(path, "sha256")}
    md5 = address.md5 and _digest(path, "md5")
    if (address.size or record["bytes"]) != record["bytes"] or md5 != address.md5:
        print(f"note: {path.name} is not of the size or checksum that is quoted for it: it may be another version")
    return record


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _sentence(error: OSError, root: Path) -> str:
    """What to do about a failure of the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {root} is full: make room and run the same command again, which goes on where it was."
    what = f"{error.filename or root} ({error.strerror or error})"
    if error.errno in (errno.EINVAL, errno.EILSEQ) and ":" in str(error.filename):
        return f"The file system of {root} has no room for a colon in a name, as in {what}: choose another --root."
    return f"Cannot read or write {what}: mend that, or choose another --root, and run the same command again."
