"""``xrealign doctor``: says what is here, also where what is here does not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xrealign.doctor import LIBRARIES, doctor
from xrealign.requirements import installed_version


def lines_of(text: str) -> dict[str, str]:
    """First word → the rest of the line."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}


def test_it_tells_versions_and_that_they_fit() -> None:
    found = lines_of(doctor())
    assert {name: found[name] for name in LIBRARIES} == {name: installed_version(name) for name in LIBRARIES}
    assert found["requirements"].endswith("packages, all in versions that fit")
    assert "torch threads" in found["processors"]
    assert {"memory", "GPU", "bf16", "starter", "cache", "runs"} <= set(found)


def test_extras_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from xrealign import doctor as module

    monkeypatch.setattr(module, "installed_version", lambda name: None if name == "peft" else "1")
    here, missing = lines_of(doctor())["extras"].split("; not installed: ")
    assert "lora" in missing.split(", ")
    assert "langid" in here.split(", ")


def test_it_works_without_torch_and_with_wrong_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = tmp_path / "transformers-4.57.1.dist-info"
    of.mkdir()
    (of / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 4.57.1\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    found = lines_of(doctor())
    assert found["transformers"] == "4.57.1"
    assert "transformers is 4.57.1, expected >=" in found["requirements"]
    assert found["GPU"].startswith("unknown: ")
