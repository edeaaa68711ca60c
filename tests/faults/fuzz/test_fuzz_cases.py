"""The inputs that fuzzing has saved, and whether the fuzzer would notice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fuzz_target import CASES, NASTY, Target, attempt, joined, read_cases, split
from seeds import seeds_of, warm_up
from targets import all_targets, find_target

from xrealign.errors import DataError
from xrealign.textio import read_lines

TARGETS = all_targets()


@pytest.mark.parametrize("name", TARGETS)
def test_saved_inputs_come_to_no_more_than_an_error(name: str, tmp_path: Path) -> None:
    target = find_target(name)
    warm_up(name, target, tmp_path)
    cases = {f"seed {n}": data for n, data in enumerate(seeds_of(name))} | NASTY | read_cases(name)
    found = {case: finding for case, data in cases.items() if (finding := attempt(target, data, tmp_path))}
    assert not found


def test_no_saved_inputs_of_a_reader_that_is_not_there() -> None:
    assert {path.stem for path in CASES.glob("*.json")} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CASES.glob("*.json")) < 600_000


def _raises(error: Exception) -> Target:
    def read(path: Path) -> None:
        raise error

    return Target("x.txt", read)


def _works(path: Path) -> None:
    end = time.process_time() + 0.06
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (_raises(KeyError("x")), "KeyError-outside"),
        (_raises(RecursionError()), "RecursionError-outside"),
        (_raises(MemoryError()), "MemoryError-outside"),
        (_raises(DataError("a message", "x", 1)), None),
        (Target("x.txt", lambda path: list(read_lines(path))), None),
        (Target("x.txt", _works), "slow"),
    ],
)
def test_what_is_a_finding(target: Target, key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_target.SLOW", 0.05)
    finding = attempt(target, b"\xff", tmp_path)
    assert (finding and finding.key) == key


def test_a_message_that_works_on_a_terminal_is_a_finding(tmp_path: Path) -> None:
    class LoudError(DataError):
        def __str__(self) -> str:
            return "\x1b[31mred"

    finding = attempt(_raises(LoudError("x")), b"", tmp_path)
    assert finding is not None
    assert finding.key == "message-outside"


def test_an_input_of_several_files() -> None:
    parts = {"a": b"1\n", "b": b"\xff%% %%\n"}
    assert split(joined(parts), parts) == parts
    assert split(b"x%%%% b\ny%%%% c\nz", ("a", "b")) == {"a": b"x", "b": b"yz"}
    assert split(b"", ("a",)) == {"a": b""}
