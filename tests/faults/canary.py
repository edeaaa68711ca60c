"""Payloads that would leave a file behind, and a watch over what a process does while it reads them."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Call, Ended, Environment, Outcome, fork, last_line

STARTS_A_PROGRAM = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn")
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")


class _Payload:
    """Pickles to a call that makes the canary file."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.canary}'",)


def pickled(canary: Path) -> bytes:
    """A pickle that, once opened, has made ``canary``."""
    return pickle.dumps(_Payload(canary))


def torch_pickled(canary: Path, path: Path) -> None:
    """The same inside the zip archive that ``torch.save`` writes, as checkpoints are."""
    import torch

    torch.save({"weight": _Payload(canary)}, path)


def code(canary: Path) -> str:
    """Python that makes ``canary`` when it is run or imported."""
    return f"open({str(canary)!r}, 'w').close()\n"


def watched(call: Call, folder: Path, log: Path) -> Call:
    """``call`` under an audit hook that notes in ``log`` whatever no reading of data may do.

    That is: opening a pickle, starting a program, asking the network, running Python that lies in ``folder``.
    """

    def inner() -> object:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        place = str(folder)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "pickle.find_class" or event in STARTS_A_PROGRAM:
                os.write(handle, f"{event} {arguments[:2]!r:.200}\n".encode())
            elif event in NETWORK and not (event == "socket.connect" and arguments[0].family == socket.AF_UNIX):
                os.write(handle, f"{event} {arguments[1:]!r:.200}\n".encode())
            elif event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(place):
                os.write(handle, f"exec {arguments[0].co_filename}\n".encode())

        sys.addaudithook(hook)
        return call()

    return inner


@dataclass(frozen=True)
class Canary:
    """A hostile input.

    Attributes:
        lay: puts it into a folder; it may make the file given, and it never should.
        call: what reads it, working in that folder.
        words: what the one-line message must say, when it is to be refused; empty when it is to be left alone, and
            the command to succeed.
        env: changes of the environment.
        start: how the message begins.
        own: whether the input is code of the user's, which may run.
    """

    name: str
    lay: Callable[[Path, Path], None]
    call: Call
    words: Sequence[str] = ()
    env: Environment | None = None
    start: str = "error: "
    own: bool = False


def try_canary(canary: Canary, folder: Path) -> Outcome:
    """Lays it, reads it, and looks whether it sang."""
    place, sang, log = folder / "place", folder / "canary", folder / "audit"
    place.mkdir(parents=True)
    canary.lay(place, sang)
    ended = fork(watched(canary.call, place, log), folder=place, env=canary.env)
    return Outcome(canary.name, *_judged(canary, ended, sang, log))


def _judged(canary: Canary, ended: Ended, sang: Path, log: Path) -> tuple[bool, str]:
    noted = log.read_text("utf-8", "replace").splitlines() if log.exists() else ["it never ran"]
    if sang.exists():
        return False, f"the payload was executed; {last_line(ended)}"
    noted = [line for line in noted if not (canary.own and line.startswith("exec "))]
    if noted:
        return False, f"{noted[0]}; {last_line(ended)}"
    if not canary.words:
        return ended.code == 0, "left alone" if ended.code == 0 else last_line(ended)
    errors = [line for line in ended.err.splitlines() if line.startswith(canary.start)]
    clean = ended.code == 2 and "Traceback" not in ended.err and "trust_remote_code=True" not in ended.err
    told = clean and len(errors) == 1 and ended.err.rstrip().endswith(errors[0])
    missing = [word for word in canary.words if word not in ended.err]
    return told and not missing, last_line(ended) + (f"; does not say {missing}" if missing else "")
