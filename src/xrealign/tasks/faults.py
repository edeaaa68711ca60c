"""The faults of one file, collected so that all can be told at once and not one a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from xrealign.errors import DataError
from xrealign.textio import too_many_skipped

MOST_TOLD = 20


@dataclass(eq=False)
class Faults:
    """What is wrong with one file.

    Attributes:
        path: the file.
        lenient: examples with a fault are left out and counted; without it `settle` raises.
        told: the first `MOST_TOLD` faults, ``(line, message)``; the line is None for the whole file.
        count: all faults.
        left_out: examples that a fault cost, by reason.
        remarks: how the file was understood (scheme, columns), for people.
    """

    path: Path
    lenient: bool = False
    told: list[tuple[int | None, str]] = field(default_factory=list)
    count: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    remarks: dict[str, str] = field(default_factory=dict)

    def add(self, message: str, line: int | None = None) -> None:
        """Notes a fault."""
        self.count += 1
        if len(self.told) < MOST_TOLD:
            self.told.append((line, message))

    def lines(self) -> list[str]:
        """``file:line: message`` for each fault told, and how many there are beside."""
        told = [str(DataError(message, self.path, line)) for line, message in self.told]
        rest = self.count - len(told)
        more = "fault" if rest == 1 else "faults"
        return [*told, *([f"{self.path}: and {rest} more {more}"] if rest else [])]

    def too_many(self, kept: int) -> str | None:
        """Why leniency ends here, or None: with ``kept`` good examples too many are left out."""
        lost = self.left_out.total()
        return too_many_skipped(lost, lost + kept) if self.lenient else None

    def settle(self) -> None:
        """Raises what was noted, unless lenient.

        Raises:
            DataError: there are faults; its text has a line for each, its place is that of the first.
        """
        if self.lenient or not self.told:
            return
        line, message = self.told[0]
        raise DataError("\n".join([message, *self.lines()[1:]]), self.path, line)
