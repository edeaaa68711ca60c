"""Under which licences xrealign comes to run: every distribution that it needs here, and the data inside it.

What a distribution says of itself is repeated, not checked: `License-Expression`, else a short `License`, else its
classifiers (Core metadata specifications 2.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from xrealign.requirements import NAME, extra_requirements, extras, installed_version, requirements

LONGEST, VERSION_WIDTH = 100, 36
TOOLS = frozenset({"dev", "fuzz"})
"""Extras that only the developers of xrealign need."""


@dataclass(frozen=True)
class Licence:
    """Of one distribution or set of data: ``version`` or the files' names, the terms in its own words, and `remark`."""

    name: str
    version: str
    terms: str
    remark: str


def licences() -> list[Licence]:
    """Of all that xrealign needs here, directly or through others, extras that are installed included; by name."""
    found = []
    for name in needed_distributions():
        about = metadata.metadata(name)
        terms = terms_of(about)
        found.append(Licence(about["Name"], about["Version"], terms, remark(terms)))
    return sorted(found, key=lambda one: one.name.lower())


def data_licences() -> list[Licence]:
    """Of the data that lie in the package or come with a distribution: terms as its catalogue has them."""
    from xrealign.corpus.catalogue import catalogue

    inside = [entry for entry in catalogue().values() if entry.kind in ("embedded", "package")]
    return [Licence(entry.id, entry.revision, entry.licence, remark(entry.licence)) for entry in inside]


def needed_distributions() -> list[str]:
    """Normalised names of the installed distributions that xrealign needs, each once, nearest first."""
    wanted = list(requirements())
    for extra in extras():
        own = extra_requirements(extra)
        if extra not in TOOLS and all(installed_version(one.name) for one in own):
            wanted += own
    seen: dict[str, set[str]] = {}
    while wanted:
        one = wanted.pop(0)
        name = normal(one.name)
        new = set(one.extras) - seen.get(name, set())
        if (name in seen and not new) or installed_version(name) is None:
            continue
        seen.setdefault(name, set()).update(new)
        wanted += _needs_of(name, seen[name])
    return list(seen)


def _needs_of(name: str, extras: Iterable[str]) -> list[Requirement]:
    asked = [{"extra": extra} for extra in ("", *extras)]
    read = [Requirement(line) for line in metadata.requires(name) or ()]
    return [one for one in read if one.marker is None or any(map(one.marker.evaluate, asked))]


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def terms_of(about: metadata.PackageMetadata) -> str:
    """The licence in the words of a distribution's metadata, or ""."""
    for expression in about.get_all("License-Expression") or ():
        return str(expression)
    classes = [line.split(" :: ")[-1] for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    classes = [line for line in classes if line != "OSI Approved"]
    text = " ".join(" ".join(about.get_all("License") or ()).split())
    short = text if text and len(text) <= LONGEST and not re.match(r"copyright|=", text, re.IGNORECASE) else ""
    return short or ", ".join(classes) or text[:LONGEST]


_COPYLEFT = re.compile(r"\bA?GPL|Affero|(?<!Lesser )(?<!Library or Lesser )General Public License", re.IGNORECASE)
_RESTRICTED = re.compile(r"\bNC\b|non-?commercial|research (use )?only|academic|proprietary", re.IGNORECASE)
_OPEN = re.compile(
    r"MIT|BSD|Apache|PSF|Python Software Foundation|CNRI|ISC|Zlib|MPL|Mozilla|Unicode|HPND|CC0|CC BY|Unlicense|Public "
    r"Domain|public text|BSL-1\.0|LGPL|Lesser|LLVM",
    re.IGNORECASE,
)


def remark(terms: str) -> str:
    """What to mind: ``copyleft`` (GPL, AGPL), ``restricted`` (non-commercial, proprietary), ``unknown``, or "".

    Where a licence may be chosen (``A OR B``), the most lenient counts.
    """
    return min((_remark(part) for part in re.split(r"\s+OR\s+", terms)), key=("", *REMARKS).index)


REMARKS = ("unknown", "copyleft", "restricted")


def _remark(terms: str) -> str:
    if _RESTRICTED.search(terms):
        return "restricted"
    if _COPYLEFT.search(terms):
        return "copyleft"
    return "" if _OPEN.search(terms) else "unknown"


def licence_table(title: str, rows: Sequence[Licence]) -> str:
    """Rows as lines of text, in columns, remarks in capitals."""
    width = max([len(one.name) for one in rows], default=0)
    lines = [
        f"  {one.name:<{width}}  {shortened(one.version):<{VERSION_WIDTH}}  {one.terms or '(none stated)'}"
        + (f"  << {one.remark.upper()}" if one.remark else "")
        for one in rows
    ]
    return "\n".join([title, *lines])


def shortened(text: str) -> str:
    """At most VERSION_WIDTH characters of a text."""
    return text if len(text) <= VERSION_WIDTH else f"{text[: VERSION_WIDTH - 1]}…"


def licence_report() -> str:
    """What ``xrealign doctor --licences`` prints."""
    rows, data = licences(), data_licences()
    marked = [one for one in (*rows, *data) if one.remark]
    return "\n\n".join(
        [
            licence_table(f"{NAME} {installed_version(NAME)} is under Apache-2.0. It needs, and finds here:", rows),
            licence_table("Data inside it or brought by a package; NOTICE and data/*LICEN* have the texts:", data),
            f"{len(rows)} distributions, {len(data)} sets of data; unknown, copyleft or restricted: "
            + (", ".join(one.name for one in marked) or "none"),
        ]
    )
