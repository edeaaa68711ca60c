"""Numbers that are none, in weights and in batches; memory that is too small."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import tiny
import torch
from harness import Ended, Fault, Outcome, cli, fork, last_line, traceback_free
from safetensors.torch import load_file, save_file

import xrealign.train.loop as loop
import xrealign.train.step_gradients as gradients

NAN, INF = math.nan, math.inf
POISON = 3e38  # a number; but what is computed with it overflows
QUIET = ("--set", "align.aligner=ibm1", "--set", "realign.watch=off", "--set", "realign.objective=sentence")


def _outcome(case: str, wrong: str) -> Outcome:
    return Outcome(case, not wrong, wrong)


def _spoil(folder: Path, tensor: str, value: float, places: slice = slice(1)) -> None:
    """Puts a value into a tensor of an encoder's file."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights[tensor].view(-1)[places] = value
    save_file(weights, path, metadata={"format": "pt"})


def _facts(folder: Path, verb: str = "realign") -> dict:
    (manifest,) = (folder / "runs" / verb).glob("*/manifest.json")
    return json.loads(manifest.read_text("utf-8"))["facts"]


WEIGHTS = (
    ("encoder.layer.1.output.dense.weight", NAN, slice(7, 8)),
    ("embeddings.word_embeddings.weight", INF, slice(1000, 1001)),
    ("encoder.layer.3.attention.self.query.bias", -INF, slice(1)),
    ("encoder.layer.0.output.LayerNorm.weight", NAN, slice(None)),
    ("embeddings.LayerNorm.bias", NAN, slice(31, 32)),
)


def in_weights(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The encoder's file, in several tensors, in one file and in two; and a fine-tuned head's."""
    tiny.config(scratch)
    for number, (tensor, value, places) in enumerate(WEIGHTS[: 1 if fast else None]):
        folder = scratch / f"encoder-{number}"
        shutil.copytree(scratch / "encoder", folder)
        _spoil(folder, tensor, value, places)
        ended = fork(cli("realign", "tiny.toml", "--set", f"encoder.name={folder.name}"), folder=scratch)
        started = list((scratch / "runs").glob("realign/*")) if (scratch / "runs").is_dir() else []
        named = all(word in ended.err for word in (f"{folder.name}/model.safetensors", tensor, str(value)))
        wrong = "" if traceback_free(ended) and named and not started else last_line(ended)
        yield _outcome(f"{value} in {tensor}", wrong)
    if fast:
        return
    from transformers import AutoModel

    AutoModel.from_pretrained(scratch / "encoder").save_pretrained(scratch / "shards", max_shard_size="60KB")
    shutil.copy(scratch / "encoder" / "tokenizer.json", scratch / "shards")
    shutil.copy(scratch / "encoder" / "tokenizer_config.json", scratch / "shards")
    last = max((scratch / "shards").glob("*.safetensors"))
    weights = load_file(last)
    name = sorted(weights)[0]
    weights[name].view(-1)[0] = NAN
    save_file(weights, last, metadata={"format": "pt"})
    ended = fork(cli("realign", "tiny.toml", "--set", "encoder.name=shards"), folder=scratch)
    wrong = "" if traceback_free(ended) and last.name in ended.err and name in ended.err else last_line(ended)
    yield _outcome("one of several files", wrong)

    ended = fork(cli("run", "tiny.toml", "--set", "realign.strategy=none"), folder=scratch)
    model = scratch / "runs" / "tiny" / "models" / "baseline"
    copy = scratch / "model"
    shutil.copytree(model, copy)
    head = load_file(copy / "head.safetensors")
    head["linear.bias"][1] = NAN
    save_file(head, copy / "head.safetensors")
    ended = fork(cli("evaluate", "--model", "model", "--task", "class", "--data", "eng=eng.tsv"), folder=scratch)
    named = "head.safetensors" in ended.err and "linear.bias" in ended.err
    yield _outcome("a fine-tuned head", "" if traceback_free(ended) and named else last_line(ended))


def _rare_subword(scratch: Path) -> int:
    """A subword that stands in one target sentence alone, where it is not cut off."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(scratch / "encoder")
    texts = [(scratch / name).read_text("utf-8").splitlines() for name in ("eng-swh.tsv", "eng-tur.tsv")]
    sides = [side for lines in texts for line in lines for side in line.split("\t")]
    ids = tokenizer(sides)["input_ids"]
    times = Counter(one for own in ids for one in set(own))
    return next(one for place, own in enumerate(ids) if place % 2 for one in own[1:16] if times[one] == 1)


def in_batches(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A subword whose embedding overflows: real infinities, from the forward pass on, in the batches that hold it."""
    tiny.config(scratch)
    subword = _rare_subword(scratch)
    _spoil(scratch / "encoder", "embeddings.word_embeddings.weight", POISON, slice(subword * 32, subword * 32 + 32))
    held = "corpus.held_out=0.01"
    ended = fork(cli("realign", "tiny.toml", *QUIET, "--set", held, "--set", "realign.steps=40"), folder=scratch)
    wrong = last_line(ended)
    if ended.code == 0:
        skipped = [entry for row in _facts(scratch)["history"] for entry in row.get("skipped", ())]
        named = all(f"realign: step {e['step']} is left out" in ended.err for e in skipped)
        common = set.intersection(*(set(e["items"]) for e in skipped)) if skipped else set()
        finite = all(bool(torch.isfinite(w).all()) for w in _weights(scratch).values())
        wrong = "" if skipped and named and common and finite else f"{len(skipped)} left out, in common {common}"
    yield _outcome("an embedding that overflows: its steps are named and left out, all hold one pair", wrong)
    if fast:
        return
    # What is computed with vectors says so as well, instead of choosing by them.
    ended = fork(cli("realign", "tiny.toml", "--set", "runs=vectors", "--set", held), folder=scratch)
    told = "vectors that are not finite of" in ended.err
    yield _outcome("links from its vectors", "" if traceback_free(ended) and told else last_line(ended))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    files = (folder / "runs" / "realign").rglob("*.safetensors")
    return {name: weight for path in files for name, weight in load_file(path).items()}


def three_in_a_row(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Every loss is no number, because the weights are too large; and gradients that are none, from a step on."""
    tiny.config(scratch)
    large = scratch / "large"
    shutil.copytree(scratch / "encoder", large)
    _spoil(large, "encoder.layer.3.output.dense.weight", POISON, slice(None))
    ended = fork(cli("realign", "tiny.toml", *QUIET, "--set", "encoder.name=large"), folder=scratch)
    yield _outcome("weights whose products overflow", _told(ended, "realign: 3 steps in a row (1, 2, 3)"))
    if fast:
        return
    for phase, first in (("realign", 4), ("finetune", 5)):
        verb = "realign" if phase == "realign" else "run"
        call = cli(verb, "tiny.toml", *QUIET, "--set", f"runs=runs-{phase}")
        ended = fork(_poisoned(call, phase, range(first, 99)), folder=scratch)
        steps = f"{phase}: 3 steps in a row ({first + 1}, {first + 2}, {first + 3})"
        yield _outcome(f"gradients of {phase} from step {first + 1} on", _told(ended, steps))
        # What was kept goes on once the cause is gone.
        ended = fork(call, folder=scratch)
        yield _outcome(f"{phase} goes on afterwards", "" if ended.code == 0 else last_line(ended))
    for at in (0, 3, 11):
        call = cli("realign", "tiny.toml", *QUIET, "--set", f"runs=one-{at}")
        ended = fork(_poisoned(call, "realign", (at,)), folder=scratch)
        named = f"realign: step {at + 1} is left out: the gradient is nan (items " in ended.err
        yield _outcome(f"one gradient, at step {at + 1}", "" if ended.code == 0 and named else last_line(ended))


def _told(ended: Ended, steps: str) -> str:
    whole = traceback_free(ended) and steps in ended.err and "the first because" in ended.err and "(items" in ended.err
    return "" if whole else last_line(ended)


def _poisoned(call: Callable[[], object], phase: str, steps: Iterator[int] | range | tuple[int, ...]) -> Callable:
    """The command with gradients of some steps of a phase made NaN."""

    def poisoned() -> object:
        real = gradients._gradient

        def gradient(model, of, objective, step, *rest):
            found = real(model, of, objective, step, *rest)
            if of.name == phase and step in steps:
                next(p for p in model.parameters() if p.grad is not None).grad.view(-1)[0] = NAN
            return found

        gradients._gradient = gradient
        return call()

    return poisoned


LONG = ("--set", "realign.batch_size=32", "--set", "realign.max_length=256", "--set", "realign.steps=2",
        "--set", "align.max_length=256", "--set", "realign.learning_rate=1e-6")  # fmt: skip


M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h


def memory(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """The address space is limited once training begins: torch's allocator itself fails, as ``ulimit -v`` makes it."""
    tiny.config(scratch)
    config = scratch / "encoder" / "config.json"
    raw = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps(raw | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}), "utf-8")
    for name in ("eng-swh.tsv", "eng-tur.tsv"):
        pairs = [line.split("\t") for line in (scratch / name).read_text("utf-8").splitlines()]
        joined = [" ".join((pairs * 2)[i + k][side] for k in range(4)) for i in range(20) for side in (0, 1)]
        rows = ["\t".join(joined[2 * i : 2 * i + 2]) for i in range(20)]
        (scratch / name).write_text("\n".join(rows) + "\n", "utf-8")
    whole = fork(cli("realign", "tiny.toml", *QUIET, *LONG), folder=scratch)
    if whole.code:
        yield Outcome("enough of it", False, last_line(whole))
        return
    wanted = _facts(scratch)["history"][0]["sentence"]
    for room in (64, 16) if not fast else (64,):  # of the 110 that the whole batch wants
        call = cli("realign", "tiny.toml", *QUIET, *LONG, "--set", f"runs=room-{room}/runs")
        ended = fork(_limited(call, room << 20), folder=scratch)
        wrong, case = last_line(ended), f"{room} MiB more than there is at the start"
        if ended.code == 0:
            (row,) = _facts(scratch / f"room-{room}")["history"]
            off = abs(row["sentence"] - wanted) / abs(wanted)
            said = (
                "the memory is too small at step 2 for 'sentence': from here on its batches are worked on" in ended.err
            )
            good = said and row.get("parts") and off <= 1e-6
            yield Outcome(case, bool(good), f"{row.get('parts')} parts, loss off by {off:.1e}")
            continue
        yield Outcome(case, False, wrong)
    if fast:
        return
    call = cli("realign", "tiny.toml", *QUIET, *LONG, "--set", "runs=none/runs")
    ended = fork(_limited(call, 0), folder=scratch)
    told = traceback_free(ended) and "memory is too small" in ended.err
    yield _outcome("no room for a single sentence", "" if told else last_line(ended))


def _limited(call: Callable[[], object], room: int) -> Callable[[], object]:
    """The command with an address space that is limited while the second step finds its gradients: with the first,
    threads begin, and want room for their stacks and heaps. Without any ``room``, what is free is taken as well."""

    def limited() -> object:
        real, none = loop.all_gradients, resource.RLIM_INFINITY

        def gradients(model, of, step, *rest):
            if not step:
                return real(model, of, step, *rest)
            size = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + room, none))
            taken = []
            with contextlib.suppress(RuntimeError):
                while not room:
                    taken.append(torch.empty(1 << 14))
            resource.setrlimit(resource.RLIMIT_AS, (size + (room or 1 << 20), none))  # the stack itself wants some
            try:
                return real(model, of, step, *rest)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (none, none))

        loop.all_gradients = gradients
        # oneDNN fails for good in a thread once there was no room for the code it writes: it would be luck which fails.
        torch.backends.mkldnn.enabled = False
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            # So that no room is left over from the step before, nor kept for threads.
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
        return call()

    return limited


FAULTS = (
    Fault(
        "NaN or infinity in weights",
        "told before training, with the file's and the tensor's name, the count and the first place",
        in_weights,
    ),
    Fault(
        "NaN in a batch",
        "the step is left out, counted and named with its items; what is computed from such vectors is an error",
        in_batches,
    ),
    Fault(
        "three steps in a row without a loss",
        "the run ends with exit code 2 and names the steps, the first fault and its items; run again, it goes on",
        three_in_a_row,
    ),
    Fault(
        "out of memory",
        "the batch is divided, with the same negatives and a loss equal to 1e-6; or one line that tells what to change",
        memory,
        lambda outcomes: "; ".join(o.detail for o in outcomes if "off by" in o.detail),
    ),
)
