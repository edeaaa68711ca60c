"""Results on disk, found again by what they were made from.

``runs/<verb>/<fingerprint>/`` holds one result; the fingerprint is a hash of the verb, its version, its settings and
the fingerprints of its inputs, so two runs that differ only in fine-tuning share everything before it. A result is
written aside, fsynced and renamed last: the folder exists exactly when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from xrealign._version import __version__
from xrealign.errors import ArtifactError
from xrealign.progress import say

MANIFEST = "manifest.json"
FORMAT = 1


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
    work = runs / ".work" / f"{stage.verb}-{stage.fingerprint}"
    try:
        work.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(runs / ".work" / f"{stage.verb}-{stage.fingerprint}.lock"):
            if is_done(stage, runs):
                return target
            aside = work / "result"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            start = time.perf_counter()
            facts = stage.make(aside, work)
            _write_manifest(stage, aside, facts, time.perf_counter() - start)
            shutil.rmtree(target, ignore_errors=True)  # a folder without a manifest is no result
            aside.replace(target)
            sync(target.parent)
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{stage.label}: {error.filename or target}: {error.strerror or error}") from error
    return target


def _write_manifest(stage: Stage, folder: Path, facts: Mapping[str, Any], seconds: float) -> None:
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "format": FORMAT,
        "xrealign": __version__,
        "verb": stage.verb,
        "label": stage.label,
        "version": stage.version,
        "settings": stage.settings,
        "inputs": stage.inputs,
        "seconds": round(seconds, 2),
        "files": files,
        "facts": facts,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a result.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        raise ArtifactError(f"{folder} holds no complete result; delete it and run again") from None
    return manifest


def verify(folder: Path) -> None:
    """Compares every file of a result with its manifest, digests too; changes nothing.

    Raises:
        ArtifactError: a file is missing or has changed.
    """
    for name, known in read_manifest(folder)["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known["bytes"] or file_digest(path) != known["sha256"]:
            raise ArtifactError(f"{path} is damaged: it differs from its manifest; delete {folder} and run again")


def rebuild_if_damaged(stage: Stage, runs: Path) -> None:
    """Drops a result whose files do not have the sizes its manifest says, or whose manifest is damaged, saying so."""
    folder = stage.folder(runs)
    if not is_done(stage, runs):
        return
    try:
        files = read_manifest(folder)["files"]
    except ArtifactError:
        files = {MANIFEST: {"bytes": -1}}  # what it promises is not known
    for name, known in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known["bytes"]:
            say(f"{stage.label}: {path} is damaged; the result is made again")
            shutil.rmtree(folder)
            return


def file_digest(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
