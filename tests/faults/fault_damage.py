"""Files that lost their end or had a bit turned over: results, what a run lays out, checkpoints, work under way."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from fault_kills import MORE, judge, results, undisturbed
from harness import Fault, Outcome, cli, fork, last_line, start

RESULTS, REBUILT, CHECKPOINTS, WORK = 120, 8, 60, 6


def harm(path: Path, draw: random.Random) -> str:
    """Cuts a file somewhere, or turns over one bit; the file gets a new inode, so that hard links to it stay whole."""
    content = bytearray(path.read_bytes())
    place = draw.randrange(len(content))
    if draw.random() < 0.3:
        done, content = f"cut after {place} of {len(content)} bytes", content[:place]
    else:
        bit = draw.randrange(8)
        content[place] ^= 1 << bit
        done = f"bit {bit} of byte {place} turned"
    path.unlink()
    path.write_bytes(content)
    return done


def in_results(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Every file of every result and of the run's own folder: is the damage seen?"""
    expected, _ = undisturbed(scratch.parent)
    folder = scratch / "runs-of-it"
    shutil.copytree(_of(scratch), folder)
    files = sorted(path for path in (folder / "runs").rglob("*") if path.is_file() and ".work" not in path.parts)
    files = [path for path in files if path.stat().st_size]
    draw = random.Random(17)
    for turn in range(20 if fast else RESULTS):
        path = files[turn % len(files)] if not fast else draw.choice(files)
        whole = path.read_bytes()
        done = harm(path, draw)
        case = f"{path.relative_to(folder)}: {done}"
        if turn % (20 if fast else RESULTS // REBUILT) == 0:
            again = fork(cli("run", "tiny.toml"), folder=folder)
            same = results(folder / "runs") == expected
            yield Outcome(case, again.code == 0 and "damaged" in again.err and same, last_line(again))
        else:
            ended = fork(lambda path=path: _seen(folder, path), folder=folder)
            yield Outcome(case, ended.code == 0, last_line(ended))
            path.unlink()
            path.write_bytes(whole)


def _of(scratch: Path) -> Path:
    return next(scratch.parent.glob("undisturbed-12-*"))


def _seen(folder: Path, path: Path) -> int:
    """0 if the program sees that a file is damaged."""
    from xrealign.errors import ArtifactError
    from xrealign.run import RUN_FILE
    from xrealign.store import damaged, unseal, verify

    place = path.relative_to(folder / "runs").parts
    if place[0] == "tiny":
        with contextlib.suppress(ValueError):
            known = unseal((folder / "runs" / "tiny" / RUN_FILE).read_text("utf-8"))
            return int(damaged(folder / "runs" / "tiny", known["files"]) is None)
        return 0
    try:
        verify(folder / "runs" / place[0] / place[1])
    except ArtifactError:
        return 0
    return 1


def in_checkpoints(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The newest checkpoint, and then both: the one before is used, or all begun anew, and that is said."""
    fork(lambda: _checkpoints(scratch), folder=scratch)
    draw = random.Random(17)
    for turn in range(10 if fast else CHECKPOINTS):
        folder = scratch / f"{turn}"
        shutil.copytree(scratch / "whole", folder)
        both = turn % 5 == 4
        done = []
        for step in ("step-00000010", "step-00000005")[: 1 + both]:
            name = draw.choice(["state.safetensors", "checkpoint.json"])
            done.append(f"{step}/{name}: {harm(folder / step / name, draw)}")
        ended = fork(lambda folder=folder, both=both: _resumed(folder, 0 if both else 5), folder=folder)
        yield Outcome(
            "; ".join(done), ended.code == 0 and ended.err.count("is damaged: dropped") == 1 + both, ended.err
        )


def _model():
    import torch

    torch.manual_seed(17)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    return model, optimizer


def _checkpoints(scratch: Path) -> None:
    import torch

    from xrealign.train.checkpoint import Progress, save_checkpoint

    model, optimizer = _model()
    for step in (5, 10):
        model(torch.ones(3, 6)).square().sum().backward()
        optimizer.step()
        rows = [{"step": done, "rate": 0.1, "loss": 1 / done} for done in range(1, step)]
        save_checkpoint(scratch / "whole", Progress(step, rows, [[0.25, 1.5]]), model, optimizer)


def _resumed(folder: Path, step: int) -> int:
    from xrealign.train.checkpoint import load_checkpoint

    return int(load_checkpoint(folder, *_model()).step != step)


def in_work(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A run is killed, and what it had saved on its way is damaged: it ends in the same bits all the same."""
    expected, _ = undisturbed(scratch.parent, MORE)
    draw = random.Random(17)
    signs = ["finetune-*/best.safetensors", "evaluate-*/*.json", "realign-*/step-*/*", "finetune-*/step-*/*"]
    for turn in range(1 if fast else WORK):
        folder, sign = scratch / f"{turn}", signs[turn % len(signs)]
        folder.mkdir()
        fork(lambda folder=folder: tiny.config(folder, MORE) and 0, folder=folder)
        path = _killed_with(folder, sign)
        case = f"{path.relative_to(folder)}: {harm(path, draw)}"
        outcome = judge(folder, expected, case)
        yield outcome


def _killed_with(folder: Path, sign: str) -> Path:
    """Runs until a file by the pattern ``sign`` is there, and kills the run."""
    child = start(cli("run", "tiny.toml"), folder=folder)
    end = time.monotonic() + 600
    while time.monotonic() < end and child.running():
        with contextlib.suppress(FileNotFoundError):
            found = [path for path in (folder / "runs" / ".work").glob(sign) if not path.name.startswith(".")]
            if found:
                child.send(signal.SIGSTOP)
                found = [path for path in found if path.is_file() and path.stat().st_size]
                if found:
                    child.kill()
                    child.wait(5)
                    return found[0]
                child.send(signal.SIGCONT)
        time.sleep(0.003)
    raise AssertionError(f"no {sign} came: {child.wait(1).err[-500:]}")


FAULTS = (
    Fault("damaged result", "seen by checksum; the result is made again, and said", in_results),
    Fault("damaged checkpoint", "seen by checksum; the one before is used, and said", in_checkpoints),
    Fault("damaged work under way", "seen by checksum; the stage begins anew, same bits", in_work),
)
