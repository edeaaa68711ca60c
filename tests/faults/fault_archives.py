"""Archives, servers and copies of data sets that try to write elsewhere, to go on for ever, or to pass as another."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import Ended, Fault, Outcome, cli, fork, last_line, traceback_free
from look import ABSOLUTE, escaped

A, B = b"one\ntwo\n", b"eins\nzwei\n"
SECRET = b"not for anybody\n"
SMALL = 1 << 20
_FIELDS = ("title", "revision", "url", "form", "reader", "converter", "licence", "citation", "use")

Lay = Callable[[Path], None]  # puts a local copy of the set into a folder


def catalogue_of_one(folder: Path, host: str = "http://127.0.0.1:9") -> None:
    """In this process, the catalogue has one set of two files: ``d/a.txt`` of known digest, ``d/b.txt`` of none."""
    from xrealign.corpus import catalogue, download, fetch

    folder.mkdir(parents=True, exist_ok=True)
    text = "[news]\nkind = 'fetched'\narchive = 'packs/news.tar.xz'\narchive_prefix = 'n/'\n"
    text += "".join(f"{name} = 'x'\n" for name in _FIELDS)
    (folder / "catalogue.toml").write_text(text)
    rows = ["set\tname\tlanguage\turl\tsha256\tpack\tpack_sha256"]
    rows += [f"news\td/a.txt\teng_Latn\t{host}/d/a.txt\t{hashlib.sha256(A).hexdigest()}\t-\t-"]
    rows += [f"news\td/b.txt\tdeu_Latn\t{host}/d/b.txt\t-\t-\t-"]
    (folder / "catalogue_files.tsv").write_text("\n".join(rows) + "\n")
    catalogue.DATA = folder
    catalogue.catalogue.cache_clear()
    fetch.LARGEST_MEMBER, fetch.LARGEST_ARCHIVE, download.LARGEST = SMALL, 4 * SMALL, SMALL
    download.TIMEOUT = 3.0
    download.download.__kwdefaults__ = None
    download.download.__defaults__ = (None, 2, 0.01)


@dataclass(frozen=True)
class Copy:
    """A hostile local copy.

    Attributes:
        words: what the message must say; empty where the good files are to be taken and the rest passed over.
        kept: which files of the set are there afterwards.
    """

    name: str
    lay: Lay
    words: tuple[str, ...] = ()
    kept: Mapping[str, bytes] | None = None


def archive(*members: tuple[tarfile.TarInfo, bytes], pack: Callable[[bytes], bytes] = lzma.compress) -> Lay:
    """A data pack with these members."""

    def lay(folder: Path) -> None:
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for info, data in members:
                tar.addfile(info, io.BytesIO(data) if data else None)
        raw(pack(held.getvalue()))(folder)

    return lay


def raw(data: bytes) -> Lay:
    """These bytes in place of a data pack."""

    def lay(folder: Path) -> None:
        (folder / "packs").mkdir(parents=True)
        (folder / "packs" / "news.tar.xz").write_bytes(data)

    return lay


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None
) -> tuple[tarfile.TarInfo, bytes]:
    """A member of an archive; ``size`` is what it claims."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data) if size is None else size
    return info, data


def _lying(size: int) -> Lay:
    """A member that claims to be larger than it is, in the header alone."""
    info, _ = member("n/d/a.txt")
    info.size = size
    return raw(lzma.compress(info.tobuf(tarfile.GNU_FORMAT) + A.ljust(512, b"\0") + bytes(1024)))


def _sparse() -> Lay:
    """A sparse file: a few bytes of archive, a terabyte of file."""
    info, _ = member("n/d/a.txt", kind=tarfile.GNUTYPE_SPARSE)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\0%011o\0" % (0, 0)
    block[483:495] = b"%011o\0" % (1 << 32)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return raw(lzma.compress(bytes(block) + bytes(1024)))


GOOD = (member("n/d/a.txt", A), member("n/d/b.txt", B))
BOTH = {"d/a.txt": A, "d/b.txt": B}
OUTSIDE = ("../escape", "../../../escape", ABSOLUTE, "n/../../../escape", "n/d/../../../../escape", "..",
           "./../escape", "n/d/\x1b[31mred", "n/d/\u202egnp.txt", "n/d/" + "a" * 300,
           "C:\\escape", "\\\\host\\escape", "n/d/CON")  # fmt: skip
KINDS = {"symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "pipe": tarfile.FIFOTYPE,
         "character device": tarfile.CHRTYPE, "block device": tarfile.BLKTYPE, "folder": tarfile.DIRTYPE}  # fmt: skip


def _folder(change: Callable[[Path], None]) -> Lay:
    def lay(folder: Path) -> None:
        (folder / "d").mkdir(parents=True)
        (folder / "d" / "a.txt").write_bytes(A)
        (folder / "d" / "b.txt").write_bytes(B)
        (folder.parent / "secret").write_bytes(SECRET)
        change(folder)

    return lay


def _linked(folder: Path) -> None:
    (folder / "d" / "b.txt").unlink()
    (folder / "d" / "b.txt").symlink_to(folder.parent / "secret")


def _linked_folder(folder: Path) -> None:
    (folder / "d").rename(folder.parent / "elsewhere")
    (folder / "d").symlink_to(folder.parent / "elsewhere")


def _pipe(folder: Path) -> None:
    (folder / "d" / "b.txt").unlink()
    os.mkfifo(folder / "d" / "b.txt")


COPIES = (
    Copy("a data pack as it should be", archive(*GOOD), kept=BOTH),
    *(Copy(f"a member called {name[:30]!r}", archive(member(name, SECRET), *GOOD), kept=BOTH) for name in OUTSIDE),
    *(
        Copy(
            f"a {what} in place of a file",
            archive(member("n/d/b.txt", kind=kind, link="../../secret"), GOOD[0]),
            kept={"d/a.txt": A},
        )
        for what, kind in KINDS.items()
    ),
    Copy(
        "a link first, then a file through it", archive(member("n/d", kind=tarfile.SYMTYPE, link="/"), *GOOD), kept=BOTH
    ),
    Copy("a file twice", archive(*GOOD, member("n/d/b.txt", SECRET)), ("twice",)),
    Copy("a file of another content", archive(member("n/d/a.txt", SECRET)), ("SHA-256",)),
    Copy("a member larger than any file", archive(member("n/d/b.txt", bytes(SMALL + 1))), ("unpacks to", "not read")),
    Copy("a member that claims a terabyte", _lying(1 << 40), ("unpacks to", "not read")),
    Copy("a member that claims less than nothing", _lying(-5), ("SHA-256",)),
    Copy("a sparse member of gigabytes", _sparse(), ("unpacks to", "not read")),
    Copy("a bomb beside the files", archive(member("big", bytes(5 * SMALL)), *GOOD), ("unpacks to more",)),
    Copy("a bomb of a header", archive(member("n/" + "a" * (5 * SMALL), SECRET)), ("unpacks to more",)),
    Copy("a bomb of nothing", raw(lzma.compress(bytes(64 * SMALL))), ("holds nothing",)),
    Copy("an archive cut short", raw(lzma.compress(bytes(4096))[:40]), ("tar archive",)),
    Copy("an archive that is something else", raw(b"no archive at all" * 9), ("tar archive",)),
    Copy("gzip under another name", archive(*GOOD, pack=gzip.compress), ("tar archive",)),
    Copy("an empty file", raw(b""), ("tar archive",)),
    Copy("text in an archive's place", raw(lzma.compress(b"text\n" * 999)), ("tar archive",)),
    Copy("a folder as it should be", _folder(lambda _folder: None), kept=BOTH),
    Copy("a link to a file outside", _folder(_linked), ("leads out",)),
    Copy("a link to a folder outside", _folder(_linked_folder), ("leads out",)),
    Copy("a pipe in place of a file", _folder(_pipe), kept={"d/a.txt": A}),
)


def _copies(scratch: Path, fast: bool) -> Iterable[Outcome]:
    for number, copy in enumerate(COPIES[:: 6 if fast else 1]):
        place = scratch / f"{number:02d}" / "in" / "side"
        place.mkdir(parents=True)
        copy.lay(place / "pack")
        before = _files(scratch / f"{number:02d}")

        def call(place: Path = place) -> None:
            os.environ["XREALIGN_CACHE"] = str(place / "cache")
            catalogue_of_one(place / "catalogue")
            cli("data", "get", "news", "--from", "pack")()

        ended = fork(call, folder=place)
        new = {path: data for path, data in _files(scratch / f"{number:02d}").items() if path not in before}
        yield Outcome(copy.name, *_judged(copy, ended, new))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _judged(copy: Copy, ended: Ended, new: Mapping[str, bytes]) -> tuple[bool, str]:
    fetched = {
        name.partition("/cache/data/news/")[2]: data for name, data in new.items() if "/cache/data/news/" in name
    }
    stray = [name for name in new if not name.startswith(("in/side/cache/data/", "in/side/catalogue/"))] + escaped()
    if stray or SECRET in new.values():
        return False, f"written: {stray or 'what lies outside'}; {last_line(ended)}"
    if copy.words:
        good = traceback_free(ended) and all(word in ended.err for word in copy.words)
        return good, last_line(ended)
    return ended.code == 0 and fetched == copy.kept, f"{last_line(ended)}: {sorted(fetched)}"


FAULTS = (
    Fault(
        "archives and copies of data sets",
        "what is in them is read by name, checked, and written nowhere else",
        _copies,
    ),
)
