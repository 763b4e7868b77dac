import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdcorr.cli.prepare import main
from sdcorr.datasets.fetch.sources import SOURCES
from sdcorr.datasets.pfwillow import PFWillow
from sdcorr.errors import UserError
from tests.datasets.fetch.server import FileServer
from tests.datasets.fetch.test_archives import tree, write_tar, write_zip
from tests.datasets.fetch.test_prepare import LIST, only

RELEASED = Path(__file__).parents[1] / "golden" / "data" / "fake_datasets"  # small trees in the data sets' formats
COMMAND = [sys.executable, "-m", "sdcorr", "prepare"]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def willow_files(count=0):
    files = {f"{name}/x.png": b"png" for name in SOURCES["pfwillow"].holds} | {"test_pairs.csv": LIST}
    return {f"PF-WILLOW/{name}": data for name, data in files.items()} | {
        f"PF-WILLOW/many/{number}": b"" for number in range(count)
    }


class TestCommand:
    def run(self, *args, **kwargs):
        return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=120, **kwargs)

    def test_prints_the_root_to_use(self, root, tmp_path, capsys):
        path = write_tar(tmp_path / "a.tar.gz", willow_files().items())
        main(["pfwillow", "--root", str(root), "--from", str(path)])
        out = capsys.readouterr().out
        assert out.endswith(f"ready: sdcorr eval dataset=pfwillow dataset.root={root / 'PF-WILLOW'}\n")
        assert hashlib.sha256(path.read_bytes()).hexdigest() in out and SOURCES["pfwillow"].terms in out

    def test_what_it_makes_of_the_official_archive_and_list_is_what_the_loader_reads(self, root, tmp_path):
        files = {f"PF-dataset/{name}": data for name, data in tree(RELEASED / "PF-WILLOW").items() if "csv" not in name}
        files |= {f"PF-dataset/{name}/x.png": b"" for name in SOURCES["pfwillow"].holds}
        archive = write_zip(tmp_path / "PF-dataset.zip", files.items())
        (tmp_path / "test_pairs_pf.csv").write_bytes((RELEASED / "PF-WILLOW" / "test_pairs.csv").read_bytes())
        main(["pfwillow", "--root", str(root), "--from", str(archive), str(tmp_path / "test_pairs_pf.csv")])
        with pytest.warns(UserWarning, match="900"):
            benchmark = PFWillow(str(root / "PF-WILLOW"))
        pair = benchmark.pairs[0]
        assert not benchmark.broken and benchmark.image(pair.source).size == pair.source_size

    def test_a_mistake_is_a_sentence_on_stderr_and_exit_code_2(self, root):
        done = self.run("pfwilow", "--root", root)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: There is no data set 'pfwilow': choose one of {', '.join(SOURCES)}.\n"

    def test_without_a_name_it_says_which_there_are(self):
        with pytest.raises(UserError, match="Say which data set: choose one of pfwillow, spair"):
            main([])

    def test_killed_while_unpacking_it_leaves_no_half_folder_and_the_next_run_finishes(self, root, tmp_path):
        files = willow_files(count=3_000)
        path = write_tar(tmp_path / "a.tar.gz", files.items(), "w")
        command = [*COMMAND, "pfwillow", "--root", str(root), "--from", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        work = root / ".PF-WILLOW.unpacking" / "PF-WILLOW"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any((work / "many").glob("*")):
            time.sleep(0.001)
        process.kill()
        process.wait()
        assert 0 < len(list((work / "many").iterdir())) < 3_000  # it was killed in the middle
        assert not (root / "PF-WILLOW").exists()
        done = self.run("pfwillow", "--root", root, "--from", path)
        assert done.returncode == 0, done.stderr
        assert len(tree(root / "PF-WILLOW")) == len(files) + 1
        assert only(root) == ["PF-WILLOW"]

    def test_killed_while_downloading_the_next_run_continues(self, root, tmp_path):
        files = willow_files() | {"PF-WILLOW/big": os.urandom(4_000_000)}
        with FileServer() as server:
            server.files["a.tgz"] = write_tar(tmp_path / "a.tgz", files.items()).read_bytes()
            server.stalls["a.tgz"] = 2_000_000
            args = ["pfwillow", "--root", str(root), "--from", server.url("a.tgz")]
            environment = os.environ | {"NO_PROXY": "127.0.0.1"}
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen([*COMMAND, *args], env=environment, **quiet)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not any(p.stat().st_size for p in root.glob("downloads/*/*.part")):
                time.sleep(0.01)
            process.kill()
            process.wait()
            server.stalls.clear()
            server.requests.clear()
            done = self.run(*args, env=environment)
            assert done.returncode == 0, done.stderr
            assert any(range_ not in (None, "bytes=0-") for range_ in server.asked_for("a.tgz"))
        assert tree(root / "PF-WILLOW")["big"] == files["PF-WILLOW/big"]
