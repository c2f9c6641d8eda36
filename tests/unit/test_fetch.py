"""Published files: found in order, checked always, replaced when damaged, and one line when they cannot be had."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldmd import cli, fetch
from ldmd.errors import InputError

CONTENT = b"nep4 1 Si\n1 2 3\n"


class Shelf(http.server.BaseHTTPRequestHandler):
    """A server of one content at every address, which counts what was asked for."""

    content = CONTENT
    status = 200
    asked: list[str] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shelf]]:
    """A server on this machine that stands for GitHub; the handler class can be told what to answer."""
    handler = type("Handler", (Shelf,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        base = f"http://127.0.0.1:{running.server_address[1]}"
        monkeypatch.setattr(fetch.PublishedFile, "url", property(lambda file: f"{base}/{file.path}"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield handler
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One little file in the registry, an empty cache, no data folder."""
    little = dataclasses.replace(
        fetch.REGISTRY[0], name="little", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    monkeypatch.setattr(fetch, "REGISTRY", (little, *fetch.REGISTRY[1:]))
    monkeypatch.setenv("LDMD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LDMD_DATA", raising=False)


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


PLACE = fetch.REGISTRY[0].place


def test_downloaded_once_and_then_found_in_the_cache(server: type[Shelf], tmp_path: Path) -> None:
    path = fetch.fetch("little")
    assert path == tmp_path / "cache" / PLACE
    assert path.read_bytes() == CONTENT
    assert fetch.fetch("little") == path
    assert len(server.asked) == 1 and server.asked[0].endswith("Si_2022_NEP4_3body.txt")


def test_the_data_folder_comes_first(monkeypatch: pytest.MonkeyPatch, server: type[Shelf], tmp_path: Path) -> None:
    put(tmp_path / "cache" / PLACE)
    mine = put(tmp_path / "data" / PLACE)
    monkeypatch.setenv("LDMD_DATA", str(tmp_path / "data"))
    assert fetch.fetch("little") == mine
    assert server.asked == []


def test_another_file_in_the_data_folder_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, server: type[Shelf], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = put(tmp_path / "data" / PLACE, b"edited")
    monkeypatch.setenv("LDMD_DATA", str(tmp_path / "data"))
    with caplog.at_level(logging.WARNING):
        assert fetch.fetch("little") == tmp_path / "cache" / PLACE
    assert str(other) in caplog.text
    assert other.read_bytes() == b"edited"


def test_a_damaged_file_of_the_cache_is_replaced_and_nothing_else(server: type[Shelf], tmp_path: Path) -> None:
    damaged = put(tmp_path / "cache" / PLACE, CONTENT[:-3])
    neighbour = put(damaged.with_name("another.txt"), b"something else")
    assert fetch.fetch("little").read_bytes() == CONTENT
    assert neighbour.read_bytes() == b"something else"
    assert sorted(path.name for path in damaged.parent.iterdir()) == sorted([damaged.name, "another.txt"])


def one_line(error: InputError, *words: str) -> None:
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error)


def test_offline_and_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/nothing"
    monkeypatch.setattr(fetch.PublishedFile, "url", property(lambda file: url))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(InputError) as caught:
        fetch.fetch("little")
    one_line(caught.value, "little", "cannot be downloaded (ConnectionError)", url, str(tmp_path / "cache" / PLACE))
    assert list((tmp_path / "cache").rglob("*.txt")) == []


def test_offline_a_damaged_file_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch.PublishedFile, "url", property(lambda file: "http://127.0.0.1:1/nothing"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    damaged = put(tmp_path / "cache" / PLACE, b"half")
    with pytest.raises(InputError, match="cannot be downloaded"):
        fetch.fetch("little")
    assert damaged.read_bytes() == b"half"


def test_a_file_that_is_gone_is_one_line(server: type[Shelf]) -> None:
    server.status = 404
    with pytest.raises(InputError) as caught:
        fetch.fetch("little")
    one_line(caught.value, "HTTP status 404")


def test_other_bytes_than_published_are_one_line_and_not_kept(server: type[Shelf], tmp_path: Path) -> None:
    server.content = b"<html>sign in</html>"
    damaged = put(tmp_path / "cache" / PLACE, b"half")
    with pytest.raises(InputError) as caught:
        fetch.fetch("little")
    one_line(caught.value, "another SHA-256", "not kept")
    assert damaged.read_bytes() == b"half"
    assert [path.name for path in damaged.parent.iterdir()] == [damaged.name]


def test_a_download_that_came_damaged_is_tried_once_more(server: type[Shelf], tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"

    def answer(handler: Shelf) -> None:
        Shelf.do_GET(handler)
        type(handler).content = CONTENT

    server.do_GET = answer
    assert fetch.fetch("little").read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_no_more_is_taken_than_was_published(server: type[Shelf], tmp_path: Path, compressed: bool) -> None:
    """Whatever a server sends, and whatever that unpacks to."""
    sent, parts = [0], (gzip.compress(bytes(100_000_000)),) if compressed else (bytes(100_000),) * 1000

    def answer(handler: Shelf) -> None:
        handler.send_response(200)
        if compressed:
            handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for part in parts:
                handler.wfile.write(part)
                sent[0] += len(part)

    server.do_GET = answer
    with pytest.raises(InputError, match="it was not kept"):
        fetch.fetch("little")
    assert sent[0] < 50_000_000
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_cache_that_cannot_be_written_is_one_line(server: type[Shelf], tmp_path: Path) -> None:
    put(tmp_path / "cache", b"a file where the folder should be")
    with pytest.raises(InputError) as caught:
        fetch.fetch("little")
    one_line(caught.value, "cannot be written", "LDMD_CACHE")


def test_a_wrong_name_brings_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean mgsbbi-nep4"):
        fetch.fetch("mgsbi-nep4")
    with pytest.raises(InputError, match="lists the names"):
        fetch.fetch("xxxxxxxx")


def test_a_case_names_a_published_file_or_its_own(server: type[Shelf], tmp_path: Path) -> None:
    assert fetch.resolve("fetch:little", tmp_path) == tmp_path / "cache" / PLACE
    assert fetch.resolve("nep.txt", tmp_path) == tmp_path / "nep.txt"


def test_a_copy_for_oneself_replaces_nothing(server: type[Shelf], tmp_path: Path) -> None:
    copy = fetch.fetch_to("little", tmp_path / "mine")
    assert copy == tmp_path / "mine" / Path(PLACE).name
    assert copy.read_bytes() == CONTENT
    assert fetch.fetch_to("little", tmp_path / "mine") == copy
    copy.write_bytes(b"edited")
    with pytest.raises(InputError, match="move it away"):
        fetch.fetch_to("little", tmp_path / "mine")
    assert copy.read_bytes() == b"edited"


def test_the_list_says_where_each_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(tmp_path / "cache" / PLACE)
    lines = fetch.listing()
    (mine,) = (line for line in lines if line.startswith("little "))
    assert "16 B" in mine and "GPL-3.0" in mine and "cache (" in mine
    (other,) = (line for line in lines if line.startswith("mgsbbi-nep4 "))
    assert "159 kB" in other and "BSD-3-Clause" in other and "not here yet" in other
    assert sum("@" in line for line in lines) == len(fetch.REGISTRY)


def test_the_registry_is_of_pinned_files() -> None:
    names = [file.name for file in fetch.REGISTRY]
    assert len(set(names)) == len(names) == len({file.place for file in fetch.REGISTRY})
    for file in fetch.REGISTRY:
        assert len(file.commit) == 40 and len(file.sha256) == 64
        assert file.url.startswith("https://raw.githubusercontent.com/") and file.commit in file.url


@pytest.mark.parametrize("file", fetch.REGISTRY, ids=lambda file: file.name)
def test_the_published_files_have_these_sums(file: fetch.PublishedFile, shared_data: Path) -> None:
    path = shared_data / file.place
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    content = path.read_bytes()
    assert len(content) == file.size
    assert hashlib.sha256(content).hexdigest() == file.sha256


def test_the_command_lists_and_gets(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], server: type[Shelf], tmp_path: Path
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ldmd", "fetch", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capfd.readouterr()

    code, out, _ = run()
    assert code == 0 and "little" in out and "mgsbbi-nep4" in out
    assert run("little")[:2] == (0, f"{tmp_path / 'cache' / PLACE}\n")
    assert run("little", "--to", str(tmp_path / "mine"))[:2] == (0, f"{tmp_path / 'mine' / Path(PLACE).name}\n")
    code, out, err = run("litle")
    assert (code, out, err) == (2, "", "ldmd: published file = litle: did you mean little?\n")
    assert run("--to", str(tmp_path))[0] == 2
