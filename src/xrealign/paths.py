"""Where things live outside the working folder: one cache folder, and the data pack if there is one."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: ``XREALIGN_CACHE``, else the platform's usual place. Not created here."""
    chosen = os.environ.get("XREALIGN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("xrealign"))


def data_folder() -> Path | None:
    """The data pack that ``XREALIGN_DATA`` points at, or None when the setting is absent."""
    chosen = os.environ.get("XREALIGN_DATA")
    return Path(chosen).expanduser() if chosen else None
