"""What was installed, compared with the list of digests that the installer kept of it."""

from __future__ import annotations

import base64
import csv
import hashlib
from importlib import metadata
from pathlib import Path


def damaged_files(package: str = "xrealign") -> tuple[list[Path], int]:
    """Files of an installed package that are gone or differ from its RECORD, and how many the RECORD lists.

    An editable installation lists none of its sources: there is nothing to compare them with.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    installed = metadata.distribution(package)  # its .files leave out what is gone, from Python 3.12 on
    rows = csv.reader((installed.read_text("RECORD") or "").splitlines())
    listed = {row[0]: row[1].removeprefix("sha256=") for row in rows if row[1:] and row[1].startswith("sha256=")}
    damaged = []
    for name, digest in listed.items():
        path = Path(str(installed.locate_file(name)))
        try:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").digest()
        except OSError:
            found = b""
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != digest:
            damaged.append(path)
    return damaged, len(listed)
