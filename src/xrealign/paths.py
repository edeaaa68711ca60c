"""Where things live outside the working folder: one cache folder, and the data pack if there is one."""

from __future__ import annotations

import os
from pathlib import Path

from xrealign.errors import ConfigError


def cache_folder() -> Path:
    """The user's cache: ``XREALIGN_CACHE``, else the platform's usual place. Not created here.

    Raises:
        ConfigError: the place is in a home folder that nobody knows.
    """
    chosen = os.environ.get("XREALIGN_CACHE")
    if chosen:
        return _at_home("XREALIGN_CACHE", chosen)
    import platformdirs

    try:
        usual = Path(platformdirs.user_cache_dir("xrealign"))
    except RuntimeError:  # HOME is not set, and the user has no account
        usual = Path()
    if not usual.is_absolute():
        raise ConfigError("this user has no home folder: set XREALIGN_CACHE to a folder that can be written")
    return usual


def data_folder() -> Path | None:
    """The data pack that ``XREALIGN_DATA`` points at, or None when the setting is absent."""
    chosen = os.environ.get("XREALIGN_DATA")
    return _at_home("XREALIGN_DATA", chosen) if chosen else None


def _at_home(setting: str, text: str) -> Path:
    """A folder whose ``~`` is filled in.

    Raises:
        ConfigError: there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{setting}={text}: there is no such home folder; give a whole path") from None
