"""Where things live outside the working folder."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from xrealign.errors import ConfigError
from xrealign.paths import cache_folder, data_folder


def test_the_cache_is_the_setting_or_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path / "there"))
    assert cache_folder() == tmp_path / "there"
    assert not (tmp_path / "there").exists()
    for unset in (lambda: monkeypatch.setenv("XREALIGN_CACHE", ""), lambda: monkeypatch.delenv("XREALIGN_CACHE")):
        unset()
        assert cache_folder() == Path(platformdirs.user_cache_dir("xrealign"))
    monkeypatch.setenv("XREALIGN_CACHE", "~/x")
    assert cache_folder() == Path.home() / "x"


def test_the_data_pack_is_the_setting_or_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("XREALIGN_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("XREALIGN_DATA", "")
    assert data_folder() is None
    monkeypatch.delenv("XREALIGN_DATA")
    assert data_folder() is None


def test_a_home_that_nobody_knows_is_an_error_and_no_folder_named_tilde(monkeypatch, tmp_path):
    for setting, read in (("XREALIGN_CACHE", cache_folder), ("XREALIGN_DATA", data_folder)):
        monkeypatch.setenv(setting, "~nobody-of-this-name/x")
        with pytest.raises(ConfigError, match=f"^{setting}=~nobody-of-this-name/x: there is no such home folder"):
            read()
        monkeypatch.delenv(setting)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "")
    # As versions of platformdirs answer for a user without an account: by what expands to nothing, or an error.
    for answer in (lambda name: f"~/.cache/{name}", lambda _: Path("~nobody-of-this-name").expanduser()):
        monkeypatch.setattr(platformdirs, "user_cache_dir", answer)
        with pytest.raises(ConfigError, match="set XREALIGN_CACHE"):
            cache_folder()
