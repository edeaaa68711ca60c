"""What can go wrong, as a tree a caller can catch at any height.

    XrealignError
    ├── ConfigError        a setting is unknown, of the wrong type or impossible
    ├── LanguageError      a language code or name nobody knows, or the same language twice
    ├── DataError          a file breaks its format; carries the place as ``path:line``
    ├── ArtifactError      something saved is missing, damaged, or of another version
    │   └── DamagedWork    what a stage had saved on its way is damaged: the stage begins anew
    ├── OutputError        a file cannot be written; an OSError too
    ├── TrainingError      training cannot go on (a loss that is not a number, no links at all)
    ├── InstallationError  a library is missing, or of a version that xrealign was not made for
    ├── MissingExtra       an optional library is absent or of such a version; says what to install
    └── ExternalToolError  a program we called failed; carries its last lines

A message says what happened, the value, where it was, and what to do about it. The command line prints it
without a traceback, a list below it indented, and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class XrealignError(Exception):
    """Base of every error a user can cause or mend; what its text quotes of a file cannot work on a terminal."""

    def __str__(self) -> str:
        return visible(super().__str__())


class ConfigError(XrealignError):
    """A configuration that cannot be run. ``problems`` holds one line for each mistake found."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = list(map(visible, [problems] if isinstance(problems, str) else problems))
        super().__init__("\n".join(self.problems))


class LanguageError(XrealignError):
    """An unknown language, or one language under two names in one list."""


class DataError(XrealignError):
    """A file that breaks its format. ``path`` and ``line`` (1-based, None for the whole file) say where."""

    def __init__(self, message: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        shown = self.path and self.path.replace("\n", "\\n")
        place = "" if path is None else f"{shown}:{line}: " if line is not None else f"{shown}: "
        super().__init__(place + message)


class ArtifactError(XrealignError):
    """A saved result that is missing, damaged or made by another version."""


class DamagedWork(ArtifactError):  # noqa: N818 - what it is, not whose error
    """Saved work of a stage under way that differs from what was written. `xrealign.store.build` begins anew."""


class OutputError(XrealignError, OSError):
    """A file or folder that cannot be written; ``errno``, ``strerror`` and ``filename`` as any OSError has them."""

    def __str__(self) -> str:
        return f"{self.strerror}" if self.filename is None else f"{self.filename}: {self.strerror}"


class TrainingError(XrealignError):
    """Training that cannot go on."""


class InstallationError(XrealignError):
    """A library that xrealign cannot do without is missing, or of a version outside of its range."""


class MissingExtra(XrealignError):  # noqa: N818 - the name says what to do, not that it is an error
    """An optional library is not installed; or not as it must be, which ``instead`` then says."""

    def __init__(self, library: str, extra: str, purpose: str, instead: str = "") -> None:
        fault = f"{library} {instead}" if instead else f"{library}, which is not installed"
        super().__init__(f'{purpose} needs {fault}: pip install "xrealign[{extra}]"')


class ExternalToolError(XrealignError):
    """An external program failed."""

    def __init__(self, command: str, code: int, stderr: str) -> None:
        tail = " | ".join(stderr.strip().splitlines()[-3:])
        super().__init__(f"{command} ended with exit code {code}: {tail or 'it printed no error text'}")


def visible(text: str) -> str:
    """``text`` with escapes for what nobody sees or a terminal obeys: control characters, direction marks, surrogates.

    Line ends stay, and blanks and joiners, which are part of spellings.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text)


_KEPT = "\n\u00a0\u3000\u200c\u200d"


def nearest(value: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The known names most like ``value`` (at most ``count``, best first), for "did you mean" hints."""
    return difflib.get_close_matches(value, list(known), n=count, cutoff=0.6)


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """A hint to append to a message: "; did you mean 'x'?" or nothing when no name is near."""
    close = nearest(value, known)
    return f"; did you mean {close[0]!r}?" if close else ""
