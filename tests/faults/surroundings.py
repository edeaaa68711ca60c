"""What a process may be given by its surroundings that is not its own: mounts, limits, users, clocks. Linux."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[[], object]
NEWNS, PRIVATE, BIND, REMOUNT, READ_ONLY = 0x00020000, 0x00044000, 0x1000, 0x20, 0x1
NOBODY = 65534


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def own_mounts() -> None:
    """Gives this process mounts of its own; what it mounts nobody else sees, and it goes when the process ends.

    Raises:
        OSError: it may not; that takes root, or a container that allows it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(NEWNS))
    _checked(libc.mount(b"none", b"/", None, PRIVATE, None))


def mount_small(folder: Path, kibibytes: int) -> None:
    """A file system of a few KiB in memory, on a folder; after `own_mounts`."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={kibibytes}k,mode=1777".encode()
    _checked(libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options))


def mount_read_only(folder: Path) -> None:
    """The folder as it is, but nothing in it can be changed, by root either; after `own_mounts`."""
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.mount(os.fsencode(folder), os.fsencode(folder), None, BIND, None))
    _checked(libc.mount(b"none", os.fsencode(folder), None, BIND | REMOUNT | READ_ONLY, None))


@functools.cache
def can_mount() -> bool:
    """Whether this process may mount, tried in a child."""
    pid = os.fork()
    if not pid:
        try:
            own_mounts()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def with_file_limit(size: int, call: Call) -> Call:
    """``call`` where no file can be longer than ``size`` bytes; what it prints is no file meanwhile."""

    def limited() -> object:
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        kept, pipes = [os.dup(number) for number in (1, 2)], [os.pipe() for _ in range(2)]
        for number, (_, write) in enumerate(pipes, 1):
            os.dup2(write, number)
            os.close(write)
        _fresh_streams()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
        try:
            return call()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
            for number, handle, (read, _) in zip((1, 2), kept, pipes, strict=True):
                os.dup2(handle, number)
                os.set_blocking(read, False)
                os.write(handle, os.read(read, 1 << 16))

    return limited


def mounted(prepare: Call, call: Call) -> Call:
    """``call`` in mounts of its own, after ``prepare``."""

    def apart() -> object:
        own_mounts()
        prepare()
        return call()

    return apart


def as_nobody(call: Call, user: int = NOBODY) -> Call:
    """``call`` by a user without rights; needs root."""

    def lowered() -> object:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        return call()

    return lowered


def closed(number: int, call: Call) -> Call:
    """``call`` in a process whose caller has closed a standard stream, as ``2>&-`` does."""

    def without() -> object:
        name = {0: "stdin", 1: "stdout", 2: "stderr"}[number]
        setattr(sys, name, None)
        os.close(number)
        return call()

    return without


def _fresh_streams() -> None:
    """New objects for standard output and error: the old ones believe that theirs are still files."""
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115


def printing_to(path: str, call: Call) -> Call:
    """``call`` with its standard output in a file, as ``> path`` does."""

    def redirected() -> object:
        handle = os.open(path, os.O_WRONLY)
        os.dup2(handle, 1)
        _fresh_streams()
        return call()

    return redirected


def jumping_clock(seconds: float, call: Call) -> Call:
    """``call`` under a wall clock that jumps by ``seconds`` and back at every other look.

    What jumps is all that the package looks at (`other_clocks` says whether it is): ``time.time``, today in
    ``time.strftime``, ``localtime`` and ``gmtime``, and the times of files that are touched, or renamed to their
    place. Monotonic clocks cannot jump, by their definition.
    """

    def jumps() -> object:
        looks, clock = iter(range(1 << 60)), time.time
        strftime, utime = time.strftime, os.utime

        def now() -> float:
            return clock() + (seconds if next(looks) % 2 else 0)

        def today(real: Callable[[float], time.struct_time]) -> Callable[..., time.struct_time]:
            return lambda when=None: real(now() if when is None else when)

        def touched(path: Any, times: Any = None, **more: Any) -> None:
            utime(path, (now(),) * 2 if times is None and "ns" not in more else times, **more)

        def dated(real: Callable[..., None]) -> Callable[..., None]:
            def moved(source: Any, target: Any, **more: Any) -> None:
                real(source, target, **more)
                when = (now(),) * 2
                for path in (Path(target), *Path(target).rglob("*")):
                    utime(path, when)

            return moved

        time.time, time.time_ns = now, lambda: int(now() * 1e9)
        time.localtime, time.gmtime = today(time.localtime), today(time.gmtime)
        time.strftime = lambda form, when=None: strftime(form, time.localtime() if when is None else when)
        os.utime, os.replace, os.rename = touched, dated(os.replace), dated(os.rename)
        try:
            return call()
        finally:
            if next(looks) < 2:
                raise RuntimeError("nobody looked at the clock, which so never jumped")

    return jumps


def other_clocks(package: Path) -> list[str]:
    """Lines of a package's source that look at a clock which `jumping_clock` cannot turn."""
    sight = re.compile(r"from time import|\.(?:now|utcnow|today|ctime|asctime|clock_gettime)\(|fromtimestamp|time as ")
    return [
        f"{path.name}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if sight.search(line)
    ]


def turkish_locale(folder: Path) -> dict[str, str | None] | None:
    """Settings of the environment for a Turkish locale, made in ``folder``; None where it cannot be made."""
    program, made = shutil.which("localedef"), folder / "tr_TR.UTF-8"
    if program is not None:
        subprocess.run([program, "-i", "tr_TR", "-f", "UTF-8", str(made)], capture_output=True, check=False)
    env = {"LOCPATH": str(folder), "LC_ALL": "tr_TR.UTF-8"}
    # A locale that cannot be read is no error anywhere: the C locale is taken silently.
    tried = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.nl_langinfo(locale.DAY_1))"
    said = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", tried], env=env, capture_output=True, text=True, check=False
    )
    return {**env} if said.stdout.strip() == "Pazar" else None


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders: what a command that ended should have taken away."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def listing(folder: Path) -> dict[str, str]:
    """Every file of a folder with the digest of what it holds; folders too, without one."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
        if path.is_dir() or path.is_file()
    }
