"""A realignment step of ours against the published one, and with the front's states cached against without.

    python benchmarks/realign_step.py --json OUT [--parts step,front,budget] [--rounds 5] [--steps 6]

**step**: the word objective, 4 blocks 128 wide (XLM-R-shaped, random), everything learns; the same pairs, weights,
batches and trainable set on both sides, Adam as torch gives it there and fused here; `published_step` is the
yardstick. Sides take turns; ratios are of medians over rounds. Both do the same steps, each with sentences of its own
length, and compute the same loss to 1e-5 (in training, with dropout off). Ours goes through `run_phase`, with making
the batch, guards and history; the yardstick's batches are made outside the clock. Pairs are those of at most 44
subwords: a step of 16 then has the tensor calls and host waits that the papers' program was seen to have (79,000 and
3,200). Both are counted by the profiler, a mean over the timed steps.
*The rest of the step* is what `run_phase` takes beyond forward, backward and optimiser on the same batches when they
are ready made: making the batch, guards, norm, history; as a share of the latter, by round, the median.
On one thread of a CPU the times that count are the process's own (a busy machine does not matter to them); the wall's
are written beside them. Elsewhere the wall's count.
**front**: the starter encoder, embeddings and lower half frozen and their states cached, against a frozen lower half
with embeddings that learn (as published), vocabulary compacted in both; the first epoch, with filling, and later ones.
**budget** (only where there is a GPU): pairs a second, share of the GPU's peak and minutes for the published 24,544
steps × 16 pairs, with an encoder shaped like XLM-R base.

Sentences: the Universal Declaration of Human Rights, English and eight languages, as the starter's tokenizer cuts
them; two words of three are linked, first with first and so on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from published_step import PublishedBatch, published_batch, published_loss
from xrealign.corpus.embedded import bitext, udhr_segments
from xrealign.language import parse_language
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import trainable_names
from xrealign.model.words import EncodedTexts, encode_texts
from xrealign.segment import spans_by_blanks
from xrealign.train.compaction import compact_embeddings
from xrealign.train.front_cache import FrontCache, front_loss, front_stream
from xrealign.train.loop import run_phase
from xrealign.train.objective_settings import ObjectiveSettings
from xrealign.train.objectives import make_objective
from xrealign.train.phase import Objective, Phase
from xrealign.train.seeds import seed_torch
from xrealign.train.streams import PairBatch, PairStream, padding_efficiency, plan_steps

LANGUAGES = ("deu", "fra", "spa", "rus", "tur", "swh", "fin", "ind")
STEPS, PAIRS = 24_544, 16  # the published budget
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}  # bf16, dense
WAITS = {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::equal"}
LONGEST = 44  # subwords of a sentence of the first part
WALL, PROCESS = 0, 1


def read_texts(tokenizer: Any) -> tuple[EncodedTexts, EncodedTexts, list[np.ndarray]]:
    """Both sides of the pairs, and links."""
    pairs = [
        pair
        for code in LANGUAGES
        for pair in bitext(udhr_segments(), parse_language("eng"), parse_language(code)).pairs
    ]
    sides = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
    spans = [[spans_by_blanks(text) for text in side] for side in sides]
    links = []
    for src, tgt in zip(*spans, strict=True):
        diagonal = np.arange(min(len(src), len(tgt)), dtype=np.int32)
        links.append(np.repeat(diagonal[diagonal % 3 < 2][:, None], 2, axis=1))
    src, tgt = (encode_texts(tokenizer, texts, 96, spans) for texts, spans in zip(sides, spans, strict=True))
    return src, tgt, links


def renumber(texts: EncodedTexts, ids: np.ndarray) -> EncodedTexts:
    """Subwords numbered by their place among ``ids``, for an encoder with no more rows than that."""
    return EncodedTexts(
        np.searchsorted(ids, texts.ids).astype(np.int32), texts.offsets, texts.words, texts.word_counts, 0
    )


def efficiency(src: EncodedTexts, tgt: EncodedTexts, size: int, in_parts: bool) -> float:
    """Share of the subwords computed on that are not padding, over a plan of 128 steps."""
    return padding_efficiency(src.lengths, tgt.lengths, plan_short(src, tgt, 128, size), in_parts)


def plan_short(src: EncodedTexts, tgt: EncodedTexts, steps: int, size: int) -> np.ndarray:
    """Steps of pairs of at most `LONGEST` subwords."""
    lengths = np.maximum(src.lengths, tgt.lengths)
    short = np.flatnonzero(lengths <= LONGEST)
    return short[plan_steps([0] * len(short), lengths[short], steps, size, 0, "benchmark")]


def random_encoder(blocks: int, width: int, rows: int, pad: int) -> Any:
    """An XLM-R of these sizes with random weights, the same ones every time."""
    from transformers import AutoModel, XLMRobertaConfig

    seed_torch(0, "encoder")
    config = XLMRobertaConfig(
        vocab_size=rows, hidden_size=width, num_hidden_layers=blocks, num_attention_heads=width // 64,
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, pad_token_id=pad,
    )  # fmt: skip
    return AutoModel.from_config(config)


def with_objective(encoder: Any, freeze: str = "none") -> tuple[Any, nn.ModuleDict, frozenset[str]]:
    """The word objective, the model that holds it, and what learns."""
    objective = make_objective("word", ObjectiveSettings(pooling="first"), encoder, 0)
    model = nn.ModuleDict({"encoder": encoder, "heads": objective.heads})
    heads = {name for name, _ in model.named_parameters() if name.startswith("heads.")}
    return objective, model, frozenset(f"encoder.{n}" for n in trainable_names(encoder, freeze)) | heads


def clock() -> np.ndarray:
    """Seconds on the wall and of this process, (2,)."""
    return np.array([time.perf_counter(), time.process_time()])


def counting() -> int:
    """Which of the two counts."""
    return PROCESS if torch.get_num_threads() == 1 and not torch.cuda.is_available() else WALL


def wait() -> None:
    """For the device to be done, so that the clock reads what it did."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed_phase(
    model: nn.Module, batch: Callable[[int], Any], loss: Any, learning: frozenset[str], steps: int, precision: str
) -> np.ndarray:
    """Seconds of all steps of `run_phase` but the first, from one batch asked for to the next, (2,)."""
    marks: list[np.ndarray] = []

    def marked(step: int) -> Any:
        wait()
        marks.append(clock())
        return batch(step)

    with tempfile.TemporaryDirectory() as folder:
        run_phase(model, Phase("step", steps + 2, 1e-5, (Objective("word", marked, loss, learning),)), Path(folder), 0,
                  precision)  # fmt: skip
    return marks[-1] - marks[1]


def timed_loop(
    model: nn.Module,
    batches: list[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    steps: int,
    precision: str = "fp32",
    fused: bool = True,
) -> np.ndarray:
    """Seconds of forward, backward and optimiser alone, the first step left out, (2,)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0, fused=fused)
    kind = parameters[0].device.type
    seconds = np.zeros(2)
    model.train()
    for step in range(steps + 1):
        wait()
        start = clock()
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
            value = loss(model, batches[step % len(batches)])
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        seconds += (clock() - start) * (step > 0)
    return seconds


def counted(model: nn.Module, losses: list[Callable[[], Tensor]]) -> tuple[float, float]:
    """Tensor calls of forward and backward (those inside others too), and for how many of them the host waits; means
    over steps. Without the optimiser, whose kernel on a CPU reads a count for each weight."""
    calls = waits = 0
    for loss in losses:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            loss().backward()
        model.zero_grad(set_to_none=True)
        seen = profile.key_averages()  # slow: events of a step of the yardstick are many
        calls += sum(row.count for row in seen if row.key.startswith("aten::"))
        waits += sum(row.count for row in seen if row.key in WAITS)
    return calls / len(losses), waits / len(losses)


@contextlib.contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Training, with nothing dropped."""
    modules = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    before = [module.p for module in modules]
    for module in modules:
        module.p = 0.0
    yield
    for module, p in zip(modules, before, strict=True):
        module.p = p


def compare_steps(sizes: tuple[int, ...], rounds: int, steps: int, blocks: int, width: int, precision: str) -> Any:
    """The published step against ours at each batch size."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = load_encoder("starter").tokenizer
    src, tgt, links = read_texts(tokenizer)
    ids = np.unique(np.concatenate([src.ids, tgt.ids, [tokenizer.pad_token_id]]))
    pad = int(np.searchsorted(ids, tokenizer.pad_token_id))
    src, tgt = renumber(src, ids), renumber(tgt, ids)
    table = []
    for size in sizes:
        stream = PairStream(src, tgt, links, plan_short(src, tgt, steps + 2, size), pad)
        objective, model, learning = with_objective(random_encoder(blocks, width, len(ids), pad))
        model.to(device).requires_grad_(True).train()
        ours_batches: list[PairBatch] = [stream(step).to(device) for step in range(steps + 2)]
        theirs = [published_batch(stream(step)).to(device) for step in range(steps + 2)]
        reference = nn.ModuleDict({"encoder": model["encoder"], "projection": objective.heads["projection"]})

        def their_loss(m: Any, batch: PublishedBatch) -> Tensor:
            return published_loss(m, batch, blocks)

        with torch.no_grad(), without_dropout(model):
            ours_values = [objective.loss(model, batch).item() for batch in ours_batches]
            their_values = [their_loss(reference, batch).item() for batch in theirs]
        apart = float(np.abs(np.subtract(ours_values, their_values)).max())
        if apart > 1e-5:
            raise SystemExit(f"the two steps do not compute the same loss: they differ by {apart:.1e}")
        timed = range(1, steps + 1)
        their_counts = counted(reference, [partial(their_loss, reference, theirs[step]) for step in timed])
        our_counts = counted(model, [partial(objective.loss, model, ours_batches[step]) for step in timed])
        rows = []
        for _ in range(rounds):
            row = [timed_loop(reference, theirs, their_loss, steps, precision, fused=False)]
            row.append(timed_phase(model, stream, objective.loss, learning, steps, precision))
            model.requires_grad_(True)
            row.append(timed_loop(model, ours_batches, objective.loss, steps, precision))
            rows.append(row)
        seconds = np.array(rows) / steps  # (rounds, sides, clocks)
        published, ours, core = np.median(seconds, axis=0)
        main = counting()
        table.append(
            {
                "batch": size,
                "ratio": published[main] / ours[main],
                "rest_of_step": float(np.median(seconds[:, 1, main] / seconds[:, 2, main])) - 1,
                "clock": ("wall", "process")[main],
                "ratio_wall": published[WALL] / ours[WALL],
                "ratio_process": published[PROCESS] / ours[PROCESS],
                "published_s": published[main],
                "ours_s": ours[main],
                "forward_backward_optimiser_s": core[main],
                "loss_difference": apart,
                "published_tensor_calls": their_counts[0],
                "published_host_waits": their_counts[1],
                "our_tensor_calls": our_counts[0],
                "our_host_waits": our_counts[1],
                "padding_efficiency": efficiency(src, tgt, size, device.type == "cpu"),
                "padding_efficiency_of_whole_batches": efficiency(src, tgt, size, False),
            }
        )
        row = table[-1]
        print(
            f"batch {size}: published {1e3 * row['published_s']:.0f} ms ({row['published_tensor_calls']:.0f} tensor "
            f"calls, {row['published_host_waits']:.0f} host waits), ours {1e3 * row['ours_s']:.0f} ms "
            f"({row['our_tensor_calls']:.0f}, {row['our_host_waits']:.0f}), ratio {row['ratio']:.1f} by the "
            f"{row['clock']} clock (wall {row['ratio_wall']:.1f}); rest of our step {row['rest_of_step']:.1%} of "
            f"forward + backward + optimiser; same loss to {apart:.0e}; padding efficiency "
            f"{row['padding_efficiency']:.3f} (whole batches {row['padding_efficiency_of_whole_batches']:.3f})",
            flush=True,
        )
    return table


def compare_front(rounds: int, steps: int, batch: int, name: str = "starter") -> Any:
    """Front-freezing with embeddings that learn against cached states of a front that is frozen whole."""
    encoder = load_encoder(name)
    src, tgt, links = read_texts(encoder.tokenizer)
    pad = encoder.tokenizer.pad_token_id
    chosen = np.random.default_rng(0).permutation(len(src))[: steps * batch]
    lengths = np.maximum(src.lengths, tgt.lengths)
    # One epoch: every pair once, in batches of like length.
    plan = chosen[np.argsort(lengths[chosen], kind="stable")].reshape(steps, batch)
    plan = plan[np.random.default_rng(1).permutation(steps)]
    stream = PairStream(src, tgt, links, plan, pad)
    compact_embeddings(encoder.model, [src.ids, tgt.ids])
    half = encoder.layers // 2
    sides: dict[str, list[float]] = {"uncached": [], "filling": [], "cached": []}
    main = counting()
    for _ in range(rounds):
        for side in ("uncached", "cached"):
            freeze = f"blocks 1-{half}" if side == "uncached" else "front"
            objective, model, learning = with_objective(encoder.model, freeze)
            with tempfile.TemporaryDirectory() as folder:
                if side == "uncached":
                    batches, loss = stream, objective.loss
                else:
                    start = clock()
                    cache = FrontCache(encoder.model, half, Path(folder), 1 << 33, pad)
                    batches, loss = front_stream(stream, cache), front_loss(objective, cache)
                    sides["filling"].append(float((clock() - start)[main]))

                # The first step warms up and is left out; it comes again at the end, so that all count once.
                def again(step: int, batches: Any = batches) -> Any:
                    return batches(step % steps)

                sides[side].append(float(timed_phase(model, again, loss, learning, steps, "fp32")[main]))
    medians = {name: statistics.median(values) for name, values in sides.items()}
    row = {
        "batch": batch,
        "steps_an_epoch": steps,
        "uncached_s": medians["uncached"],
        "filling_s": medians["filling"],
        "cached_s": medians["cached"],
        "first_epoch": medians["uncached"] / (medians["filling"] + medians["cached"]),
        "later_epochs": medians["uncached"] / medians["cached"],
    }
    print(
        f"front cached, batch {batch}: an epoch of {steps} steps {row['uncached_s']:.1f} s uncached, filling "
        f"{row['filling_s']:.1f} s, cached {row['cached_s']:.1f} s: first epoch {row['first_epoch']:.2f} times as "
        f"fast, later ones {row['later_epochs']:.2f}",
        flush=True,
    )
    return row


def published_budget(steps: int) -> Any:
    """Pairs a second of ours on a GPU, and what the published budget takes."""
    tokenizer = load_encoder("starter").tokenizer
    src, tgt, links = read_texts(tokenizer)
    ids = np.unique(np.concatenate([src.ids, tgt.ids, [tokenizer.pad_token_id]]))
    pad = int(np.searchsorted(ids, tokenizer.pad_token_id))
    src, tgt = renumber(src, ids), renumber(tgt, ids)
    plan = plan_steps([0] * len(src), np.maximum(src.lengths, tgt.lengths), steps + 2, PAIRS, 0, "benchmark")
    stream = PairStream(src, tgt, links, plan, pad)
    objective, model, learning = with_objective(random_encoder(12, 768, len(ids), pad))
    seconds = float(timed_phase(model, stream, objective.loss, learning, steps, "auto")[WALL]) / steps
    subwords = float((src.lengths[plan] + tgt.lengths[plan]).sum(axis=1).mean())
    weights = sum(p.numel() for n, p in model.named_parameters() if "embeddings" not in n)
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in PEAK.items() if key in name), None)
    row = {
        "device": name,
        "pairs_per_s": PAIRS / seconds,
        "minutes_for_published_budget": STEPS * seconds / 60,
        "share_of_peak": 6 * weights * subwords / seconds / peak if peak else None,
    }
    share = f"{row['share_of_peak']:.1%}" if peak else "unknown"
    print(
        f"{name}: {row['pairs_per_s']:.0f} pairs/s, share of peak {share}; {STEPS} steps × {PAIRS} pairs take "
        f"{row['minutes_for_published_budget']:.1f} minutes (XLM-R base's shape)",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--parts", default="step,front,budget")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="of ours in a round")
    parser.add_argument("--batches", default="16,64")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "auto"))
    arguments = parser.parse_args()
    parts, found = arguments.parts.split(","), {}
    found["about"] = {"command": " ".join(sys.argv), "torch": torch.__version__, "threads": torch.get_num_threads()}
    if "step" in parts:
        sizes = tuple(map(int, arguments.batches.split(",")))
        shape = (arguments.blocks, arguments.width, arguments.precision)
        found["step"] = compare_steps(sizes, arguments.rounds, arguments.steps, *shape)
    if "front" in parts:
        found["front"] = compare_front(arguments.rounds, arguments.steps, PAIRS)
    if "budget" in parts and torch.cuda.is_available():
        found["budget"] = published_budget(50)
    elif "budget" in parts:
        print("no GPU here: the published budget is not measured", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
