"""Long runs: memory stays flat over steps, over lines that are aligned, and grows by a known little with rows."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from harness import Fault, Outcome, cli, fork, last_line
from verbs import finished

STEPS, WARM, EVERY = 5000, 500, 25
LEAKING = 750  # steps of the training that shows what the bound notices
STEP_BOUND = 100.0  # bytes a step; a loss kept by mistake costs more, see `steps`
ROWS = (2500, 5000, 10_000)
ROW_BOUND = 3_000.0  # bytes a row, page and statistics together
PAIRS, LINE_BOUND = 30_000, 20.0  # bytes a line: less than a list of them would cost
PAGE_BOUND = 8 << 20  # bytes of a page that a browser opens without waiting


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _in_use() -> int:
    """`resident`, without what is free but not given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    return resident()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _slope(values: Sequence[float], at: Sequence[float] | None = None) -> float:
    """By least squares."""
    return float(np.polyfit(np.arange(len(values)) if at is None else at, values, 1)[0])


def steps(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """A training of 5,000 steps; and one that keeps the loss of every step, which the bound must notice."""
    if fast or not Path("/proc/self/statm").is_file():
        return
    data = finished(scratch.parent / "finished")
    flat = _trained(data, scratch / "flat", STEPS, leak=False)
    yield Outcome(f"{STEPS} steps", flat < STEP_BOUND, f"{flat:.0f} bytes a step")
    leaking = _trained(data, scratch / "leaking", LEAKING, leak=True)
    yield Outcome("a kept loss is noticed", leaking > STEP_BOUND, f"{leaking:.0f} bytes a step")


def _trained(data: Path, folder: Path, count: int, leak: bool) -> float:
    """Slope of memory over the steps of a realignment after warming up, in bytes a step.

    What the allocator holds free is given back before each look: only what is in use can show.
    """
    folder.mkdir()
    ended = fork(functools.partial(_train, data, folder, count, leak), folder=folder, limit=1800)
    if ended.code:
        raise RuntimeError(f"the training itself failed: {last_line(ended)}")
    return _slope(json.loads((folder / "seen.json").read_text("utf-8"))[WARM // EVERY :]) / EVERY


def _train(data: Path, folder: Path, count: int, leak: bool) -> None:
    from xrealign.align.aligned import read_aligned
    from xrealign.model.encoder import load_encoder
    from xrealign.train import loop
    from xrealign.train import step_gradients as gradients
    from xrealign.train.realign import RealignSettings, realign

    texts = read_aligned(next((data / "runs" / "align").iterdir()))
    seen, kept = np.zeros(count // EVERY), []  # room for all samples is taken before the first
    track, gradient = loop.track, gradients._gradient

    def sampled(items: range, *rest: object, **more: object) -> Iterator[int]:
        for place, item in enumerate(track(items, *rest, **more)):
            if place % EVERY == 0:
                seen[place // EVERY] = _in_use()
            yield item

    def keeps(*given: object) -> object:
        kept.append(gradient(*given))
        return kept[-1]

    loop.track, gradients._gradient = sampled, keeps if leak else gradient
    settings = RealignSettings(
        steps=count, batch_size=2, max_length=16, freeze="none", checkpoint_every=1000, learning_rate=1e-4
    )
    realign(load_encoder(str(_short(data / "encoder", folder / "encoder"))), texts, settings, folder / "work", seed=3)
    (folder / "seen.json").write_text(json.dumps(seen.tolist()), "utf-8")


def _short(encoder: Path, folder: Path) -> Path:
    """The encoder with its first block only: what a step keeps is the same, and takes half the time."""
    shutil.copytree(encoder, folder)
    raw = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(raw | {"num_hidden_layers": 1}), "utf-8")
    return folder


def rows(scratch: Path, fast: bool) -> Iterator[Outcome]:
    """Tables, statistics and pages of up to 10,000 rows of scores."""
    if fast or not Path("/proc/self/statm").is_file():
        return
    for name, call in {"report": _report, "compare --format html": _compare, "report table": _table}.items():
        peaks, seconds, page = [], 0.0, 0
        for count in ROWS:
            folder = scratch / f"{name.split()[-1]}-{count}"
            folder.mkdir()
            ended = fork(functools.partial(_measured, call, count, folder), folder=folder, limit=300)
            if ended.code:
                yield Outcome(f"{name}, {count} rows", False, last_line(ended))
                return
            peak, seconds, page = json.loads((folder / "seen.json").read_text("utf-8"))
            peaks.append(peak)
        slope = _slope(peaks, ROWS)
        told = f"{slope:,.0f} bytes a row; {ROWS[-1]} rows: {peaks[-1] >> 20} MiB, {seconds:.1f} s, {page >> 10} KiB"
        yield Outcome(name, slope < ROW_BOUND and page < PAGE_BOUND, told)


def _measured(call: Callable[[int, Path], Path], count: int, folder: Path) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew
    before, begun = resident(), time.process_time()
    page = call(count, folder)
    told = (_peak() - before, time.process_time() - begun, page.stat().st_size)
    (folder / "seen.json").write_text(json.dumps(told), "utf-8")


ISOS = """eng deu fra spa ita por nld swe dan fin est hun pol ces slk slv hrv bul rus ukr lit lav ell tur heb arb fas
urd hin ben guj mar tel mal kan tam sin mya khm lao tha zho jpn kor vie ind swh yor zul amh"""
METHODS = ("baseline", "centred", "control", "realigned")


def _tags() -> list[str]:
    from xrealign.language import parse_language

    return [parse_language(iso).tag for iso in ISOS.split()]


def _seeds(count: int) -> list[object]:
    """Rows of four methods in 50 languages by two metrics, with as many seeds as it takes: 25 for 10,000."""
    from xrealign.types import Score

    drawn = np.random.default_rng(5)
    every = itertools.product(range(count), METHODS, _tags(), ("accuracy", "macro_f1"))
    return [
        Score("big", method, "intents", tag, metric, float(drawn.uniform()), 100, seed)
        for seed, method, tag, metric in itertools.islice(every, count)
    ]


def _layers(count: int) -> list[object]:
    """One seed of the same, and retrieval at as many layers as it takes: 25 for 10,000."""
    from xrealign.types import Score

    drawn = np.random.default_rng(6)
    kinds = itertools.product(
        range(count), ("sentence-retrieval", "word-retrieval"), METHODS, _tags()[1:], ("raw", "centred")
    )
    return _seeds(len(METHODS) * 100) + [
        Score("big", method, task, tag, "accuracy", float(drawn.uniform()), 60, 0, layer, variant)
        for layer, task, method, tag, variant in itertools.islice(kinds, count - len(METHODS) * 100)
    ]


def _report(count: int, folder: Path) -> Path:
    from xrealign.report import write_report

    groups = {"source": ["eng_Latn"], "in the subset": ["deu_Latn", "tur_Latn"]}
    return write_report(_layers(count), groups, {"run": "big", "source": "eng_Latn"}, folder / "page")


def _compare(count: int, folder: Path) -> Path:
    from xrealign.report.scores import write_scores

    write_scores(_seeds(count), folder / "scores.parquet")
    _quietly(cli("compare", folder / "scores.parquet", "--format", "html", "-o", folder / "page.html"))
    return folder / "page.html"


def _table(count: int, folder: Path) -> Path:
    from xrealign.report.scores import write_scores

    write_scores(_seeds(count), folder / "scores.csv")
    _quietly(cli("report", "table", folder / "scores.csv", "--rows", "method,language", "-o", folder / "table.md"))
    return folder / "table.md"


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except SystemExit as end:
        if end.code:
            raise


def lines(scratch: Path, fast: bool, count: int = PAIRS) -> Iterator[Outcome]:
    """Aligning a long file: memory after the first chunks stays where it is."""
    from xrealign.align.files import CHUNK

    if fast or not Path("/proc/self/statm").is_file():
        return
    data = finished(scratch.parent / "finished")
    pairs = (data / "eng-swh.tsv").read_text("utf-8").splitlines()
    words = [row.split("\t") for row in pairs]
    with (scratch / "long.tsv").open("w", encoding="utf-8") as file:
        for number in range(count):  # a piece of some length of a pair, another each time
            src, tgt = (side.split()[number % 5 : number % 5 + 3 + number % 7] for side in words[number % len(words)])
            file.write(f"{' '.join(src) or 'a'}\t{' '.join(tgt) or 'b'}\n")
    model = fork(
        cli("align", "train", data / "words.tsv", "-o", scratch / "model", "--aligner", "ibm1"), folder=scratch
    )
    if model.code:
        yield Outcome("model", False, last_line(model))
        return
    ways = {
        "statistical": ("--model", scratch / "model", "--aligner", "ibm1"),
        "vectors": ("--encoder", data / "encoder", "--layer", "1"),
    }
    for name, options in ways.items():
        seen = scratch / f"{name}.json"
        call = cli("align", "long.tsv", "-o", f"{name}.txt", *options)
        ended = fork(functools.partial(_sampled_chunks, call, seen), folder=scratch, limit=900)
        if ended.code:
            yield Outcome(name, False, last_line(ended))
            continue
        samples = json.loads(seen.read_text("utf-8"))
        late = samples[len(samples) // 4 :]  # one sample for each chunk
        slope = _slope(late) / CHUNK
        told = f"{slope:.1f} bytes a line over {count:,} lines, {(max(late) - min(late)) >> 10} KiB apart"
        yield Outcome(name, slope < LINE_BOUND, told)


def _sampled_chunks(call: Callable[[], object], seen: Path) -> None:
    """Memory at each chunk, which is when progress is kept."""
    from xrealign.align import files

    samples: list[int] = []
    keep = files._keep

    def sampled(*given: object) -> None:
        samples.append(resident())
        keep(*given)

    files._keep = sampled
    _quietly(call)
    seen.write_text(json.dumps(samples), "utf-8")


def _figures(outcomes: Sequence[Outcome]) -> str:
    return "; ".join(f"{one.case}: {one.detail}" for one in outcomes)


FAULTS = (
    Fault("memory over 5,000 steps", f"below {STEP_BOUND:.0f} bytes a step", steps, _figures),
    Fault("memory over 10,000 report rows", f"below {ROW_BOUND:,.0f} bytes a row", rows, _figures),
    Fault("memory over lines that are aligned", f"below {LINE_BOUND:.0f} bytes a line", lines, _figures),
)
