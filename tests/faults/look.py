"""What several faults look for: characters that nobody sees, and files at places that are nobody's."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

NAME = f"xrealign-escape-{os.getpid()}"
ABSOLUTE, AT_HOME = f"/{NAME}", f"~/{NAME}"  # whoever obeys them writes where no scratch folder is looked through


def unseen(text: str) -> list[str]:
    """Characters of printed text that a terminal obeys or nobody sees; line ends and blanks are none."""
    return [f"U+{ord(c):04X}" for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def escaped() -> list[str]:
    """What has come to be at `ABSOLUTE` or `AT_HOME` under any ending; a file is taken away again, so that it counts
    once."""
    found = [path for place in (Path("/"), Path.home()) for path in place.glob(f"{NAME}*")]
    for path in found:
        if not path.is_dir() or path.is_symlink():
            path.unlink()
    return [str(path) for path in found]
