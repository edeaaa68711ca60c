"""Progress for people: a bar on a terminal, plain lines elsewhere. Always on stderr; stdout is for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from typing import TypeVar

from xrealign.errors import visible

T = TypeVar("T")


def say(text: str) -> None:
    """One plain line for people, on stderr. When nobody can read it there, work goes on without it."""
    if sys.stderr is not None:  # it is None when the program was started with it closed
        with suppress(OSError):
            print(visible(text), file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, total: int | None = None, done: int = 0) -> Iterator[T]:
    """Yields ``items`` while showing how far ``what`` has come; ``done`` items lie behind already.

    On a terminal it is a bar with the time that remains; elsewhere a line every ten seconds or so.
    """
    if total is None:
        total = len(items) + done if isinstance(items, Sized) else None
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                bar.advance(task)
        return
    start = last = time.monotonic()
    for count, item in enumerate(items, done + 1):
        yield item
        now = time.monotonic()
        if now - last >= 10:
            rest = f", {(now - start) / (count - done) * (total - count):.0f} s left" if total else ""
            say(f"  {what}: {count}{f'/{total}' if total else ''}{rest}")
            last = now
