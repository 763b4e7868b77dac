import errno
import io
import os
import stat
import tarfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from sdcorr.datasets.fetch import archives
from sdcorr.datasets.fetch.archives import check_archive, unpack
from sdcorr.errors import UserError

MOST = 10**7


def write_tar(path, members, mode="w:gz"):
    """A tar of (name, content) or (name, content, {TarInfo's fields})."""
    with tarfile.open(path, mode) as tar:
        for name, content, *fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in (fields[0] if fields else {}).items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, members):
    """A zip of (name, content) or (name, content, Unix mode)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            opened.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def write(path, members):
    return write_zip(path, members) if path.suffix == ".zip" else write_tar(path, members)


def tree(folder):
    """Every file below a folder, and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture(params=["a.zip", "a.tar.gz"])
def path(request, tmp_path):
    return tmp_path / request.param


def refused(archive, folder, words, most=MOST):
    """Asserts that unpacking is refused, and that nothing has appeared beside the folder."""
    beside = set(folder.parent.iterdir())
    with pytest.raises(UserError, match=words):
        unpack(archive, folder, most)
    assert set(folder.parent.iterdir()) == beside
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


class TestUnpack:
    def test_files_with_colons_parentheses_and_empty_ones(self, path, folder):
        files = {"D/car(G)/x.png": os.urandom(5000), "D/000001-2008_1-2008_2:bird.json": b"{}", "D/empty": b""}
        unpack(write(path, files.items()), folder, MOST)
        assert tree(folder) == files

    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_every_compression_of_tar(self, tmp_path, folder, mode):
        unpack(write_tar(tmp_path / "a", [("./d/f", b"content")], mode), folder, MOST)
        assert tree(folder) == {"d/f": b"content"}

    def test_empty_folders_are_made(self, tmp_path, folder):
        unpack(write_tar(tmp_path / "a.tgz", [("d/e", b"", {"type": tarfile.DIRTYPE})]), folder, MOST)
        assert (folder / "d/e").is_dir()

    def test_leaves_out_what_macos_adds(self, path, folder):
        files = [("D/f", b"1"), ("__MACOSX/D/._f", b"2"), ("D/.DS_Store", b"3"), ("D/._f", b"4"), (".DS_Store", b"5")]
        unpack(write(path, files), folder, MOST)
        assert tree(folder) == {"D/f": b"1"}

    def test_modes_of_the_archive_are_not_taken_over(self, tmp_path, folder):
        unpack(write_tar(tmp_path / "a.tgz", [("f", b"1", {"mode": 0o6777})]), folder, MOST)
        assert not (folder / "f").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)

    def test_tells_how_much_of_the_archive_has_been_read(self, path, folder):
        write(path, [(f"d/{number}", os.urandom(100_000)) for number in range(10)])
        told = []
        unpack(path, folder, MOST, told.append)
        assert len(told) == 11 and told == sorted(told)
        assert told[0] < path.stat().st_size * 0.5 and told[-1] == path.stat().st_size

    @pytest.mark.parametrize("name", ["../f", "d/../../f", "/f", "\\f", "d\\..\\..\\f", "C:/f", "C:\\f"])
    def test_refuses_paths_that_lead_out(self, path, folder, name):
        refused(write(path, [("d/good", b"1"), (name, b"evil")]), folder, "not safe.*leads out of the folder")

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    @pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "../secret"])
    def test_refuses_links_out_of_a_tar(self, tmp_path, folder, kind, target):
        (tmp_path / "secret").write_text("s")
        members = [("d/good", b"1"), ("link", b"", {"type": kind, "linkname": target})]
        refused(write_tar(tmp_path / "a.tgz", members), folder, "leads out of the folder")

    @pytest.mark.parametrize("target", [b"../../secret", b"/etc/passwd"])
    def test_refuses_links_out_of_a_zip(self, tmp_path, folder, target):
        members = [("d/good", b"1"), ("link", target, stat.S_IFLNK | 0o777)]
        refused(write_zip(tmp_path / "a.zip", members), folder, "leads out of the folder")

    def test_a_file_below_a_link_stays_inside(self, tmp_path, folder):
        (tmp_path / "elsewhere").mkdir()
        members = [
            ("d", b"", {"type": tarfile.SYMTYPE, "linkname": str(tmp_path / "elsewhere")}),
            ("d/f", b"evil"),
        ]
        refused(write_tar(tmp_path / "a.tgz", members), folder, "leads out of the folder")
        assert not list((tmp_path / "elsewhere").iterdir())

    def test_a_link_inside_becomes_a_copy_wherever_it_stands(self, tmp_path, folder):
        members = [
            ("d/soft", b"", {"type": tarfile.SYMTYPE, "linkname": "../e/f"}),
            ("e/f", b"content"),
            ("d/hard", b"", {"type": tarfile.LNKTYPE, "linkname": "e/f"}),
        ]
        unpack(write_tar(tmp_path / "a.tgz", members), folder, MOST)
        assert tree(folder) == {"d/soft": b"content", "e/f": b"content", "d/hard": b"content"}
        unpack(write_zip(tmp_path / "a.zip", [("z/f", b"1"), ("z/g", b"f", stat.S_IFLNK)]), folder, MOST)
        assert tree(folder / "z") == {"f": b"1", "g": b"1"}
        assert all(path.lstat().st_nlink == 1 and not path.is_symlink() for path in folder.rglob("*") if path.is_file())

    def test_refuses_a_link_to_nothing(self, tmp_path, folder):
        members = [("a/link", b"", {"type": tarfile.SYMTYPE, "linkname": "missing"})]
        refused(write_tar(tmp_path / "a.tgz", members), folder, "'a/link' to 'a/missing', which is no file in it")

    @pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    def test_refuses_devices_and_pipes(self, tmp_path, folder, kind):
        archive = write_tar(tmp_path / "a.tgz", [("d/null", b"", {"type": kind})])
        refused(archive, folder, "'d/null' in it is neither a file nor a folder")
        assert not list(folder.iterdir())

    def test_refuses_devices_in_a_zip(self, tmp_path, folder):
        archive = write_zip(tmp_path / "a.zip", [("null", b"", stat.S_IFCHR)])
        refused(archive, folder, "'null' in it is neither a file nor a folder")

    def test_refuses_two_different_files_of_one_name(self, path, folder):
        with pytest.warns(UserWarning, match="Duplicate") if path.suffix == ".zip" else nullcontext():
            write(path, [("d/f", b"one"), ("d/f", b"two")])
        refused(path, folder, "two different members are both 'f'")

    def test_a_file_that_is_in_twice_is_taken_once(self, tmp_path, folder):
        unpack(write_tar(tmp_path / "a.tgz", [("d/f", b"one"), ("./d//f", b"one")]), folder, MOST)
        assert tree(folder) == {"d/f": b"one"}

    @pytest.mark.parametrize("first, second", [("d", "d/f"), ("d/f", "d")])
    def test_refuses_a_name_that_is_a_file_and_a_folder(self, path, folder, first, second):
        refused(write(path, [(first, b"1"), (second, b"2")]), folder, "'d'")

    def test_stops_at_the_bound_and_not_after_it(self, path, folder):
        write(path, [("d/small", b"1"), ("d/zeros", bytes(50_000_000)), ("d/more", b"2")])
        assert path.stat().st_size < 100_000
        refused(path, folder, "unpacks to more than 0.01 GB")
        assert sum(len(content) for content in tree(folder).values()) <= MOST

    def test_the_bound_is_for_all_files_together_copies_too(self, tmp_path, folder):
        files = [(f"d/{number}", os.urandom(1000)) for number in range(10)]
        unpack(write_tar(tmp_path / "a.tgz", files), folder, 10_000)
        files += [("d/link", b"", {"type": tarfile.LNKTYPE, "linkname": "d/0"})]
        (folder.parent / "second").mkdir()
        refused(write_tar(tmp_path / "b.tgz", files), folder.parent / "second", "unpacks to more than", 10_000)

    @pytest.mark.parametrize("share", [0.0005, 0.5, 0.9, 0.99999])
    def test_a_truncated_archive_is_called_damaged(self, path, folder, share):
        write(path, [(f"d/{number}", os.urandom(30_000)) for number in range(10)])
        content = path.read_bytes()
        path.write_bytes(content[: max(4, int(len(content) * share))])
        refused(path, folder, "damaged, cut short or protected")

    def test_a_flipped_bit_is_found_even_behind_the_last_file(self, tmp_path, folder):
        archive = write_tar(tmp_path / "a.tgz", [("d/f", os.urandom(30_000))])
        content = bytearray(archive.read_bytes())
        content[-6] ^= 1  # in the checksum of gzip, which tarfile does not read
        archive.write_bytes(content)
        refused(archive, folder, "damaged, cut short or protected")

    def test_damaged_data_of_every_compression(self, tmp_path, folder):
        for mode in ("w:bz2", "w:xz", "w:gz"):
            archive = write_tar(tmp_path / "a", [("d/f", os.urandom(30_000))], mode)
            content = archive.read_bytes()
            archive.write_bytes(content[:9000] + bytes(2000) + content[11000:])
            refused(archive, folder, "damaged, cut short or protected")
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()

    def test_a_full_disk_is_not_blamed_on_the_archive(self, path, folder, monkeypatch):
        def full(place, mode):
            if mode == "xb":
                raise OSError(errno.ENOSPC, "No space left on device")
            return Path(place).open(mode)

        write(path, [("d/f", b"1")])
        monkeypatch.setattr(archives, "open", full, raising=False)
        with pytest.raises(OSError, match="No space left"):
            unpack(path, folder, MOST)


class TestCheckArchive:
    def test_archives_pass(self, tmp_path):
        check_archive(write_zip(tmp_path / "a.zip", [("f", b"1")]))
        for mode in ("w", "w:gz", "w:bz2", "w:xz"):
            check_archive(write_tar(tmp_path / "a.tar", [("f", b"1")], mode))

    @pytest.mark.parametrize(
        "content, words",
        [
            (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>", "is a web page"),
            (b"\xef\xbb\xbf\n  <HTML>", "is a web page"),
            (b"", "is empty"),
            (b"not an archive", "neither a zip nor a tar archive"),
        ],
    )
    def test_anything_else_is_named(self, tmp_path, content, words):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(UserError, match=words):
            check_archive(tmp_path / "a.zip")
