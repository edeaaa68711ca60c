"""Progress for people goes to stderr and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xrealign import progress
from xrealign.progress import say, track


def test_say_is_a_line_on_stderr(capsys):
    say("ä line")
    assert capsys.readouterr() == ("", "ä line\n")


def test_nobody_to_tell_is_no_reason_to_stop(monkeypatch, capsys):
    class Broken:
        def write(self, _):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def isatty(self):
            return False

    for stream in (None, Broken()):
        monkeypatch.setattr(sys, "stderr", stream)
        say("x")
        assert list(track([1, 2], "x")) == [1, 2]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("items", [[], [3, 1, 2], range(4)])
def test_items_come_through_in_order(items, capsys):
    assert list(track(items, "x")) == list(items)
    assert list(track(iter(items), "x")) == list(items)
    assert capsys.readouterr() == ("", "")


def test_a_line_every_ten_seconds_with_the_time_left(monkeypatch, capsys):
    """A clock that goes on six seconds an item: 50 of 60 are behind, each takes six seconds."""
    clock = iter(range(0, 6000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(track(range(10), "steps", done=50)) == list(range(10))
    assert capsys.readouterr().err.splitlines() == [
        "  steps: 52/60, 48 s left",
        "  steps: 54/60, 36 s left",
        "  steps: 56/60, 24 s left",
        "  steps: 58/60, 12 s left",
        "  steps: 60/60, 0 s left",
    ]


def test_without_a_total_there_is_no_promise(monkeypatch, capsys):
    clock = iter(range(0, 6000, 11))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(track(iter("abc"), "lines"))
    assert capsys.readouterr().err.splitlines() == ["  lines: 1", "  lines: 2", "  lines: 3"]


def test_on_a_terminal_there_is_a_bar():
    pty = pytest.importorskip("pty", reason="pseudo-terminals are for Unix")
    script = "from xrealign.progress import track\nprint(sum(track(range(5), 'adding', total=9, done=4)))"
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode("utf-8")
    os.close(ours)
    assert done.stdout == b"10\n"
    assert "adding" in shown
    assert "/9" in shown
