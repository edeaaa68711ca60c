"""Files that lost their end or had a bit turned over: results, what a run lays out, checkpoints, work under way."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tiny
from fault_kills import MORE, leftovers, results, undisturbed
from harness import Ended, Fault, Outcome, cli, fork, last_line, start

RESULTS, CHECKPOINTS, WORK = 120, 60, 4


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
    """Every file of every result and of the run's own folder: is the damage seen? Some of it is left to a run to mend:
    one file of every kind of result, and two of the run's own folder."""
    expected, _ = undisturbed(scratch.parent)
    folder = scratch / "runs-of-it"
    shutil.copytree(_of(scratch), folder)
    runs = folder / "runs"
    files = sorted(path for path in runs.rglob("*") if path.is_file() and ".work" not in path.parts)
    files = [path for path in files if path.stat().st_size]
    draw = random.Random(17)
    mended = [draw.choice([path for path in files if _kind(path, runs) == kind]) for kind in (*tiny.STAGES, OWN, OWN)]
    for path in mended[-1:] if fast else mended:
        case = f"{path.relative_to(folder)}: {harm(path, draw)}"
        again = fork(cli("run", "tiny.toml"), folder=folder)
        yield Outcome(case, *_mended(again, path, runs, expected))
    seen = (20 if fast else RESULTS) - (1 if fast else len(mended))
    for turn in range(seen):
        path = files[turn % len(files)] if not fast else draw.choice(files)
        whole = path.read_bytes()
        ended = fork(lambda path=path, turn=turn: _seen(runs, path, random.Random(turn)), folder=folder)
        yield Outcome(f"{path.relative_to(folder)}: {ended.out.strip()}", ended.code == 0, last_line(ended))
        path.unlink()
        path.write_bytes(whole)


def _of(scratch: Path) -> Path:
    return next(scratch.parent.glob("undisturbed-12-*"))


OWN = "tiny"  # the run's own folder, among those of the verbs


def _kind(path: Path, runs: Path) -> str:
    return path.relative_to(runs).parts[0]


def _mended(again: Ended, path: Path, runs: Path, expected: dict[str, str]) -> tuple[bool, str]:
    """Whether a run has told of the damaged file, and all is whole and as ever after it; if not, what is wrong."""
    if again.code:
        return False, last_line(again)
    if f"{path.relative_to(runs.parent)} is damaged" not in again.err:
        return False, f"not said: {again.err[-300:]}"
    if results(runs) != expected:
        return False, "the results are others"
    looked = fork(lambda: _all_whole(runs), folder=runs)  # in a process that has not read any file before
    return looked.code == 0, last_line(looked)


def _all_whole(runs: Path) -> int:
    """0 if no file of any result, or of the run's own folder, is damaged."""
    found = [_fault(path) for verb in tiny.STAGES for path in (runs / verb).iterdir()]
    found = [place for place in (*found, _fault(runs / OWN)) if place is not None]
    print("\n".join(f"{place} is damaged" for place in found), file=sys.stderr)
    return len(found)


def _fault(folder: Path) -> Path | None:
    """The file that the program finds damaged in a result, or in a run's own folder; None in a whole one."""
    from xrealign.errors import ArtifactError
    from xrealign.run import RUN_FILE
    from xrealign.store import damaged, unseal, verify

    if folder.name != OWN:
        try:
            verify(folder)
        except ArtifactError as error:
            return Path(str(error).split(" is damaged", 1)[0])
        return None
    try:
        known = unseal((folder / RUN_FILE).read_text("utf-8"))
    except ValueError:
        return folder / RUN_FILE
    return damaged(folder, known["files"])


def _seen(runs: Path, path: Path, draw: random.Random) -> int:
    """Damages a file; 0 if the program then says that this file is, and has found none before."""
    place = path.relative_to(runs).parts
    folder = runs / OWN if place[0] == OWN else runs / place[0] / place[1]
    before = _fault(folder)
    print(harm(path, draw))
    after = _fault(folder)
    print(f"damaged before: {before}; after: {after}", file=sys.stderr)
    return int(before is not None or after != path)


def in_checkpoints(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The newest checkpoint, and then both: the one before is used, or all begun anew, and that is said."""
    fork(lambda: _checkpoints(scratch), folder=scratch)
    control = fork(lambda: _resumed(scratch / "whole", 10), folder=scratch)
    assert control.code == 0, control.err
    assert "damaged" not in control.err, control.err
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
        said = [f"{folder / step} is damaged: dropped" in ended.err for step in ("step-00000010", "step-00000005")]
        yield Outcome("; ".join(done), ended.code == 0 and said == [True, both], ended.err)


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
    """0 if the checkpoint of this step is gone on from, and the weights are those that were saved with it."""
    import torch
    from safetensors.torch import load_file

    from xrealign.train.checkpoint import load_checkpoint

    model, optimizer = _model()
    saved = {f"model.{name}": value.clone() for name, value in model.named_parameters()}  # those to begin with
    if step:
        saved = load_file(folder / f"step-{step:08d}" / "state.safetensors")
    found = load_checkpoint(folder, model, optimizer).step
    same = all(torch.equal(value, saved[f"model.{name}"]) for name, value in model.named_parameters())
    return int(found != step or not same)


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
        done = fork(cli("run", "tiny.toml"), folder=folder)
        yield Outcome(case, *_begun_anew(done, path, folder / "runs", expected))


def _begun_anew(done: Ended, path: Path, runs: Path, expected: dict[str, str]) -> tuple[bool, str]:
    """Whether a run has told of damaged work, and has ended as one without; if not, what is wrong."""
    if done.code:
        return False, last_line(done)
    places = [str(place.relative_to(runs.parent)) for place in (path, path.parent)]  # of a checkpoint, its folder
    if not any(f"{place} is damaged" in done.err for place in places):
        return False, f"not said: {done.err[-300:]}"
    if results(runs) != expected:
        return False, "the results are others"
    left = leftovers(runs)
    return not left, f"left behind: {', '.join(left[:3])}" if left else ""


def _killed_with(folder: Path, sign: str) -> Path:
    """Runs until a file by the pattern ``sign`` is there, and kills the run. Returns the last of such files."""
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
                    return max(found)  # of checkpoints the newest: only that is read
                child.send(signal.SIGCONT)
        time.sleep(0.003)
    raise AssertionError(f"no {sign} came: {child.wait(1).err[-500:]}")


FAULTS = (
    Fault("damaged result", "seen by checksum; the result is made again, and said", in_results),
    Fault("damaged checkpoint", "seen by checksum; the one before is used, and said", in_checkpoints),
    Fault("damaged work under way", "seen by checksum; the stage begins anew, same bits", in_work),
)
