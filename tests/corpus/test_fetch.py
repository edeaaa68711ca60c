"""Sets of the catalogue, fetched from a real local server and from local copies."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import tarfile
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from local_server import Site, serve

from xrealign.corpus import catalogue as catalogue_module
from xrealign.corpus.catalogue import catalogue, data_table, find_entry, get
from xrealign.corpus.fetch import LOCK, _members, fetch, files_present, place, read_lock, verified_files
from xrealign.errors import ArtifactError, DataError
from xrealign.language import parse_language

A, B, C = b"one\ntwo\n", b"eins\nzwei\n", b"uno\ndos\n"
CONVERTED_C = b"uno\n"
HOST = "https://example.org"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of one set with three files: two of known digest, one not; returns an empty folder."""
    data = tmp_path / "data"
    data.mkdir()
    fields = ("title", "revision", "url", "form", "reader", "converter", "licence", "citation", "use")
    text = "[news]\nkind = 'fetched'\narchive = 'packs/news.tar.xz'\narchive_prefix = 'n/'\n"
    text += "".join(f"{name} = 'x'\n" for name in fields)
    text += "[inside]\nkind = 'embedded'\n" + "".join(f"{name} = 'x'\n" for name in fields)
    (data / "catalogue.toml").write_text(text)
    rows = [
        "set\tname\tlanguage\turl\tsha256\tpack\tpack_sha256",
        f"news\td/a.txt\teng_Latn\t{HOST}/repo/d/a.txt\t{sha(A)}\t-\t-",
        f"news\td/b.txt\tdeu_Latn\t{HOST}/repo/d/b.txt\t{sha(B)}\t-\t-",
        f"news\td/c.txt\tspa_Latn\t{HOST}/repo/d/c.txt\t-\tstarter/news/c.txt\t{sha(CONVERTED_C)[:16]}",
    ]
    (data / "catalogue_files.tsv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(catalogue_module, "DATA", data)
    catalogue.cache_clear()
    yield tmp_path / "into"
    catalogue.cache_clear()


def site() -> Site:
    return Site({"/repo/d/a.txt": A, "/repo/d/b.txt": B, "/repo/d/c.txt": C})


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_from_the_net_once(small: Path) -> None:
    with serve(site()) as server:
        folder = fetch("news", small, base_url=server.url + "/")
        assert folder == small / "news"
        assert content(folder) == {"d/a.txt": A, "d/b.txt": B, "d/c.txt": C}
        assert len(server.requests) == 3
        fetch("news", small, base_url=server.url)
        assert len(server.requests) == 3  # all there and right: nothing is asked for again
        (folder / "d" / "b.txt").write_bytes(b"changed")
        fetch("news", small, base_url=server.url)
        assert [path for path, _ in server.requests[3:]] == ["/repo/d/b.txt"]
    assert set(verified_files("news", small)) == {"d/a.txt", "d/b.txt", "d/c.txt"}
    assert files_present(find_entry("news"), small) == {n: n for n in ("d/a.txt", "d/b.txt", "d/c.txt")}


def test_an_interrupted_set_goes_on(small: Path) -> None:
    with serve(site()) as server:
        server.fail_with = [404]
        with pytest.raises(DataError, match=r"404.*--from"):
            fetch("news", small, base_url=server.url)
        del server.files["/repo/d/c.txt"]
        with pytest.raises(DataError, match="404"):
            fetch("news", small, base_url=server.url)
        server.files["/repo/d/c.txt"] = C
        server.requests.clear()
        fetch("news", small, base_url=server.url)
        assert [path for path, _ in server.requests] == ["/repo/d/c.txt"]


def test_a_file_that_is_not_the_catalogues(small: Path) -> None:
    with serve(site()) as server:
        server.files["/repo/d/a.txt"] = b"something else"
        with pytest.raises(DataError, match=rf"expected {sha(A)}"):
            fetch("news", small, base_url=server.url)
    assert not (small / "news" / "d" / "a.txt").exists()


def test_an_unknown_digest_is_pinned_at_first_sight(small: Path) -> None:
    with serve(site()) as server:
        fetch("news", small, base_url=server.url)
        assert read_lock(small)["news"]["d/c.txt"] == {"sha256": sha(C), "from": f"{server.url}/repo/d/c.txt"}
        (small / "news" / "d" / "c.txt").unlink()
        server.files["/repo/d/c.txt"] = b"another text"
        with pytest.raises(DataError, match=rf"expected {sha(C)}.*pinned in .*{LOCK}"):
            fetch("news", small, base_url=server.url)
        server.files["/repo/d/c.txt"] = C
        fetch("news", small, base_url=server.url)
    assert (small / "news" / "d" / "c.txt").read_bytes() == C


def test_from_a_copy_of_the_originals(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    (copy / "d").mkdir(parents=True)
    (copy / "d" / "a.txt").write_bytes(A)
    (copy / "d" / "c.txt").write_bytes(C)
    assert content(fetch("news", small, from_folder=copy)) == {"d/a.txt": A, "d/c.txt": C}
    assert "2 of 3 files" in capsys.readouterr().err
    (copy / "d" / "a.txt").write_bytes(b"x")
    with pytest.raises(DataError, match=rf"SHA-256 of d/a\.txt is {sha(b'x')}, expected {sha(A)}"):
        fetch("news", small, from_folder=copy)


def pack_of(folder: Path, members: dict[str, bytes]) -> None:
    (folder / "packs").mkdir(parents=True)
    with tarfile.open(folder / "packs" / "news.tar.xz", "w:xz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_from_a_data_pack(small: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack_of(pack, {"n/d/a.txt": A, "n/d/b.txt": B, "../../escape.txt": b"x", "/absolute.txt": b"x"})
    (pack / "starter" / "news").mkdir(parents=True)
    (pack / "starter" / "news" / "c.txt").write_bytes(CONVERTED_C)
    for source in (pack,):
        folder = fetch("news", small, from_folder=source)
    assert content(folder) == {"d/a.txt": A, "d/b.txt": B, "converted/c.txt": CONVERTED_C}
    assert not list(tmp_path.rglob("escape.txt"))
    assert files_present(find_entry("news"), small) == {
        "d/a.txt": "d/a.txt",
        "d/b.txt": "d/b.txt",
        "d/c.txt": "converted/c.txt",
    }
    (pack / "starter" / "news" / "c.txt").write_bytes(b"dos\n")
    with pytest.raises(DataError, match=rf"SHA-256 of starter/news/c\.txt .* expected {sha(CONVERTED_C)[:16]}"):
        fetch("news", small, from_folder=pack)


def test_from_the_starter_folder_itself(small: Path, tmp_path: Path) -> None:
    (tmp_path / "starter" / "news").mkdir(parents=True)
    (tmp_path / "starter" / "news" / "c.txt").write_bytes(CONVERTED_C)
    assert content(fetch("news", small, from_folder=tmp_path / "starter")) == {"converted/c.txt": CONVERTED_C}


def test_from_a_folder_with_nothing_of_it(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing of news"):
        fetch("news", small, from_folder=tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        fetch("news", small, from_folder=tmp_path / "absent")


def test_readers_verify(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="xrealign data get news"):
        verified_files("news", small)
    with serve(site()) as server:
        fetch("news", small, base_url=server.url)
    path = small / "news" / "d" / "a.txt"
    path.write_bytes(A + b"!")
    with pytest.raises(ArtifactError, match="it was changed since"):
        verified_files("news", small)
    path.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        verified_files("news", small)
    (small / LOCK).write_text("{")
    with pytest.raises(ArtifactError, match="is damaged"):
        verified_files("news", small)


def test_sets_that_are_not_fetched(small: Path) -> None:
    with pytest.raises(DataError, match="inside needs no fetching: it is inside the package"):
        fetch("inside", small)
    with pytest.raises(DataError, match="no data set 'newz' in the catalogue; did you mean 'news'"):
        fetch("newz", small)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\\..\\x", "c:x", "", "a\0b"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads out"):
        place(tmp_path, name)


def test_a_link_that_leads_out(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="by a link"):
        place(tmp_path / "root", "link/x")
    assert place(tmp_path / "root", "a/b") == tmp_path / "root" / "a" / "b"


def test_the_users_cache_and_the_table(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path / "cache"))
    copy = tmp_path / "copy"
    (copy / "d").mkdir(parents=True)
    (copy / "d" / "b.txt").write_bytes(B)
    assert get("news", from_folder=copy) == tmp_path / "cache" / "data" / "news"
    rows = {row["language"]: row for row in data_table()}
    assert (rows["deu_Latn"]["fetched"], rows["deu_Latn"]["available"]) == (["news"], [])
    assert (rows["eng_Latn"]["fetched"], rows["eng_Latn"]["available"]) == ([], ["news"])
    assert data_table(parse_language("German")) == [rows["deu_Latn"]]
    assert rows["deu_Latn"] == {
        "language": "deu_Latn",
        "name": "German",
        "udhr-segments": 50,
        "udhr-articles": 30,
        "cldr-names": 1582,
        "cldr-keywords": 1582,
        "fetched": ["news"],
        "available": [],
    }


def test_the_real_catalogue_is_whole() -> None:
    entries = catalogue()
    for entry in entries.values():
        assert entry.kind in ("embedded", "package", "fetched")
        for name in ("title", "revision", "url", "form", "licence", "citation", "use"):
            assert getattr(entry, name), (entry.id, name)
        assert bool(entry.files) == (entry.kind == "fetched")
        assert entry.kind == "fetched" or all(len(digest) == 64 for digest in entry.sha256.values())
        assert entry.kind == "fetched" or entry.sha256
        names = [file.name for file in entry.files if file.url]
        assert len(names) == len(set(names))
        for file in entry.files:
            assert file.url or file.pack
            assert file.sha256 is None or len(file.sha256) == 64
            if file.url:
                address = urlsplit(file.url)
                assert (address.scheme, address.netloc) == ("https", "raw.githubusercontent.com")
                assert address.path.endswith("/" + file.name)
                place(Path("root"), file.name)
    assert len(entries["gatitos"].files) == 173
    assert len(entries["udhr"].languages) == 456
    assert parse_language("deu") in entries["ntrex-128"].languages
    assert sum(len(entry.files) for entry in entries.values()) > 800


@pytest.mark.data
@pytest.mark.parametrize("name", [n for n, entry in catalogue().items() if entry.kind == "fetched"])
def test_every_set_comes_out_of_the_data_pack(name: str, tmp_path: Path) -> None:
    if "XREALIGN_DATA" not in os.environ:
        pytest.skip("XREALIGN_DATA is not set: no data pack to take sets from")
    entry = find_entry(name)
    folder = fetch(name, tmp_path, from_folder=os.environ["XREALIGN_DATA"])
    assert set(files_present(entry, tmp_path)) == {file.name for file in entry.files}
    assert {path.relative_to(folder).as_posix() for path in verified_files(name, tmp_path).values()} == set(
        json.loads((tmp_path / LOCK).read_text())[name]
    )


@pytest.mark.data
def test_originals_of_the_data_pack_over_http(tmp_path: Path) -> None:
    """AlignFreeze's results are in the pack as they were published: served and fetched, they must verify."""
    if "XREALIGN_DATA" not in os.environ:
        pytest.skip("XREALIGN_DATA is not set: no originals to serve")
    entry = find_entry("alignfreeze-results")
    published = Path(os.environ["XREALIGN_DATA"]) / "published" / "alignfreeze"
    files = {urlsplit(str(file.url)).path: (published / file.name).read_bytes() for file in entry.files}
    with serve(Site(files, cut_after=[50_000])) as server:
        folder = fetch(entry.id, tmp_path, base_url=server.url)
    assert len(list(folder.iterdir())) == 12


def archive_of(path: Path, blocks: Iterable[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for block in blocks:
            file.write(block)
        file.write(bytes(2 * tarfile.BLOCKSIZE))
    return path


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def test_long_names_without_end_are_an_error(tmp_path: Path) -> None:
    one = header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 2) + b"a\0".ljust(tarfile.BLOCKSIZE, b"\0")
    path = archive_of(tmp_path / "a.tar.gz", [one] * 2000)
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        list(_members(path, {"a": "a"}))


def test_memory_does_not_grow_with_the_members_of_an_archive(tmp_path: Path) -> None:
    members = itertools.chain((header(f"m{number}") for number in range(10_000)), [header("a", size=1), b"x" * 512])
    path = archive_of(tmp_path / "a.tar.gz", members)
    tracemalloc.start()
    assert list(_members(path, {"a": "b"})) == [("b", b"x")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6, peak
