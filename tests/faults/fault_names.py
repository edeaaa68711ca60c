"""Names that are paths, orders to a terminal, or nothing one can see: of runs, cells, languages, tasks, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import tiny
from harness import Ended, Fault, Outcome, cli, fork, last_line
from look import ABSOLUTE, AT_HOME, escaped, unseen

CLIMBING = ("..", ".", "...", "../escape", "../../escape", ABSOLUTE, "a/b", "a\\b", "runs/../../escape", AT_HOME,
            "file:///escape", "\\\\host\\escape", "C:\\escape", "C:escape")  # fmt: skip
INVISIBLE = ("", " ", "\t", "a\nb", "a\rb", "a\0b", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31mred", "a\x08b",
             "\x7f", "a\u202egnp", "\u2066a\u2069", "\u200b", "\ufeffa", "a\u2028b", "\U000e0041")  # fmt: skip
RESERVED = ("CON", "nul", "com1", "LPT9", "aux", "prn.txt", "name.", "name ")
OTHERS = ("a" * 300, "-rf", "--help", "*", "a?b", "a:b", "a|b", "<b>a</b>", "=1+1", "%2e%2e", "$HOME", "`id`",
          ".work", "select", "x.sweep", "é", "名")  # fmt: skip
NAMES = (*CLIMBING, *INVISIBLE, *RESERVED, *OTHERS)
CODES = ("con", "nul", "aux", "é")  # of languages that there are
LANGUAGES = [name for name in NAMES if "\0" not in name and name.strip() and name.casefold() not in CODES]
ORDERS = tuple(name for name in NAMES if name.strip() and "\0" not in name)


def _told(ended: Ended) -> str:
    """What is wrong with how a refusal was told, or nothing."""
    if ended.code != 2 or "Traceback" in ended.err:
        return last_line(ended)
    if unseen(ended.err + ended.out):
        return f"prints {unseen(ended.err + ended.out)[:3]}"
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    return "" if errors and ended.err.splitlines()[-1] == errors[-1] else f"not one line: {ended.err[-200:]!r}"


def _new_outside(place: Path, allowed: Sequence[str]) -> list[str]:
    """Files that came to be beside what a run may write, or at an absolute place."""
    found = [path.relative_to(place.parent).as_posix() for path in place.parent.rglob("*")]
    return [name for name in found if not any(name == one or name.startswith(f"{one}/") for one in allowed)] + escaped()


def _runs(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """As the name of a run: refused, nothing written."""
    place = scratch / "work"
    text = tiny.config(place).read_text("utf-8")
    for number, name in enumerate(NAMES[:: 8 if fast else 1]):
        if name in ("é", "名"):
            continue
        path = place / f"c{number}.toml"
        path.write_text(text.replace('name = "tiny"', f"name = {_escaped(name)}", 1), "utf-8")
        ended = fork(cli("check", path.name), folder=place)
        stray = [one for one in _new_outside(place, ["work"]) if "escape" in one]
        told = _told(ended)
        yield Outcome(
            f"a run called {name[:30]!r}", not told and not stray, told or f"{last_line(ended)} {stray or ''}"
        )


def _escaped(name: str) -> str:
    """A TOML string."""
    return (
        '"'
        + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in name)
        + '"'
    )


def _told_only(
    what: str, names: Sequence[str], call: Callable[[str], Sequence[str]], scratch: Path, fast: bool
) -> Iterable[Outcome]:
    """As an argument that names nothing there: one line without orders to the terminal."""
    scratch.joinpath("work").mkdir(parents=True)
    for name in names[:: 10 if fast else 1]:
        ended = fork(cli(*call(name)), folder=scratch / "work")
        told = _told(ended)
        stray = _new_outside(scratch / "work", ["work", "cache"])
        yield Outcome(f"{what} {name[:30]!r}", not told and not stray, told or f"{last_line(ended)} {stray or ''}")


def _files(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """As the name of a data file without and with a fault: shown and told without orders to the terminal."""
    names = [name for name in ORDERS if "/" not in name and len(name) < 200 and name not in (".", "..")]
    for number, name in enumerate(names[:: 8 if fast else 1]):
        for what, text, code in (("a file", "a\tone\nb\ttwo\n", 0), ("a faulty file", "one two three\n", 2)):
            place = scratch / f"{number:02d}-{code}"
            place.mkdir()
            (place / f"{name}.tsv").write_text(text, "utf-8")
            ended = fork(cli("tasks", "check", "--task", "class", "--", f"{name}.tsv"), folder=place)
            shown = unseen(ended.out + ended.err)
            lines = [line for line in ended.err.splitlines() if line.strip()]
            fine = ended.code in (0, code) and not shown and len(lines) <= (1 if code else 2)
            detail = f"prints {shown[:3]}" if shown else f"{len(lines)} lines; {last_line(ended)}"
            yield Outcome(f"{what} called {name[:30]!r}", fine and "Traceback" not in ended.err, detail)


def _whole(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """As the name of a task, in a whole run: everything stays in the run's folders, and what is printed is harmless."""
    names = ("../../escape", "\x1b[31mred", "a\u202egnp", "a" * 300, ABSOLUTE, "<script>x</script>")
    for number, name in enumerate(names[:1] if fast else names):
        place = scratch / f"{number}" / "work"
        path = tiny.config(place, steps=2)
        before = {one.relative_to(place.parent).as_posix() for one in place.parent.rglob("*")}
        path.write_text(path.read_text("utf-8").replace('name = "halves"', f"name = {_escaped(name)}", 1), "utf-8")
        ended = fork(cli("run", "tiny.toml"), folder=place)
        new = {one.relative_to(place.parent).as_posix() for one in place.parent.rglob("*")} - before
        stray = [one for one in new if not one.startswith("work/runs")] + escaped()
        shown = unseen(ended.out + ended.err)
        fine = ended.code in (0, 2) and not stray and not shown and "Traceback" not in ended.err
        yield Outcome(f"a task called {name[:30]!r}", fine, f"{last_line(ended)} {stray} prints {shown[:3]}")


def _cells(_scratch: Path, _fast: bool) -> Iterable[Outcome]:
    """As the label of a sweep's variant: the cell's folder has a plain name."""
    from xrealign.sweep.grid import _distinct, _slug, run_name

    for name in NAMES:
        made = run_name("sweep", _distinct([_slug(name)])[0])
        fine = made.isascii() and made.isprintable() and len(made) <= 64 and not set(made) & set('/\\:*?"<>| ')
        yield Outcome(f"a cell called {name[:30]!r}", fine, made)


FAULTS = (
    Fault("names of runs", "confined or refused, on one line that can be seen", _runs),
    Fault("names of a sweep's cells", "made plain", _cells),
    Fault("names of runs that are to be shown", "looked up as a folder, told without orders to the terminal",
          partial(_told_only, "show", [n for n in NAMES if "\0" not in n], lambda name: ("show", "--", name))),
    Fault("names of languages", "refused on one line that can be seen",
          partial(_told_only, "a language called", LANGUAGES,
                  lambda name: ("select", "-k", "1", f"--candidates=deu,{name}"))),
    Fault("names of encoders", "refused on one line that can be seen",
          partial(_told_only, "an encoder called", ORDERS[::3],
                  lambda name: ("distances", "deu,swh", f"--encoder={name}", "-o", "out.tsv"))),
    Fault("names of files", "shown without orders to the terminal", _files),
    Fault("names of tasks", "nothing is written outside the run", _whole),
)  # fmt: skip
