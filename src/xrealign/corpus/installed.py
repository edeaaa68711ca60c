"""What was installed, compared with the list of digests that the installer kept of it."""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata
from pathlib import Path


def damaged_files(package: str = "xrealign") -> tuple[list[Path], int]:
    """Files of an installed package that are gone or differ from its RECORD, and how many the RECORD lists.

    An editable installation lists none of its sources: there is nothing to compare them with.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    listed = [file for file in metadata.files(package) or [] if file.hash is not None and file.hash.mode == "sha256"]
    damaged = []
    for file in listed:
        path = Path(str(file.locate()))
        try:
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").digest()
        except OSError:
            found = b""
        assert file.hash is not None
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != file.hash.value:
            damaged.append(path)
    return damaged, len(listed)
