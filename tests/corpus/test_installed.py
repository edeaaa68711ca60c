"""Installed files against the installer's own list."""

from __future__ import annotations

import base64
import hashlib
import sys
from importlib import metadata
from pathlib import Path

import pytest

from xrealign.corpus.installed import damaged_files


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A package of two files with a RECORD as pip writes it."""
    content = {"mine/a.py": b"a = 1\n", "mine/data.tsv": b"x\ty\n"}
    lines = []
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", "utf-8")
    (info / "RECORD").write_text("\n".join([*lines, "mine-1.0.dist-info/RECORD,,", ""]), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_bit_and_a_file_that_are_gone(installed):
    assert damaged_files("mine") == ([], 2)
    data = installed / "mine" / "data.tsv"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 4]) + data.read_bytes()[1:])
    assert damaged_files("mine") == ([data], 2)
    (installed / "mine" / "a.py").unlink()
    assert damaged_files("mine") == ([installed / "mine" / "a.py", data], 2)


def test_a_real_installation_is_whole():
    damaged, listed = damaged_files("packaging")
    assert (damaged, listed > 10) == ([], True), sys.prefix
    with pytest.raises(metadata.PackageNotFoundError):
        damaged_files("there-is-no-such-package")
