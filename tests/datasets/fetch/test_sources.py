from pathlib import Path

import pytest
from gdown.parse_url import parse_url

from sdcorr.cli.prepare import main
from sdcorr.datasets.fetch import prepare
from sdcorr.datasets.fetch.sources import SOURCES, catalog


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


class TestSources:
    def test_every_data_set_is_listed_with_its_terms_and_addresses(self, root, capsys):
        (root / "CUB_200_2011").mkdir(parents=True)
        main(["--list", "--root", str(root)])
        assert (shown := capsys.readouterr().out) == catalog(root) + "\n"
        for source in SOURCES.values():
            assert f"{source.name}: {root / source.folder}, not here yet" in shown and source.terms in shown
            assert all(address.url in shown for address in source.archives)

    def test_what_is_prepared_is_listed_as_ready(self, root):
        for path in SOURCES["tss"].holds:
            (root / "TSS_CVPR2016" / path).mkdir(parents=True)
        assert f"tss: {root / 'TSS_CVPR2016'}, ready" in catalog(root)

    def test_google_s_files_are_asked_for_by_their_ids(self):
        urls = [address.url for source in SOURCES.values() for address in source.archives if "google" in address.url]
        assert len(urls) == len(SOURCES) - 1  # SPair-U's only address is its authors'
        assert all(parse_url(url) == (url.partition("id=")[2], True) for url in urls)

    def test_the_configurations_expect_the_folders_that_are_made(self):
        configs = Path(prepare.__file__).parents[3] / "configs" / "dataset"
        for source in SOURCES.values():
            assert f"root: data/{source.folder}\n" in (configs / f"{source.name}.yaml").read_text()
