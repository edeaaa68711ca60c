"""Code that a configuration names, and modules that merely lie in the folder where a command runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import tiny
from canary import Canary, code, tries
from fault_payload_data import Lay, file, several
from harness import Fault, Outcome, cli


def own_task(name: str, loader: str, words: Iterable[str], *parts: Lay, own: bool = False) -> Canary:
    """A whole experiment whose task is to come from ``loader``."""

    def lay(place: Path, canary: Path) -> None:
        tiny.config(place)
        text = (place / "tiny.toml").read_text("utf-8")
        (place / "tiny.toml").write_text(text.replace("[task]\n", f"[task]\nloader = {json.dumps(loader)}\n"))
        several(*parts)(place, canary)

    return Canary(name, lay, cli("run", "tiny.toml"), tuple(words), own=own)


def _key(name: str, line: str, words: Iterable[str]) -> Canary:
    """An experiment with one line more in its encoder's table."""

    def lay(place: Path, _canary: Path) -> None:
        text = tiny.config(place).read_text("utf-8")
        (place / "tiny.toml").write_text(text.replace("[encoder]\n", f"[encoder]\n{line}\n"), "utf-8")

    return Canary(name, lay, cli("run", "tiny.toml"), tuple(words))


_BAD = "def load(source, targets, seed):\n    return 'no task'\nload_not = 3\n"
CONFIGURED = (
    own_task("a task by os.system", "os:system", ["os:system"]),
    own_task("a task by subprocess.Popen", "subprocess:Popen", ["subprocess:Popen"]),
    own_task("a task by exec", "builtins:exec", ["builtins:exec"]),
    own_task("a task by pickle.loads", "pickle:loads", ["pickle:loads"]),
    own_task("a task by importing a module that acts", "antigravity:geohash", ["antigravity"]),
    own_task("a task by shutil.rmtree", "shutil:rmtree", ["shutil:rmtree"]),
    own_task("a task by a module of Python's own, inside", "os.path:join", ["os.path:join"]),
    own_task("a task by a function with other arguments", "numpy:load", ["numpy:load", "source"]),
    own_task("a task by a class that is no task", "pandas:DataFrame", ["pandas:DataFrame", "source"]),
    own_task("a task by a module in the working folder", "own:load", ["own:load"], file("own.py", code)),
    own_task(
        "a task by a module in a model's folder",
        "encoder.own:load",
        ["encoder.own:load"],
        file("encoder/own.py", code),
        file("encoder/__init__.py", code),
    ),
    own_task("a task by an expression", "os:system('true')", ["os:system"]),
    own_task(
        "a task that is no task", "own.py:load", ["own.py:load", "str"], file("own.py", lambda _c: _BAD), own=True
    ),
    own_task("a number in place of a task", "own.py:load_not", ["load_not"], file("own.py", lambda _c: _BAD), own=True),
    _key("trust_remote_code in the configuration", "trust_remote_code = true", ["trust_remote_code", "no such key"]),
    _key("auto_map in the configuration", 'auto_map = { AutoModel = "own.Model" }', ["auto_map", "no such key"]),
)

_SHADOWS = ("sitecustomize", "usercustomize", "conftest", "json", "typing", "numpy", "torch", "typer", "xrealign",
            "transformers", "yaml", "encodings")  # fmt: skip


def _shadowed(scratch: Path, fast: bool) -> Iterable[Outcome]:
    """Real processes in a folder whose modules are called like those that every program imports."""
    program = [str(Path(sys.executable).parent / "xrealign")]
    commands = {"xrealign in a folder of modules": [*program, "--version"]}
    if not fast:
        commands["xrealign select in a folder of modules"] = [*program, "select", "--candidates", "swh,tur", "-k", "1"]
        commands["a sweep's workers in a folder of modules"] = [*program, "sweep", "tiny.toml", "--jobs", "1"]
    for number, (case, command) in enumerate(commands.items()):
        place, sang = scratch / f"shadow-{number}", scratch / f"sang-{number}"
        path = tiny.config(place, '[sweep]\n"realign.learning_rate" = [1e-3]\n', steps=2)
        for name in _SHADOWS:
            (place / f"{name}.py").write_text(code(sang), "utf-8")
        ended = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=300, check=False)
        detail = f"code {ended.returncode}: {ended.stderr.strip().splitlines()[-1:]}"
        yield Outcome(
            case, ended.returncode == 0 and not sang.exists(), detail + (" EXECUTED" if sang.exists() else "")
        )


FAULTS = (
    Fault(
        "code named in a configuration",
        "only a task of the user's own runs, and is looked at before it is called",
        partial(tries, CONFIGURED, 3),
    ),
    Fault("modules in the working folder", "never imported", _shadowed),
)
