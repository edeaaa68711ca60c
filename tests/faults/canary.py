"""Payloads that would leave a file behind, and a watch over what a process does while it reads them."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
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


def tries(canaries: Sequence[Canary], few: int, scratch: Path, fast: bool) -> Iterable[Outcome]:
    """Each in a folder of its own; ``few`` of them in the fast part."""
    for number, canary in enumerate(canaries[:few] if fast else canaries):
        yield try_canary(canary, scratch / f"{number:02d}")


@dataclass(frozen=True)
class Control:
    """The same payload, read as nobody should read it: it must sing, and be found out.

    Attributes:
        lay, call: as of a `Canary`.
        noted: the event that the watch must have noted.
        sings: whether it makes the canary's file.
    """

    name: str
    lay: Callable[[Path, Path], None]
    call: Call
    noted: str
    sings: bool = True


def controls(every: Sequence[Control], scratch: Path, _fast: bool) -> Iterable[Outcome]:
    """What no try would show: that payloads work, that the watch sees them, and that either alone is found out."""
    for number, control in enumerate(every):
        folder = scratch / f"{number:02d}"
        place, sang, log = folder / "place", folder / "canary", folder / "audit"
        place.mkdir(parents=True)
        control.lay(place, sang)
        ended = fork(watched(control.call, place, log), folder=place)
        noted = log.read_text("utf-8", "replace")
        wrong = [] if sang.exists() == control.sings else ["the payload does nothing"]
        wrong += [] if any(line.startswith(control.noted) for line in noted.splitlines()) else ["the watch is blind"]
        harmless = Canary(control.name, control.lay, control.call)
        plain = Ended(0, "", "", 0.0)
        wrong += ["a song is let pass"] if sang.exists() and _judged(harmless, plain, sang, folder / "none")[0] else []
        sang.unlink(missing_ok=True)
        wrong += ["what was noted is let pass"] if _judged(harmless, plain, sang, log)[0] else []
        yield Outcome(control.name, not wrong, "; ".join([*wrong, last_line(ended)] if wrong else []))


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
