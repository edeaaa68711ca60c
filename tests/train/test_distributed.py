"""Two real processes (gloo, found through a file) train as one does: same data, same gradient, same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from xrealign.errors import TrainingError
from xrealign.model.encoder import load_encoder
from xrealign.model.words import EncodedTexts
from xrealign.run import _take_part, _told
from xrealign.store import Stage, build
from xrealign.train.distributed import average, average_gradients, gather_rows, gathered_backward, in_turn, ranks
from xrealign.train.front_cache import FrontCache, front_loss, front_pieces, front_stream
from xrealign.train.keeping import read_facts
from xrealign.train.loop import run_phase
from xrealign.train.micro import Pieces, split_batch
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import make_objective
from xrealign.train.phase import Objective, Phase
from xrealign.train.processes import orders, tell
from xrealign.train.streams import PairStream, plan_steps, rank_plan

KINDS = {
    "word": ObjectiveSettings(learned_temperature=True),  # a parameter that is used after the exchange
    "sentence": ObjectiveSettings(sentence_pooling="subwords"),
    "l2": ObjectiveSettings(),
    "cka": ObjectiveSettings(layers=(2, 4)),
}


def stream_of(share: bool = False, batch: int = 6) -> PairStream:
    """Pairs of random sentences; with ``share``, this process's pairs alone."""
    draw = np.random.default_rng(0)

    def side() -> EncodedTexts:
        lengths = draw.integers(3, 20, 40)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        words = np.concatenate([np.r_[-1, np.arange(n - 2) // 2, -1] for n in lengths]).astype(np.int32)
        ids = draw.integers(4, 800, offsets[-1]).astype(np.int32)
        return EncodedTexts(ids, offsets, words, (lengths - 1) // 2, 0)

    src, tgt = side(), side()
    links = [
        np.repeat(np.arange(min(a, b), dtype=np.int32)[:, None], 2, axis=1)
        for a, b in zip(src.word_counts, tgt.word_counts, strict=True)
    ]
    plan = plan_steps([0] * 40, np.maximum(src.lengths, tgt.lengths), 8, batch, 5, "realign")
    return PairStream(src, tgt, links, rank_plan(plan, *ranks()) if share else plan, 1)


def built(folder: str, name: str, settings: ObjectiveSettings):
    encoder = load_encoder(folder).model
    objective = make_objective(name, settings, encoder, 0)
    return objective, nn.ModuleDict({"encoder": encoder, "heads": objective.heads})


def gradients(folder: str, name: str, share: bool) -> dict[str, torch.Tensor]:
    """Gradients of one batch without dropout, by as many processes as there are."""
    objective, model = built(folder, name, KINDS[name])
    model.eval()
    batch = stream_of(share)(1)
    if share or ranks()[1] == 1:
        loss = objective.loss(model, batch)
        loss.backward()
    else:
        pieces = Pieces(split_batch, objective.encode, objective.compare, objective.rows)
        loss = gathered_backward(model, batch, pieces, device=torch.device("cpu"))
    average_gradients(model.parameters())
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return found | {"loss": average(loss.detach())[None]}


def trained(folder: str, out: Path, cached: bool) -> dict[str, torch.Tensor]:
    """Weights after eight steps of the loop, and its history."""
    objective, model = built(folder, "word", ObjectiveSettings())
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for block in model["encoder"].encoder.layer:
        block.attention.self.dropout.p = 0.0
    stream, encoder = stream_of(), model["encoder"]
    learning = frozenset(n for n, _ in model.named_parameters() if not n.startswith("encoder.pooler."))
    if cached:
        learning = frozenset(n for n in learning if "layer.2" in n or "layer.3" in n or n.startswith("heads."))
        cache = FrontCache(encoder, 2, out / "front", 1 << 28, 1)
        batches, loss, pieces = (
            front_stream(stream, cache),
            front_loss(objective, cache),
            front_pieces(objective, cache),
        )
    else:
        batches, loss = stream, objective.loss
        pieces = Pieces(split_batch, objective.encode, objective.compare, objective.rows)
    seen = []

    def batch(step: int):
        seen.append(stream.plan[step].tolist())
        return batches(step)

    made = Objective("word", batch, loss, learning, pieces=pieces)
    phase = Phase("realign", 8, 1e-3, (made,), "linear", 0.2, weight_decay=0.1, clip=1.0, checkpoint_every=3)
    history = run_phase(model, phase, out / "checkpoints", 3)
    (out / f"{ranks()[0]}.json").write_text(json.dumps({"history": history, "seen": seen}), "utf-8")
    return {n: p.detach() for n, p in model.named_parameters()}


def work(folder: str, what: str, out: Path) -> None:
    """What one process does; rank 0 writes what came out."""
    kind, _, name = what.partition(" ")
    out.mkdir(parents=True, exist_ok=True)
    tensors = trained(folder, out, name == "cached") if kind == "train" else gradients(folder, name, kind == "local")
    save_file({n: t.contiguous() for n, t in tensors.items()}, out / f"{ranks()[0]}.safetensors")


def begun_anew(runs: Path, damaged: int) -> None:
    """A stage of a run that finds the weights damaged that process number ``damaged`` reads, as `_best` reads them."""
    rank, reads = ranks()[0], []

    def make(_out: Path, work: Path):
        def read():
            reads.append(read_facts(work / f"{rank}.safetensors"))
            return reads[-1]

        turns.append(1)
        return {"known": in_turn(read)}

    turns: list[int] = []
    stage = Stage("finetune", "fine-tune", {"damaged": damaged}, {}, make)
    if rank:
        for _ in orders():
            _take_part(stage, runs, rank)
    else:
        stage.work(runs).mkdir(parents=True)
        (stage.work(runs) / f"{damaged}.safetensors").write_bytes(b"damaged")
        build(replace(stage, make=_told("finetune", stage, tell)), runs)
        tell(None)
    runs.mkdir(exist_ok=True)
    (runs / f"{rank}.json").write_text(json.dumps([len(turns), reads]), "utf-8")


def processes(count: int, folder: Path, jobs: list[str], out: Path, limit: float = 300) -> None:
    """Runs this file in ``count`` processes that find each other through a file."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(count), str(folder), str(out), *jobs],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        said = [run.communicate(timeout=limit)[1] for run in running]
    finally:
        for run in running:
            run.kill()  # those that wait for one another for ever
    assert [run.returncode for run in running] == [0] * count, "\n".join(said)


JOBS = [*(f"gathered {name}" for name in KINDS), "local word", "train whole", "train cached"]


@pytest.fixture(scope="module")
def both(tiny_folders, tmp_path_factory):
    """Folder of what two processes found, and of what one did."""
    folder, out = tiny_folders("bert"), tmp_path_factory.mktemp("processes")
    processes(2, folder, JOBS, out / "two")
    for job in JOBS:
        work(str(folder), job, out / "one" / job)
    return out


def close(found: Path, expected: dict[str, torch.Tensor], tolerance: float) -> None:
    tensors = load_file(found)
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        if not name.endswith("key.bias"):  # whose gradient is nothing but rounding, which Adam makes into steps
            assert torch.allclose(tensor, expected[name], atol=tolerance, rtol=1e-5), name


@pytest.mark.parametrize("name", KINDS)
def test_gathered_negatives_give_the_gradient_of_one_process(both, name):
    expected = load_file(both / "one" / f"gathered {name}" / "0.safetensors")
    assert sum(float(t.abs().sum()) for t in expected.values()) > 0.01
    for rank in range(2):
        close(both / "two" / f"gathered {name}" / f"{rank}.safetensors", expected, 1e-6)


def test_local_negatives_give_the_mean_of_the_shares(both, tiny_folders):
    whole = stream_of()
    shares = []
    for rank in range(2):
        objective, model = built(str(tiny_folders("bert")), "word", KINDS["word"])
        model.eval()
        plan = rank_plan(whole.plan, rank, 2)
        objective.loss(model, PairStream(whole.src, whole.tgt, whole.links, plan, 1)(1)).backward()
        shares.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    found = load_file(both / "two" / "local word" / "1.safetensors")
    for name, gradient in shares[0].items():
        assert torch.allclose(found[name], (gradient + shares[1][name]) / 2, atol=1e-6), name
    one = load_file(both / "one" / "gathered word" / "0.safetensors")
    assert not torch.allclose(found["heads.projection.0.weight"], one["heads.projection.0.weight"], atol=1e-4)


@pytest.mark.parametrize("job", ["train whole", "train cached"])
def test_the_loop_ends_in_the_same_weights_however_many_processes(both, job):
    expected = load_file(both / "one" / job / "0.safetensors")
    facts = [
        json.loads((both / n / job / f"{r}.json").read_text("utf-8")) for n, r in (("one", 0), ("two", 0), ("two", 1))
    ]
    assert facts[0]["seen"] == facts[1]["seen"] == facts[2]["seen"]
    for fact in facts[1:]:
        assert [r["word"] for r in fact["history"]] == pytest.approx([r["word"] for r in facts[0]["history"]], abs=1e-5)
    for rank in range(2):
        close(both / "two" / job / f"{rank}.safetensors", expected, 1e-5)
    ours, theirs = (load_file(both / "two" / job / f"{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    kept = sorted(p.name for p in (both / "two" / job / "checkpoints").iterdir())
    assert kept == ["step-00000003", "step-00000006"]


def test_damaged_work_of_any_process_is_begun_anew_by_all(tmp_path):
    """Otherwise they wait for one another: one begins anew while the other is still reading."""
    # Turns and what was read in them, of each process. Where the first finds the damage, the second does not read.
    expected = {0: ([2, [None]], [2, [None]]), 1: ([2, [None, None]], [2, [None]])}
    processes(2, tmp_path, [f"damaged {rank}" for rank in expected], tmp_path / "two", limit=150)
    for damaged, found in expected.items():
        runs = tmp_path / "two" / f"damaged {damaged}"
        assert tuple(json.loads((runs / f"{rank}.json").read_text("utf-8")) for rank in range(2)) == found
        (manifest,) = (runs / "finetune").glob("*/manifest.json")
        assert json.loads(manifest.read_text("utf-8"))["facts"] == {"known": None}
        assert not list((runs / ".work").glob("*/")), "what the second process wrote is gone"


def test_alone_nothing_is_exchanged():
    assert ranks() == (0, 1)
    rows = torch.randn(3, 2, requires_grad=True)
    assert gather_rows(rows, [3]) is rows
    assert average(rows) is rows
    with pytest.raises(TrainingError, match="has 3 rows to gather"):
        gather_rows(rows, [4])


def test_a_batch_too_small_to_share_is_refused(tiny_folders, monkeypatch):
    import xrealign.train.distributed as distributed

    monkeypatch.setattr(distributed, "ranks", lambda: (0, 9))
    objective, model = built(str(tiny_folders("bert")), "word", ObjectiveSettings())
    pieces = Pieces(split_batch, objective.encode, objective.compare, objective.rows)
    with pytest.raises(TrainingError, match="shared by 9 processes"):
        gathered_backward(model, stream_of(batch=2)(0), pieces, device=torch.device("cpu"))


if __name__ == "__main__":
    number, count, chosen, target, *todo = sys.argv[1:]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{target}.meet", rank=int(number), world_size=int(count)
    )
    for job in todo:
        if job.startswith("damaged "):
            begun_anew(Path(target) / job, int(job.split()[1]))
        else:
            work(chosen, job, Path(target) / job)
        torch.distributed.barrier()
    torch.distributed.destroy_process_group()
