"""One file over a real HTTP connection: whole, cut, resumed, changed, refused."""

from __future__ import annotations

import hashlib
import io
import urllib.request
from http.client import HTTPMessage
from pathlib import Path

import pytest
from local_server import Site, serve

from xrealign.corpus.download import SameKind, download
from xrealign.errors import DataError

CONTENT = bytes(range(256)) * 4000  # 1 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_whole_file(tmp_path: Path) -> None:
    with serve(Site({"/f": CONTENT})) as site:
        assert download(site.url + "/f", tmp_path / "f", DIGEST) == DIGEST
        assert download(site.url + "/f", tmp_path / "g") == DIGEST  # digest not known
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert leftovers(tmp_path) == {"f", "g"}


def test_an_empty_file(tmp_path: Path) -> None:
    with serve(Site({"/f": b""})) as site:
        assert download(site.url + "/f", tmp_path / "f") == hashlib.sha256(b"").hexdigest()
    assert (tmp_path / "f").read_bytes() == b""


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_a_cut_transfer_goes_on_where_it_stopped(tmp_path: Path, digest: str | None) -> None:
    with serve(Site({"/f": CONTENT}, cut_after=[100_000, 300_000])) as site:
        download(site.url + "/f", tmp_path / "f", digest, pause=0)
        starts = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for _, wanted in site.requests]
    assert starts == [0, 100_000, 400_000]
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert leftovers(tmp_path) == {"f"}


def test_a_later_call_goes_on_too(tmp_path: Path) -> None:
    with serve(Site({"/f": CONTENT}, cut_after=[500_000])) as site:
        with pytest.raises(DataError, match=r"ended after 500000 of 1024000 bytes .*500000 bytes are kept"):
            download(site.url + "/f", tmp_path / "f", DIGEST, tries=1)
        assert not (tmp_path / "f").exists()
        download(site.url + "/f", tmp_path / "f", DIGEST, tries=1)
        assert [wanted for _, wanted in site.requests] == ["", "bytes=500000-"]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(tmp_path: Path) -> None:
    with serve(Site({"/f": CONTENT}, ranges=False, cut_after=[500_000])) as site:
        download(site.url + "/f", tmp_path / "f", DIGEST, pause=0)
        assert len(site.requests) == 2
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_changed_between_two_calls_is_not_patched_together(
    tmp_path: Path, etags: bool, known: bool
) -> None:
    new = CONTENT[::-1]
    digest = hashlib.sha256(new).hexdigest()
    with serve(Site({"/f": CONTENT}, etags=etags, cut_after=[500_000])) as site:
        with pytest.raises(DataError):
            download(site.url + "/f", tmp_path / "f", None, tries=1)
        site.files["/f"] = new
        assert download(site.url + "/f", tmp_path / "f", digest if known else None, pause=0) == digest
    assert (tmp_path / "f").read_bytes() == new


def test_a_wrong_digest_keeps_nothing(tmp_path: Path) -> None:
    with (
        serve(Site({"/f": CONTENT})) as site,
        pytest.raises(DataError, match=f"SHA-256 is {DIGEST}, expected {'0' * 64}"),
    ):
        download(site.url + "/f", tmp_path / "f", "0" * 64, pause=0)
    assert leftovers(tmp_path) == set()


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    with serve(Site({"/f": CONTENT})) as site:
        download(site.url + "/f", tmp_path / "f", DIGEST, pause=0)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(tmp_path: Path) -> None:
    with serve(Site({"/f": CONTENT}, fail_with=[503, 429])) as site:
        download(site.url + "/f", tmp_path / "f", DIGEST, pause=0)
        site.fail_with = [500] * 9
        with pytest.raises(DataError, match=r"500 .*\(2 tries\)"):
            download(site.url + "/f", tmp_path / "g", tries=2, pause=0)


def test_a_refusal_is_final(tmp_path: Path) -> None:
    with serve(Site({})) as site:
        with pytest.raises(DataError, match="the server answers 404"):
            download(site.url + "/absent", tmp_path / "f")
        assert len(site.requests) == 1


def test_nobody_listens(tmp_path: Path) -> None:
    with serve(Site({})) as site:
        url = site.url
    with pytest.raises(DataError, match=r"refused.*\(2 tries\)"):
        download(url + "/f", tmp_path / "f", tries=2, pause=0)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/f", "data:,x"])
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="only http and https"):
        download(url, tmp_path / "f")


@pytest.mark.parametrize(
    ("start", "to", "follows"),
    [
        ("https://a.example/x", "https://b.example/y", True),
        ("http://a.example/x", "https://b.example/y", True),
        ("http://a.example/x", "http://b.example/y", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "ftp://a.example/x", False),
        ("http://a.example/x", "file:///etc/hostname", False),
    ],
)
def test_redirects_never_leave_http_nor_lose_their_encryption(start: str, to: str, follows: bool) -> None:
    request = urllib.request.Request(start)
    lead = lambda: SameKind().redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), to)  # noqa: E731
    if follows:
        made = lead()
        assert made is not None
        assert made.full_url == to
    else:
        with pytest.raises(DataError, match="which is not followed"):
            lead()
