"""Where things live outside the working folder."""

from __future__ import annotations

from pathlib import Path

import platformdirs

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
