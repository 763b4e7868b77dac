"""Unpacking archives that come from the network.

Members are copied one by one under names that were checked; `tarfile` and `zipfile` only read. What is made is plain
files and folders inside one folder, with the user's own permissions, and never a link, so no member can be led out of
the folder by an earlier one.
"""

from __future__ import annotations

import gzip
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO

from sdcorr.errors import UserError

CHUNK = 1 << 20  # bytes copied at once
MOST_MEMBERS = 1_000_000  # SPair-71k has the most of the data sets here, about 78,000
JUNK = ("__MACOSX", ".DS_Store")  # what macOS leaves in archives, beside files named ._*
STARTS = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")  # zip, gzip, bzip2, xz
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, NotImplementedError, ValueError),  # a password; an unknown compression; nonsense in a header
)


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str  # as it stands in the archive
    kind: str  # file, folder, link or other
    open: Callable[[], IO[bytes]]  # the content of a file
    target: str  # of a link: the path that it points to, from the top of the archive
    read: int  # bytes of the archive up to here, roughly


def check_archive(path: Path) -> None:
    """Looks at a file's beginning.

    Raises:
        UserError: if it is not a zip or tar archive, with a sentence of its own for a web page.
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(512)
    if not start:
        raise UserError(f"{path} is empty")
    if is_web_page(start):
        raise UserError(f"{path} is a web page (an error, a full quota or a login) and not an archive")
    if not start.startswith(STARTS) and start[257:262] != b"ustar":
        raise UserError(f"{path} is neither a zip nor a tar archive")


def is_web_page(start: bytes) -> bool:
    """Whether a file that begins like this is HTML."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def unpack(archive: Path, folder: Path, most: int, progress: Callable[[int], object] = lambda read: None) -> None:
    """Copies the files of an archive into a folder.

    What macOS adds (`__MACOSX`, `.DS_Store`, `._*`) is left out. A link to a file of the archive becomes a copy of it.

    Args:
        archive: a zip, or a tar that is plain or compressed with gzip, bzip2 or xz.
        folder: an empty folder.
        most: how many bytes may come out, in all.
        progress: is told after every file roughly how many bytes of the archive have been read, and all at the end.

    Raises:
        UserError: if the archive is damaged, cut short or protected by a password; if a member has an absolute path or
            one with `..`, is a device, a pipe or a link that leads outside, or stands at the place of another that
            differs; or if more than `most` bytes come out. The folder then holds a part of it.
        OSError: if the folder cannot be written.
    """
    done, links = 0, []
    with _damage_told(archive):
        for count, member in enumerate(_members(archive), 1):
            if count > MOST_MEMBERS:
                raise UserError(f"{archive} has more than {MOST_MEMBERS:,} members")
            place = _place(archive, folder, member.name)
            if member.kind == "other":
                raise UserError(f"{archive} is not safe: {member.name!r} in it is neither a file nor a folder")
            if place is None:
                continue
            if member.kind == "link":
                links.append((place, member))
            elif member.kind == "folder":
                _make_folder(archive, place)
            else:
                done = _copy(archive, member.open, place, done, most)
            progress(member.read)
        for place, member in links:  # last, since a link may come before its file
            source = _place(archive, folder, posixpath.normpath(member.target))
            if source is None or not source.is_file():
                raise UserError(f"{archive} has a link {member.name!r} to {member.target!r}, which is no file in it")
            done = _copy(archive, partial(open, source, "rb"), place, done, most)
    progress(archive.stat().st_size)


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    """Turns every complaint of the libraries about the archive into a `UserError`."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # bz2 raises one without for damaged data
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{archive} is damaged, cut short or protected by a password ({reason})") from error


def _members(archive: Path) -> Iterator[Member]:
    with open(archive, "rb") as file:
        is_zip = file.read(2) == b"PK"
    yield from _zip_members(archive) if is_zip else _tar_members(archive)


def _tar_members(archive: Path) -> Iterator[Member]:
    with open(archive, "rb") as file, tarfile.open(fileobj=file) as tar:
        for info in tar:
            kind = "file" if info.isreg() else "folder" if info.isdir() else "other"
            target = ""
            if info.issym() or info.islnk():  # a symbolic link starts from its own folder, a hard one from the top
                kind = "link"
                target = posixpath.join(posixpath.dirname(info.name) if info.issym() else "", info.linkname)
            yield Member(info.name, kind, partial(_content, tar, info), target, file.tell())
        while tar.fileobj.read(CHUNK):  # tarfile stops before the checksum that the compressed stream ends with
            pass


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    """The content of a member that is a file."""
    content = tar.extractfile(info)
    assert content is not None
    return content


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)  # 0 if the zip was not made on a Unix
            kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else "other"
            target = ""
            if mode == stat.S_IFLNK:
                with opened.open(info) as content:
                    kind, target = "link", content.read(4096).decode(errors="replace")
                target = posixpath.join(posixpath.dirname(info.filename), target)
            read = info.header_offset + info.compress_size
            yield Member(info.filename, kind, partial(opened.open, info), target, read)


def _place(archive: Path, folder: Path, name: str) -> Path | None:
    """Where a member goes; None for the folder itself and for what macOS adds."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive or ".." in parts:
        raise UserError(f"{archive} is not safe: {name!r} in it leads out of the folder that it is unpacked to")
    if not parts or parts[-1].startswith("._") or any(part in JUNK for part in parts):
        return None
    return folder.joinpath(*parts)


def _make_folder(archive: Path, place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{archive} is not safe: in it {place.name!r} is both a file and a folder") from None


def _copy(archive: Path, read: Callable[[], IO[bytes]], place: Path, done: int, most: int) -> int:
    """Copies one file, the bytes of all so far being `done`; returns them with those of this one."""
    _make_folder(archive, place.parent)
    with read() as source:
        try:
            target = open(place, "xb")
        except FileExistsError:
            if place.is_file() and _same(source, place):
                return done
            raise UserError(f"{archive} is not safe: two different members are both {place.name!r}") from None
        with target:
            while chunk := source.read(CHUNK):
                done += len(chunk)
                if done > most:
                    raise UserError(f"{archive} is not safe: it unpacks to more than {most / 1e9:g} GB")
                target.write(chunk)
    return done


def _same(source: IO[bytes], place: Path) -> bool:
    with open(place, "rb") as file:
        while chunk := source.read(CHUNK):
            if file.read(len(chunk)) != chunk:
                return False
        return not file.read(1)
