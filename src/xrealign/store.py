"""Results on disk, found again by what they were made from.

``runs/<verb>/<fingerprint>/`` holds one result; the fingerprint is a hash of the verb, its version, its settings and
the fingerprints of its inputs, so two runs that differ only in fine-tuning share everything before it. A result is
written aside, fsynced and renamed last: the folder exists exactly when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xrealign._version import __version__
from xrealign.errors import ArtifactError, DamagedWork
from xrealign.progress import say
from xrealign.refusals import told_of
from xrealign.writing import sync, write_atomic

MANIFEST = "manifest.json"
RESULT = "result"  # in the folder of work under way: what is being made, or was dropped; never gone on with
FORMAT = 2


def fingerprint(verb: str, version: int, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """16 hex digits that change when anything that can change the result does."""
    content = {"verb": verb, "version": version, "settings": settings, "inputs": dict(inputs)}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Stage:
    """A result that is to be there: how it is found, and how it is made if it is not.

    Attributes:
        verb: ``select``, ``corpus`` …; first part of its folder.
        label: what people call it, e.g. ``realign control``.
        settings: everything in the configuration that can change the result.
        inputs: fingerprints and digests of what it is made from, by name.
        make: writes the result into an empty folder; its second argument is a folder that survives a kill, for
            checkpoints. Returns what the manifest should say (counts, notes).
        version: raised when the code changes what comes out.
    """

    verb: str
    label: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    make: Callable[[Path, Path], Mapping[str, Any]]
    version: int = 1

    @property
    def fingerprint(self) -> str:
        """Of the verb, version, settings and inputs."""
        return fingerprint(self.verb, self.version, self.settings, self.inputs)

    def folder(self, runs: Path) -> Path:
        """Where the result is, or will be."""
        return runs / self.verb / self.fingerprint

    def work(self, runs: Path) -> Path:
        """Where what survives a kill is while the result is made."""
        return runs / ".work" / f"{self.verb}-{self.fingerprint}"

    def lock(self, runs: Path) -> FileLock:
        """Held by the one process that makes the result, or drops it."""
        work = self.work(runs)
        work.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(work.with_name(f"{work.name}.lock"))


def is_done(stage: Stage, runs: Path) -> bool:
    """Whether the result is there, whole."""
    return (stage.folder(runs) / MANIFEST).is_file()


def build(stage: Stage, runs: Path) -> Path:
    """The folder of a stage's result, made now unless it is there; two processes never make it twice.

    Raises:
        ArtifactError: the disk is full, or the folder cannot be written.
    """
    target = stage.folder(runs)
    if is_done(stage, runs):
        return target
    work = stage.work(runs)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with stage.lock(runs):
            if is_done(stage, runs):
                return target
            aside = _make(stage, work)
            shutil.rmtree(target, ignore_errors=True)  # a folder without a manifest is no result
            aside.replace(target)
            sync(target.parent)
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{stage.label}: {told_of(error, target)}") from error
    return target


def _make(stage: Stage, work: Path) -> Path:
    """The result, made beside its place. Saved work that turns out to be damaged is dropped, and all begun anew."""
    aside = work / RESULT
    for turn in (1, 2):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        start = time.perf_counter()
        try:
            facts = stage.make(aside, work)
        except DamagedWork as error:
            if turn == 2:
                raise
            say(f"{stage.label}: {error}; it is begun anew")
            shutil.rmtree(work)
            continue
        except BaseException:  # on a full disk its room is needed
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _write_manifest(stage, aside, facts, time.perf_counter() - start)
        break
    return aside


@contextlib.contextmanager
def owned(runs: Path, name: str) -> Iterator[None]:
    """While inside, no other process is inside with the same name; the system ends this with the process, however.

    Raises:
        ArtifactError: another process is; says which.
    """
    (runs / ".work").mkdir(parents=True, exist_ok=True)
    owner = runs / ".work" / f"{name}.owner"
    lock = FileLock(runs / ".work" / f"{name}.owner.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = owner.read_text("utf-8").strip() if owner.is_file() else "another process"
        raise ArtifactError(
            f"{name} is being made by {who}; wait for it or stop it, or give this one another name: --set name=…"
        ) from None
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        write_atomic(owner, f"process {os.getpid()} on {platform.node()}, since {since}\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _write_manifest(stage: Stage, folder: Path, facts: Mapping[str, Any], seconds: float) -> None:
    manifest = {
        "format": FORMAT,
        "xrealign": __version__,
        "verb": stage.verb,
        "label": stage.label,
        "version": stage.version,
        "settings": stage.settings,
        "inputs": stage.inputs,
        "seconds": round(seconds, 2),
        "files": listed(folder),
        "facts": facts,
    }
    write_atomic(folder / MANIFEST, seal(manifest))
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of every file of a folder, by its path in there."""
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": digest_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_OPEN_SEAL = "0" * 64


def seal(content: Mapping[str, Any]) -> str:
    """``content`` as JSON text that begins with the SHA-256 of itself (computed with zeros in its place)."""
    text = json.dumps({"seal": _OPEN_SEAL, **content}, indent=1, ensure_ascii=False, default=str) + "\n"
    return text.replace(_OPEN_SEAL, hashlib.sha256(text.encode()).hexdigest(), 1)


def unseal(text: str) -> dict[str, Any]:
    """What `seal` was given.

    Raises:
        ValueError: it is not JSON, or a character of it has changed.
    """
    try:
        content: dict[str, Any] = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, dict) or not isinstance(found := content.pop("seal", None), str):
        raise ValueError("it has no seal")  # noqa: TRY004 - damage, not a wrong type of the caller's
    if hashlib.sha256(text.replace(found, _OPEN_SEAL, 1).encode()).hexdigest() != found:
        raise ValueError("it differs from its seal")
    return content


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a result.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{folder} holds no complete result; delete it and run again")
    try:
        found = unseal(path.read_text("utf-8"))
        whole = found["format"] == FORMAT and all({"bytes", "sha256"} <= set(file) for file in found["files"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise ArtifactError(f"{path} is damaged, or of another version of xrealign")
    return found


def damaged(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """The first of the files that is not there, or differs from what was `listed`; None when all are as they were."""
    for name, known in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known["bytes"] or digest_of(path) != known["sha256"]:
            return path
    return None


def verify(folder: Path) -> None:
    """Compares every file of a result with its manifest, digests too; changes nothing.

    Raises:
        ArtifactError: a file is missing or has changed, or the manifest has.
    """
    path = damaged(folder, read_manifest(folder)["files"])
    if path is not None:
        raise ArtifactError(f"{path} is damaged: it differs from its manifest")


def rebuild_if_damaged(stage: Stage, runs: Path) -> None:
    """Drops a result that differs from its manifest in a single bit, or whose manifest is damaged, saying so.

    Of a whole result, what a kill at the very end of its making has left behind is cleared away. Of several processes
    one drops it; whoever comes later finds it gone, or waits until it is made again and keeps it.

    Raises:
        ArtifactError: the system refuses to drop it.
    """
    folder, work = stage.folder(runs), stage.work(runs)
    if not is_done(stage, runs) or (_fault(folder) is None and not work.exists()):
        return
    try:
        with stage.lock(runs):
            if not is_done(stage, runs):
                return
            shutil.rmtree(work, ignore_errors=True)
            if (fault := _fault(folder)) is not None:  # looked at again: another process may have mended it
                say(f"{stage.label}: {fault}; the result is made again")
                work.mkdir(exist_ok=True)
                folder.rename(work / RESULT)  # gone at once, and what a kill leaves of it is in nobody's way
                shutil.rmtree(work)
    except OSError as error:
        raise ArtifactError(f"{stage.label}: {told_of(error, folder)}") from error


def _fault(folder: Path) -> str | None:
    """What is wrong with a result, None for a whole one; it may be dropped by another process at the same time."""
    try:
        verify(folder)
    except (ArtifactError, FileNotFoundError) as error:
        return str(error)
    return None


_DIGESTS: dict[tuple[int, ...], str] = {}


def digest_of(path: Path) -> str:
    """`file_digest`, once in a process for all hard links to a file that nobody writes to: models share the shard of
    their word embeddings, the cells of a sweep their texts."""
    facts = path.stat()
    key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)  # not the time of change: links alter it
    if key not in _DIGESTS:
        _DIGESTS[key] = file_digest(path)
    return _DIGESTS[key]


def file_digest(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
