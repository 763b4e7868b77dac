import json
import os
from pathlib import Path

import pytest

from sdcorr import digests
from sdcorr.diffusion import FrozenDiffusion, fingerprint
from sdcorr.diffusion.fingerprint import files_of, identity, identity_of, snapshot_of
from sdcorr.errors import UserError
from tests.diffusion.layout import FILE, UNET, write_json, write_model, write_shards, write_snapshot

PARTS = [
    *("scheduler/scheduler_config.json", "text_encoder/config.json"),
    *("unet/config.json", "unet/weights", "vae/config.json", "vae/weights"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/sdcorr/digests.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


class TestOfAFolder:
    def test_every_part_has_a_digest(self, folder):
        found = identity(folder)
        assert list(found) == PARTS and all(len(digest) == 16 for digest in found.values())
        assert len(set(found.values())) == len(PARTS)

    def test_a_copy_elsewhere_is_the_same_model(self, folder, tmp_path):
        assert identity(write_model(tmp_path / "copy")) == identity(folder)

    def test_the_layout_of_a_configuration_is_nothing(self, folder):
        before = identity(folder)
        config = dict(reversed(UNET.items())) | {"_name_or_path": "elsewhere/model"}
        (folder / "unet/config.json").write_text(json.dumps(config, indent=4) + "\n")
        assert identity(folder) == before

    @pytest.mark.parametrize("at", [0, 1000, -1])
    def test_every_byte_of_the_weights_counts(self, folder, at):
        before, path = identity(folder), folder / "unet" / FILE
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(bytes(content))
        assert changed(before, identity(folder)) == ["unet/weights"]

    def test_what_is_not_used_is_nothing(self, folder):
        before = identity(folder)
        (folder / "unet" / FILE.replace(".safetensors", ".bin")).write_bytes(b"the same as .bin")
        (folder / "unet" / FILE.replace(".safetensors", ".fp16.safetensors")).write_bytes(b"half")
        write_json(folder / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
        write_json(folder / "safety_checker/config.json", {})
        assert identity(folder) == before

    def test_shards_count_all_and_so_does_which_there_are(self, folder):
        write_shards(folder / "unet", [b"one", b"two", b"three"])
        first = identity(folder)
        assert list(first) == PARTS and len(files_of(folder)) == 2 + (1 + 1 + 3) + 2
        write_shards(folder / "unet", [b"one", b"two", b"threE"])
        assert changed(first, identity(folder)) == ["unet/weights"]
        (folder / "unet" / FILE).write_bytes(b"a single file, which is not read beside an index")
        second = identity(folder)
        write_shards(folder / "unet", [b"two", b"one", b"three"])
        assert changed(second, identity(folder)) == ["unet/weights"]

    def test_old_weights_are_weights_too(self, folder):
        (folder / "vae" / FILE).rename(folder / "vae" / FILE.replace(".safetensors", ".bin"))
        assert list(identity(folder)) == PARTS

    def test_the_files_may_be_named(self, folder):
        """As for a variant, or for one file that holds everything."""
        (folder / "unet/half.safetensors").write_bytes(b"half")
        found = identity(folder, ["unet/config.json", "unet/half.safetensors"])
        assert list(found) == ["unet/config.json", "unet/weights"]
        assert found["unet/config.json"] == identity(folder)["unet/config.json"]
        assert found["unet/weights"] != identity(folder)["unet/weights"]
        (folder / "all.safetensors").write_bytes(b"everything")
        assert list(identity(folder, ["all.safetensors"])) == ["weights"]

    @pytest.mark.parametrize(
        "file, text, complaint",
        [
            ("unet/config.json", None, "There is no unet/config.json in .*model"),
            (f"vae/{FILE}", None, f"There is no vae/{FILE} in .*model"),
            ("vae/config.json", "{", "vae/config.json is no JSON"),
            ("scheduler/scheduler_config.json", "", "scheduler_config.json is no JSON"),
            ("unet/config.json", "\xff", "config.json is no JSON"),
        ],
    )
    def test_what_is_missing_or_torn_is_named(self, folder, file, text, complaint):
        path = folder / file
        path.unlink() if text is None else path.write_bytes(text.encode("latin-1"))
        with pytest.raises(UserError, match=complaint):
            identity(folder)

    def test_a_missing_shard_is_named(self, folder):
        write_shards(folder / "unet", [b"one", b"two"])
        next((folder / "unet").glob("*-00002-*")).unlink()
        with pytest.raises(UserError, match="Cannot read .*00002-of-00002.safetensors"):
            identity(folder)

    @pytest.mark.parametrize("index", [[], {"weight_map": [1]}, {}])
    def test_an_index_that_names_no_weights(self, folder, index):
        write_json(folder / f"unet/{FILE}.index.json", index)
        with pytest.raises(UserError, match="index.json names no weights"):
            identity(folder)


class TestOfTheHub:
    @pytest.fixture(autouse=True)
    def hub(self, tmp_path, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        return tmp_path / "hub"

    def test_a_revision_is_a_commit(self, hub):
        first = write_snapshot(hub, "owner/model", "a" * 40)
        assert snapshot_of("owner/model") == first
        assert identity_of("owner/model") == identity(first) | {"commit": "a" * 40}
        write_snapshot(hub, "owner/model", "b" * 40)
        assert identity_of("owner/model")["commit"] == "b" * 40
        assert identity_of("owner/model", "a" * 40)["commit"] == "a" * 40

    def test_a_model_that_was_not_fetched(self, hub):
        assert snapshot_of("owner/model") is None
        with pytest.raises(UserError, match="'owner/model' is not on this machine"):
            identity_of("owner/model")

    def test_a_folder_is_a_folder(self, folder):
        assert identity_of(str(folder)) == identity(folder)


class TestRemembered:
    @pytest.fixture
    def hashed(self, monkeypatch):
        """The files that are read whole."""
        names = []
        file_digest = digests.hashlib.file_digest

        def counting(file, kind):
            names.append(Path(file.name).name)
            return file_digest(file, kind)

        monkeypatch.setattr(digests.hashlib, "file_digest", counting)
        return names

    @pytest.fixture
    def later(self, monkeypatch):
        """Another process, some time after the files were written."""

        def forget() -> None:
            monkeypatch.setattr(fingerprint, "_digests", {})

        monkeypatch.setattr(digests, "SETTLED", -1)
        forget()
        return forget

    def test_weights_are_read_once_and_by_later_processes_never(self, folder, hashed, later, cache):
        first = identity(folder)
        assert hashed == [FILE, FILE] and cache.exists()
        for _ in range(2):
            assert identity(folder) == first
            later()
        assert hashed == [FILE, FILE]

    @pytest.mark.parametrize("keep_time", [False, True])
    def test_weights_of_the_same_size_are_read_again(self, folder, hashed, later, keep_time):
        """Also if the file's time is set back, as a copy does that keeps it."""
        before, path = identity(folder), folder / "unet" / FILE
        status = path.stat()
        path.write_bytes(path.read_bytes()[::-1])
        if keep_time:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        later()
        assert changed(before, identity(folder)) == ["unet/weights"] and len(hashed) == 3

    def test_what_was_just_written_is_not_trusted_to_its_time(self, folder, hashed, cache):
        identity(folder)
        identity(folder)
        assert len(hashed) == 4 and not cache.exists()

    @pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"format": "sdcorr digests 1", "files": {"a": 1}}'])
    def test_a_damaged_cache_is_no_mistake(self, folder, later, cache, content):
        before = identity(folder)
        cache.write_text(content)
        later()
        assert identity(folder) == before
        assert len(json.loads(cache.read_text())["files"]) == 2

    def test_a_digest_that_has_toppled_is_not_believed(self, folder, later, cache):
        before = identity(folder)
        cache.write_text(cache.read_text().replace(before["unet/weights"], "0" * 16))
        later()
        assert identity(folder) == before

    def test_a_cache_that_cannot_be_written_is_no_mistake(self, folder, later, cache):
        cache.parent.parent.mkdir(exist_ok=True)
        cache.parent.write_text("in the way")
        assert identity(folder) == identity(folder)

    def test_files_that_are_gone_are_forgotten(self, folder, later, cache, tmp_path):
        identity(folder)
        folder.rename(tmp_path / "elsewhere")
        later()
        identity(tmp_path / "elsewhere")
        assert {Path(name).parents[1].name for name in json.loads(cache.read_text())["files"]} == {"elsewhere"}


class TestOfALoadedModel:
    def test_is_that_of_its_files(self, small_backbone, two_level_folder):
        assert small_backbone.identity() == identity(two_level_folder)
        again = f"{two_level_folder.parent}/./{two_level_folder.name}"
        elsewhere = FrozenDiffusion.load(again, layers=small_backbone.layers, channels_last=True)
        assert elsewhere.identity() == small_backbone.identity()

    def test_in_memory_all_weights_and_configurations_and_the_schedule_count(self, small_backbone, two_level_folder):
        def in_memory() -> FrozenDiffusion:
            made = FrozenDiffusion.load(str(two_level_folder), layers=small_backbone.layers)
            made._files = None
            return made

        before, trained, noisier, scaled = in_memory().identity(), in_memory(), in_memory(), in_memory()
        assert before == in_memory().identity()
        weight = trained.unet.conv_in.weight.data
        weight.view(-1)[-1] += 1e-3  # none of the first numbers
        noisier.alphas_cumprod *= 0.9
        scaled.vae.register_to_config(scaling_factor=0.5)
        assert changed(before, trained.identity()) == ["unet/weights"]
        assert changed(before, noisier.identity()) == ["scheduler/alphas_cumprod"]
        assert changed(before, scaled.identity()) == ["vae/config.json"]
