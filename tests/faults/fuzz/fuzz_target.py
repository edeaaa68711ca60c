"""What is fuzzed: a reader, called with a folder in which the input lies; and what counts as a finding."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xrealign.errors import XrealignError

CASES = Path(__file__).parent / "cases"
MARK = b"%%%%"
SLOW = 1.0  # seconds of processor time
SMALL = 64 * 1024  # bytes that a reader must be done with in that time


NASTY: Mapping[str, bytes] = {
    "nothing": b"",
    "an empty line": b"\n",
    "a NUL": b"\0",
    "no UTF-8": b"\xff\xfe",
    "a mark of byte order": b"\xef\xbb\xbf",
    "carriage returns": b"a\rb\rc\r",
    "deep lists": b"[" * 60_000,
    "deep objects": b'{"a":' * 12_000,
    "deep tables": b"a = " + b"[" * 50_000,
    "many digits": b'{"format": ' + b"9" * 5000 + b"}",
    "a number": b"3",
    "null": b"null",
    "no number": b'{"format": NaN}',
    "half a character": b'{"format": "\\ud800"}',
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a long line": b"a " * 10_000,
    "many lines": b"a\n" * 4_000,
    "many cells": b"\t" * 60_000,
    "many quotes": b'"' * 60_000,
    "many marks": "\u0301".encode() * 30_000,
}
"""Inputs that no reader of any form may choke on; the fuzzer would not come upon them, since it keeps inputs short."""


@dataclass(frozen=True)
class Target:
    """A reader of files that users have.

    Attributes:
        file: name of the input, whose ending tells the reader what it is.
        read: is called with the path of the input; only `XrealignError` may come out of it.
        tokens: stretches that inputs of this form are made of; the fuzzer puts them in.
        parts: the input is several files, each behind a line ``%%%% NAME`` (`split`); ``read`` gets the first one.
    """

    file: str
    read: Callable[[Path], object]
    tokens: tuple[bytes, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What came out that should not: ``key`` is the same for two inputs that show the same."""

    key: str
    told: str


def split(data: bytes, names: Iterable[str]) -> dict[str, bytes]:
    """The files in an input; what has no head of its own belongs to the first name, absent ones are empty."""
    names = list(names)
    found = dict.fromkeys(names, b"")
    at = names[0]
    for number, piece in enumerate(data.split(MARK)):
        if number and piece[:1] == b" ":
            head, _, piece = piece.partition(b"\n")
            name = head.strip().decode("utf-8", "replace")
            at = name if name in found else at
        found[at] += piece
    return found


def joined(parts: Mapping[str, bytes]) -> bytes:
    """An input that `split` takes apart again."""
    return b"".join(MARK + b" " + name.encode() + b"\n" + data for name, data in parts.items())


def attempt(target: Target, data: bytes, folder: Path) -> Finding | None:
    """Calls the reader with an input; None if it read it, or refused it as it should."""
    files = split(data, target.parts) if target.parts else {target.file: data}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    printed = io.StringIO()
    begun = time.process_time()
    finding = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            target.read(folder / next(iter(files)))
    except XrealignError as error:
        finding = _odd_message(error)
    except Exception as error:  # noqa: BLE001 - any other is a finding
        finding = Finding(_key(error), "".join(traceback.format_exception(error)[-12:]))
    took = time.process_time() - begun
    if finding is None and took > SLOW and len(data) < SMALL:
        finding = Finding("slow", f"{took:.1f} s for {len(data)} bytes")
    return finding


def _odd_message(error: XrealignError) -> Finding | None:
    """A message that would break the terminal or run over it is a finding, too."""
    text = str(error)
    control = sorted(
        {c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000}
    )
    place = _place(error)
    if control:
        return Finding(f"message-{place}", f"control characters {control} in the message {text[:500]!r}")
    if len(text) > 100_000:
        return Finding(f"long-{place}", f"a message of {len(text)} characters, beginning {text[:200]!r}")
    return None


def _key(error: BaseException) -> str:
    return f"{type(error).__name__}-{_place(error)}"


def _place(error: BaseException) -> str:
    """The last place in the package that the error went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "xrealign" in frame.filename]
    return f"{Path(frames[-1].filename).stem}-{frames[-1].lineno}" if frames else "outside"


def read_cases(name: str) -> dict[str, bytes]:
    """The saved inputs of a reader, by their names: seeds, and what once went wrong."""
    path = CASES / f"{name}.json"
    if not path.is_file():
        return {}
    known = json.loads(path.read_text("utf-8"))
    return {
        case["name"]: case["text"].encode("utf-8", "surrogateescape")
        if "text" in case
        else base64.b64decode(case["base64"])
        for case in known
    }


def write_cases(name: str, cases: Mapping[str, bytes]) -> None:
    """Saves the inputs of a reader: as text where they are UTF-8, else in base64."""
    rows = []
    for case, data in sorted(cases.items()):
        try:
            rows.append({"name": case, "text": data.decode("utf-8")})
        except UnicodeDecodeError:
            rows.append({"name": case, "base64": base64.b64encode(data).decode()})
    CASES.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    (CASES / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")


def name_of(data: bytes) -> str:
    """A name for an input that has none."""
    return hashlib.sha256(data).hexdigest()[:10]
