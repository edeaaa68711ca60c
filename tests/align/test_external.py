"""External aligners: real programs run by real processes; what they say when they fail, and what they write."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from xrealign.align.external import external_recipe, find_program, parse_tool
from xrealign.align.linker import Linked
from xrealign.align.statistical_model import LONGEST
from xrealign.align.symmetrize import symmetrize
from xrealign.errors import ConfigError, DataError, ExternalToolError, XrealignError

PAIRS = [
    (["the", "house"], ["das", "Haus"]),
    (["the", "red", "house"], ["das", "rote", "Haus"]),
    (["a"], ["ein", "|||", "x y"]),
    (["the", "house"], ["das", "Haus"]),
    ([], ["leer"]),
]
# Links every source word to the target word of its place, and (backward) the last target word to the first source one.
DIAGONAL = """
import sys
src, tgt, forward, backward = sys.argv[1:]
with open(src) as s, open(tgt) as t, open(forward, "w") as f, open(backward, "w") as b:
    for left, right in zip(s, t):
        assert all(word.isdecimal() for word in left.split() + right.split())
        n, m = len(left.split()), len(right.split())
        print(*(f"{i}-{i}" for i in range(min(n, m))), file=f)
        print(f"0-{m - 1}", file=b)
print("noise on stdout")
"""


@pytest.fixture
def program(tmp_path: Path):
    """Writes a Python program and returns how it is called."""

    def write(text: str, arguments: str = "{src} {tgt} {forward} {backward}") -> str:
        path = tmp_path / "a program.py"
        path.write_text(text, "utf-8")
        return f"{sys.executable} '{path}' {arguments}"

    return write


def align(command: str | list[str], cache: Path, how: str = "union", pairs=PAIRS) -> Linked:
    tool = parse_tool([command] if isinstance(command, str) else command)
    linker = external_recipe(tool, lambda: pairs, "digest", cache, symmetrization=how).open()
    return linker.link([src for src, _ in pairs], [tgt for _, tgt in pairs])


def as_lists(linked: Linked) -> list[list[list[int]]]:
    return [each.links.tolist() for each in linked.found]


def test_links_of_a_program_that_writes_both_directions(program, tmp_path: Path) -> None:
    linked = align(program(DIAGONAL), tmp_path / "cache")
    assert as_lists(linked) == [
        [[0, 0], [0, 1], [1, 1]],
        [[0, 0], [0, 2], [1, 1], [2, 2]],
        [[0, 0], [0, 2]],
        [[0, 0], [0, 1], [1, 1]],
        [],
    ]
    assert all(each.links.dtype == np.int32 and (each.scores == 1).all() for each in linked.found)
    together = align(program(DIAGONAL), tmp_path / "cache", "intersection")
    forward, backward = np.array([[0, 0], [1, 1]]), np.array([[0, 1]])
    assert as_lists(together)[0] == symmetrize(forward, backward, "intersection").tolist() == []


def test_it_is_run_once_and_nothing_is_left_behind(program, tmp_path: Path) -> None:
    counted = DIAGONAL + "\nopen(sys.argv[0] + '.runs', 'a').write('x')\n"
    runs = tmp_path / "a program.py.runs"
    first = as_lists(align(program(counted), tmp_path / "cache"))
    assert as_lists(align(program(counted), tmp_path / "cache")) == first
    assert runs.read_text("utf-8") == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a program.py", "a program.py.runs", "cache"]
    (result,) = (tmp_path / "cache" / "external").iterdir()
    assert {"forward.txt", "backward.txt", "manifest.json"} <= {path.name for path in result.iterdir()}
    assert not list((tmp_path / "cache" / ".work").glob("external-*/*"))


def test_programs_that_print_and_single_directions(program, tmp_path: Path) -> None:
    text = """
import sys
for line in open(sys.argv[1]):
    left, right = line.split(" ||| ")
    print(*(f"{i}-0" for i in range(len(left.split()))) if "-r" in sys.argv else ["0-0"])
"""
    command = program(text, "{bars}")
    assert as_lists(align(command, tmp_path / "cache"))[1] == [[0, 0]]
    assert as_lists(align([command, command + " -r"], tmp_path / "cache"))[1] == [[0, 0], [1, 0], [2, 0]]


def test_failure_quotes_the_program(program, tmp_path: Path) -> None:
    failing = "import sys\nfor n in range(50): print('line', n, file=sys.stderr)\nsys.exit(3)"
    with pytest.raises(ExternalToolError, match=r"exit code 3: line 47 \| line 48 \| line 49") as raised:
        align(program(failing), tmp_path / "cache")
    assert Path(sys.executable).resolve().name in str(raised.value)
    with pytest.raises(ExternalToolError, match="exit code -9: it printed no error text"):
        align(program("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), tmp_path / "cache")
    with pytest.raises(ExternalToolError, match="it wrote no links"):
        align(program("pass"), tmp_path / "cache")
    assert not list((tmp_path / "cache" / "external").iterdir())  # nothing half-made is taken for a result
    assert as_lists(align(program(DIAGONAL), tmp_path / "cache"))[0]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0-0\n0-0\n0-0\n", r"wrote 3 lines for 4 sentence pairs"),
        ("0-0\n" * 5, r"wrote more lines than the 4 sentence pairs"),
        ("0-0\n0-0\nzero\n0-0\n", r"forward\.txt:3: .*expected links"),
        ("0-0\n0-0 1\n0-0\n0-0\n", r"forward\.txt:2: .*expected links"),
        ("0-0\n0-0\n0-0\n2-0\n", r"forward\.txt:4: .*outside sentences of 2 and 2 words"),
        ("0-0\n0-0\n1--1\n0-0\n", r"forward\.txt:3: .*expected links"),
    ],
)
def test_what_is_no_alignment_of_the_text_is_told(program, tmp_path: Path, written: str, message: str) -> None:
    command = program(f"import sys\nopen(sys.argv[1], 'w').write({written!r})", "{forward} {src}")
    with pytest.raises(DataError, match=message):
        align(command, tmp_path / "cache")


def test_words_cannot_become_arguments_or_separators(program, tmp_path: Path) -> None:
    nasty = [(["$(touch x)", "`touch x`", "; touch x", "-h", "a\nb", "\0", ""], ["|||", "a ||| b", "\u2028", "\t"])]
    linked = align(program(DIAGONAL), tmp_path / "$(touch y); cache", pairs=nasty)
    assert as_lists(linked) == [[[0, 0], [0, 3], [1, 1], [2, 2], [3, 3]]]
    assert not [path for path in tmp_path.rglob("*") if path.name in ("x", "y")]
    tool = parse_tool(["python 'a b' \"$HOME\" {src} ; rm -rf /"])
    assert tool.runs == (("python", "a b", "$HOME", "{src}", ";", "rm", "-rf", "/"),)


def test_overlong_sentences_are_cut_and_counted(program, tmp_path: Path) -> None:
    linked = align(program(DIAGONAL), tmp_path / "cache", pairs=[(["a"] * (LONGEST + 7), ["b"] * (LONGEST + 2))])
    assert linked.cut_words == 9
    assert linked.found[0].links.max() == LONGEST - 1


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("no program", "utf-8")

    def recipe(tool, **more):
        return external_recipe(tool, lambda: PAIRS, "d", tmp_path / "cache", **more)

    for call, message in (
        (lambda: recipe("eflomall"), "did you mean 'eflomal'"),
        (lambda: recipe("eflomal", program=tmp_path / "absent"), "is not there; pip install eflomal"),
        (lambda: recipe("eflomal", program=plain), "is not a program that can be run"),
        (lambda: find_program("no-such-program-here", "get it"), "is not in PATH; get it"),
        (lambda: recipe("eflomal", program=Path(sys.executable), symmetrization="unon"), "did you mean 'union'"),
        (lambda: parse_tool(["fast_align -d"]), "expected a program and"),
        (lambda: parse_tool([""]), "expected a program and"),
        (lambda: parse_tool(["x '{src}"]), "No closing quotation"),
        (lambda: parse_tool(["x {src}"] * 3), "3 commands"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
    fake = tmp_path / "fake"
    fake.write_bytes(b"\x7fELF, but not really")
    fake.chmod(0o755)
    with pytest.raises(ConfigError, match="cannot be started"):
        recipe("eflomal", program=fake).open()


def test_a_pair_the_program_never_saw_is_told(program, tmp_path: Path) -> None:
    linker = external_recipe(parse_tool([program(DIAGONAL)]), lambda: PAIRS, "d", tmp_path / "cache").open()
    with pytest.raises(DataError, match="did not get: 'new'"):
        linker.link([["new"]], [["neu"]])
    assert linker.link([], []).found == []
    with pytest.raises(DataError, match="no sentence pairs"):
        external_recipe(parse_tool([program(DIAGONAL)]), lambda: [], "e", tmp_path / "cache").open()


def test_stopping_us_stops_the_program(program, tmp_path: Path) -> None:
    command = program("import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(600)",
                      f"'{tmp_path / 'pid'}' {{src}}")  # fmt: skip
    code = f"""
import signal
from pathlib import Path
from xrealign.align.external import external_recipe, parse_tool
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
external_recipe(parse_tool([{command!r}]), lambda: [(["a"], ["b"])], "d", Path({str(tmp_path / "cache")!r})).open()
"""
    ours = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    started = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text("utf-8")) and time.monotonic() < deadline:
        time.sleep(0.02)
    theirs = int(started.read_text("utf-8"))
    ours.send_signal(signal.SIGINT)
    try:
        assert ours.wait(60) != 0
    finally:
        ours.kill()
        ours.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(theirs, 0)


@pytest.mark.skipif(shutil.which("eflomal-align") is None, reason="eflomal-align is not in PATH: pip install eflomal")
def test_the_real_eflomal(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sentences = random.integers(0, 30, (200, 8))
    pairs = [([f"s{n}" for n in row], [f"t{n}" for n in row[::-1]]) for row in sentences]
    linker = external_recipe("eflomal", lambda: pairs, "d", tmp_path / "cache").open()
    linked = linker.link([src for src, _ in pairs], [tgt for _, tgt in pairs])
    right = sum(sum(src[i][1:] == tgt[j][1:] for i, j in each.links.tolist())
                for (src, tgt), each in zip(pairs, linked.found, strict=True))  # fmt: skip
    assert right / sum(len(each.links) for each in linked.found) > 0.95
    assert sum(len(each.links) for each in linked.found) > 1400
    with pytest.raises(XrealignError):
        external_recipe("eflomal", lambda: [], "e", tmp_path / "cache").open()
