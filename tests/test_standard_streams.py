"""Standard streams that are closed, full, without a reader, or not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from xrealign.errors import XrealignError
from xrealign.progress import say
from xrealign.streams import printing
try:
    with printing():
        BODY
except XrealignError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
"""


def run(body: str, redirect: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
    command = f'"$0" -c "$1" {redirect}'
    given = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | env
    words = ["bash", "-c", command, sys.executable, SCRIPT.replace("BODY", body)]
    return subprocess.run(words, env=given, capture_output=True, timeout=60)


def test_what_is_printed_is_utf_8_in_every_locale():
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = run(r"print('\u015f \u2192 \u0151'); say('\u011f'); print('\ud800')", **plain)
    assert done.returncode == 0
    assert done.stdout == "ş → ő\n\\ud800\n".encode()
    assert done.stderr == "ğ\n".encode()


def test_a_closed_stream_gives_its_number_to_no_file(tmp_path: Path):
    body = f"file = open({str(tmp_path / 'x')!r}, 'w'); os.write(NUMBER, b'noise'); say('told'); print('result'); "
    for number, redirect in ((1, ">&-"), (2, "2>&-"), (1, "<&- >&- 2>&-")):
        done = run(body.replace("NUMBER", str(number)) + "file.close()", redirect)
        assert done.returncode == 0
        assert (tmp_path / "x").read_bytes() == b""
    assert b"told" not in run("say('told')", "2>&-").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_full_disk_is_told_and_only_once():
    done = run("print('x')", "> /dev/full")
    assert (done.returncode, done.stderr) == (2, b"error: standard output: No space left on device\n")
    done = run("print('x', flush=True)", "> /dev/full")
    assert (done.returncode, done.stderr) == (2, b"error: standard output: No space left on device\n")
    done = run("print('x'); raise XrealignError('another')", "> /dev/full")
    assert (done.returncode, done.stderr) == (2, b"error: another\n")
    assert run("say('x'); print('kept')", "2> /dev/full").stdout == b"kept\n"


def test_a_reader_that_goes_away_ends_it_quietly():
    done = run("[print(n) for n in range(100_000)]", "| head -n 1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"0\n", b"")


def test_what_the_system_refuses_is_an_error_and_what_the_program_does_a_traceback():
    done = run("open('/none/such')")
    assert (done.returncode, done.stderr) == (2, b"error: /none/such: No such file or directory\n")
    done = run("1 / 0")
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr
    assert run("sys.exit(7)").returncode == 7
