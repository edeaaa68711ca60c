"""Fetching a set of the catalogue: from its public address or a local copy, every file verified.

A digest that the catalogue does not know is pinned: what came first is written to ``xrealign-data.lock``, and
everything later must equal it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import urlsplit

from xrealign.corpus.catalogue import CatalogueEntry, CatalogueFile, find_entry
from xrealign.corpus.download import download, file_sha256
from xrealign.errors import ArtifactError, DataError
from xrealign.progress import say, track
from xrealign.store import seal, unseal
from xrealign.textio import UNREADABLE, open_bytes, reason
from xrealign.writing import write_atomic

LARGEST_MEMBER, LARGEST_ARCHIVE = 256 << 20, 1 << 30
"""Bytes at most of a file in an archive, and of all of an archive unpacked; ten times what the data packs have."""
LOCK = "xrealign-data.lock"
CONVERTED = "converted"
Lock = dict[str, dict[str, dict[str, str]]]  # set -> path inside the set's folder -> {sha256, from}


def place(root: Path, name: str) -> Path:
    """``root / name``, if that lies inside ``root``.

    Raises:
        DataError: the name is absolute or climbs out, directly or by a link.
    """
    pure = PurePosixPath(name)
    unusual = not name.isprintable() or "\\" in name or ":" in name
    if unusual or not pure.parts or pure.is_absolute() or ".." in pure.parts:
        raise DataError(f"the file name {name!r} leads out of its folder; nothing was written")
    path = root.joinpath(*pure.parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{path} leads out of {root} by a link; nothing was written")
    return path


def read_lock(into: Path) -> Lock:
    """The digests pinned in a folder of fetched sets.

    Raises:
        ArtifactError: the lock file cannot be read.
    """
    path = into / LOCK
    if not path.exists():
        return {}
    try:
        text = path.read_text("utf-8")
        lock: Lock = unseal(text) if '"seal"' in text else json.loads(text)  # older ones have none
        if not all(pin["sha256"] for pinned in lock.values() for pin in pinned.values()):
            raise ValueError("a file has no digest")
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}); remove it, and get every set again with: xrealign data get SET"
        ) from None
    return lock


def _write_lock(into: Path, lock: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
    write_atomic(into / LOCK, seal({identifier: lock[identifier] for identifier in sorted(lock)}))


def fetch(identifier: str, into: Path, base_url: str | None = None, from_folder: str | Path | None = None) -> Path:
    """Brings a fetched set into ``into/<identifier>`` and returns that folder; what is there already stays.

    Args:
        identifier: id of a set of kind ``fetched``.
        into: folder of fetched sets; made when absent.
        base_url: a mirror, put in place of the scheme and host of every address.
        from_folder: a local copy instead of the net: the originals under their own paths, or a data pack.
            Originals are checked by their full digest, a pack's converted files by the digest recorded for
            them; files that are not there are left out, and counted.

    Raises:
        DataError: no such set, nothing of it in ``from_folder``, a failed download, or a digest that is neither
            the catalogue's nor the pinned one.
    """
    from filelock import FileLock

    entry = find_entry(identifier)
    if entry.kind != "fetched":
        where = "inside the package" if entry.kind == "embedded" else f"brought by {entry.revision}"
        raise DataError(f"{identifier} needs no fetching: it is {where}")
    into.mkdir(parents=True, exist_ok=True)
    folder = into / identifier
    with FileLock(into / f"{LOCK}.busy"):
        lock = read_lock(into)
        pinned = lock.setdefault(identifier, {})
        if from_folder is None:
            _from_net(entry, folder, into, lock, base_url)
        else:
            source = Path(from_folder)
            if not source.is_dir():
                raise DataError("is not a folder", source)
            copied = _from_copy(entry, folder, source, pinned)
            _write_lock(into, lock)
            say(f"{identifier}: {copied} of {len(entry.files)} files from {source}")
    return folder


def _expected(file: CatalogueFile, pinned: Mapping[str, Mapping[str, str]]) -> str | None:
    return file.sha256 or pinned.get(file.name, {}).get("sha256")


def _from_net(entry: CatalogueEntry, folder: Path, into: Path, lock: Lock, base_url: str | None) -> None:
    pinned = lock[entry.id]
    for file in track([f for f in entry.files if f.url], f"fetching {entry.id}"):
        target = place(folder, file.name)
        expected = _expected(file, pinned)
        if expected and target.exists() and file_sha256(target) == expected and file.name in pinned:
            continue
        url = str(file.url)
        if base_url is not None:
            url = base_url.rstrip("/") + urlsplit(url).path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            digest = download(url, target, expected)
        except DataError as error:
            hint = "" if file.sha256 or not expected else f"; the expected digest was pinned in {into / LOCK}"
            raise DataError(f"{error}{hint}; a local copy can be given with --from") from None
        pinned[file.name] = {"sha256": digest, "from": url}
        _write_lock(into, lock)


def _from_copy(entry: CatalogueEntry, folder: Path, source: Path, pinned: dict[str, dict[str, str]]) -> int:
    """Copies what ``source`` has of the set; returns how many of its files."""
    by_original = {file.name: file for file in entry.files if file.url}
    by_pack = {file.pack: file for file in entry.files if file.pack}
    done: set[str] = set()
    for name, content in _contents(entry, source, list(by_original), [str(p) for p in by_pack]):
        digest = hashlib.sha256(content).hexdigest()
        if name in by_original and name not in done:
            file, relative = by_original[name], name
            expected, known_from = _expected(file, pinned), "catalogue" if file.sha256 else LOCK
        elif name in by_pack and by_pack[name].name not in done:
            file, relative = by_pack[name], f"{CONVERTED}/{PurePosixPath(name).name}"
            expected, known_from = file.pack_sha256, "catalogue"
        else:
            continue
        if expected is not None and not digest.startswith(expected):
            raise DataError(
                f"SHA-256 of {name} is {digest}, expected {expected} ({known_from}); it is not the recorded file",
                source,
            )
        write_atomic(place(folder, relative), content)
        pinned[relative] = {"sha256": digest, "from": "a local copy"}
        done.add(file.name)
    if not done:
        raise DataError(f"holds nothing of {entry.id}: neither its original files nor a data pack", source)
    return len(done)


def _contents(
    entry: CatalogueEntry, source: Path, originals: list[str], packed: list[str]
) -> Iterator[tuple[str, bytes]]:
    """(catalogue's name, bytes) of every file of a set found in a local copy; originals come first."""
    archive = source / entry.archive if entry.archive else source / "absent"
    for name in originals:
        path = place(source, name)
        if path.is_file():
            yield name, path.read_bytes()
    if archive.is_file():
        wanted = {entry.archive_prefix + name: name for name in originals} | {name: name for name in packed}
        yield from _members(archive, wanted)
    for name in packed:
        for path in (place(source, name), place(source, name.removeprefix("starter/"))):
            if path.is_file():
                yield name, path.read_bytes()
                break


def _members(archive: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """(name it is wanted by, bytes) of the wanted files of a tar archive, plain or packed.

    Members are read by name, one after the other, and never unpacked to a path of their own: names that climb out,
    links and devices are only passed over.

    Raises:
        DataError: it is damaged or no such archive, a wanted file is in it twice, or it unpacks to more than there can
            be in one.
    """
    seen: set[str] = set()
    try:
        with open_bytes(archive) as packed, _tar(packed) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it keeps every one: an archive may have millions
                if not member.isfile() or member.name not in wanted:
                    continue
                if member.name in seen:
                    raise DataError(f"has {member.name!r} twice; expected each file once", archive)
                seen.add(member.name)
                if member.size > LARGEST_MEMBER:
                    told = f"{member.name!r} unpacks to {member.size} bytes, more than {LARGEST_MEMBER}; not read"
                    raise DataError(told, archive)
                content = tar.extractfile(member)
                assert content is not None  # of a regular file there is one
                yield wanted[member.name], content.read()
    except _TooLarge:
        raise DataError(f"unpacks to more than {LARGEST_ARCHIVE} bytes; it is no data pack", archive) from None
    except (tarfile.TarError, *UNREADABLE, OverflowError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as a tar archive: {reason(error)}", archive) from None


def _tar(packed: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast("IO[bytes]", _Counted(packed)), mode="r|")


class _TooLarge(Exception):  # noqa: N818 - never leaves this file
    """An archive that goes on and on."""


class _Counted:
    """What is read of an archive, up to `LARGEST_ARCHIVE` bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.left = LARGEST_ARCHIVE

    def read(self, size: int) -> bytes:
        """The next bytes, unpacked."""
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _TooLarge
        return data


def files_present(entry: CatalogueEntry, into: Path) -> dict[str, str]:
    """The set's files that lie in ``into`` (not verified): name -> path in the set's folder.

    The path is the name itself, or that of the data pack's converted form where only that is there.
    """
    pinned = read_lock(into).get(entry.id, {})
    folder = into / entry.id
    found = {}
    for file in entry.files:
        forms = [file.name] if file.url else []
        forms += [f"{CONVERTED}/{PurePosixPath(file.pack).name}"] if file.pack else []
        here = [form for form in forms if form in pinned and (folder / form).is_file()]
        if here:
            found[file.name] = here[0]
    return found


def verified_files(identifier: str, into: Path, names: Collection[str] | None = None) -> dict[str, Path]:
    """The files of a fetched set by their path in its folder, after checking each against its pinned digest.

    ``names`` are those paths; None for all.

    Raises:
        DataError: the set was not fetched.
        ArtifactError: a file is missing or has changed since.
    """
    pinned = read_lock(into).get(identifier, {})
    if not pinned:
        raise DataError(f"{identifier} is not in {into}; get it with: xrealign data get {identifier}")
    files = {}
    for name, pin in pinned.items():
        if names is not None and name not in names:
            continue
        path = place(into / identifier, name)
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; get it again with: xrealign data get {identifier}")
        digest = file_sha256(path)
        if digest != pin["sha256"]:
            raise ArtifactError(
                f"{path}: SHA-256 is {digest}, pinned {pin['sha256']}; it was changed since; "
                f"get it again with: xrealign data get {identifier}"
            )
        files[name] = path
    return files
