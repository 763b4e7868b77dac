import os
import socket

import gdown
import pytest
from gdown.exceptions import FileURLRetrievalError

from sdcorr.datasets.fetch import download as room
from sdcorr.datasets.fetch.download import download
from sdcorr.datasets.fetch.sources import Address
from sdcorr.errors import UserError
from tests.datasets.fetch.server import FileServer

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(room, "RETRIES", 0)  # so that every interruption comes back to us
    with FileServer() as opened:
        opened.files["a.zip"] = CONTENT
        yield opened


def address(server, name="a.zip"):
    return Address(server.url(name), name)


class TestDownload:
    def test_the_file_arrives_and_nothing_else_is_left(self, server, tmp_path):
        path = download(address(server), tmp_path)
        assert path.name == "a.zip" and path.read_bytes() == CONTENT
        assert list(path.parent.iterdir()) == [path]

    def test_a_broken_connection_is_continued_where_it_broke(self, server, tmp_path):
        server.breaks["a.zip"] = [1_200_000]
        assert download(address(server), tmp_path).read_bytes() == CONTENT
        *_, last = server.asked_for("a.zip")
        assert 0 < int(last.removeprefix("bytes=").rstrip("-")) <= 1_200_000

    def test_many_breaks_do_not_use_up_its_patience_while_something_arrives(self, server, tmp_path):
        server.breaks["a.zip"] = [700_000] * 5
        assert download(address(server), tmp_path).read_bytes() == CONTENT

    def test_the_next_run_continues_what_an_earlier_one_left(self, server, tmp_path):
        server.breaks["a.zip"] = [1_200_000, 0, 0]  # then nothing more arrives
        with pytest.raises(UserError, match="cannot be downloaded"):
            download(address(server), tmp_path)
        server.requests.clear()
        assert download(address(server), tmp_path).read_bytes() == CONTENT
        assert any(range_ and range_ != "bytes=0-" for range_ in server.asked_for("a.zip"))

    def test_a_file_that_is_there_is_not_asked_for_again(self, server, tmp_path):
        path = download(address(server), tmp_path)
        server.requests.clear()
        assert download(address(server), tmp_path) == path
        assert not server.requests

    def test_begins_anew_if_the_server_cannot_continue(self, server, tmp_path):
        server.continues = False
        server.breaks["a.zip"] = [1_200_000]
        assert download(address(server), tmp_path).read_bytes() == CONTENT

    def test_gives_up_on_a_server_that_cannot_continue_and_breaks_again(self, server, tmp_path):
        server.continues = False
        server.breaks["a.zip"] = [1_200_000] * 99
        with pytest.raises(UserError, match="cannot be downloaded"):
            download(address(server), tmp_path)

    def test_does_not_splice_two_versions_of_a_file(self, server, tmp_path):
        server.breaks["a.zip"] = [1_200_000, 0, 0]
        with pytest.raises(UserError):
            download(address(server), tmp_path)
        server.files["a.zip"] = newer = os.urandom(900_000)  # shorter than what has arrived
        assert download(address(server), tmp_path).read_bytes() == newer

    def test_two_addresses_with_one_file_name_do_not_mix(self, server, tmp_path):
        server.files["other/a.zip"] = b"other"
        server.breaks["a.zip"] = [1_200_000, 0, 0]
        with pytest.raises(UserError):
            download(address(server), tmp_path)
        assert download(Address(server.url("other/a.zip"), "a.zip"), tmp_path).read_bytes() == b"other"

    @pytest.mark.parametrize("status, words", [(404, "404 Not Found"), (503, "503 Service Unavailable")])
    def test_a_refusal_is_one_sentence_with_the_address(self, server, tmp_path, status, words):
        server.statuses["a.zip"] = status
        with pytest.raises(UserError) as caught:
            download(address(server), tmp_path)
        assert str(caught.value) == f"{server.url('a.zip')} cannot be downloaded ({words})"

    def test_no_server_at_all(self, server, tmp_path):
        with FileServer() as other:
            gone = address(other)
        with pytest.raises(UserError, match="no connection to 127.0.0.1"):
            download(gone, tmp_path)

    def test_a_server_that_says_nothing(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(room, "TIMEOUT", (1, 0.2))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip"
            with pytest.raises(UserError, match="127.0.0.1 did not answer in time"):
                download(Address(url, "a.zip"), tmp_path)

    def test_google_s_quota_is_told_and_costs_nothing_that_has_arrived(self, server, tmp_path, monkeypatch):
        server.breaks["a.zip"] = [1_200_000, 0, 0]
        with pytest.raises(UserError):
            download(address(server), tmp_path)
        (part,) = tmp_path.glob("*/*.part")
        arrived = part.read_bytes()

        def refuse(*_, **__):
            raise FileURLRetrievalError("Too many users have viewed or downloaded this file recently.")

        monkeypatch.setattr(gdown, "download", refuse)
        with pytest.raises(UserError, match="Google Drive does not hand it out to programs now"):
            download(address(server), tmp_path)
        assert part.read_bytes() == arrived
