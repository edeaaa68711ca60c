"""Aligning a file of any size: in chunks, with flat memory, resumable to the same bytes.

Output goes to a hidden file beside the target and is renamed when whole. Beside it a small file says how far it is
trusted; a killed run cuts the output back to there and goes on. Chunks begin at the same lines every time, so batches,
and with them the last bits of every number, are the same whether or not a run was interrupted. A pipe or a device is
written straight, and nothing of it can be resumed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from xrealign.align.filters import filter_links
from xrealign.align.linker import Linker, Recipe, ScoredLinks
from xrealign.align.pairs import Checked, Row, read_rows
from xrealign.align.reading import SPLIT, Reading
from xrealign.progress import say, track
from xrealign.refusals import is_special, telling
from xrealign.writing import alone, new_file, write_atomic

CHUNK = 2048


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What is written, and which links.

    Attributes:
        form: one of `OUTPUTS`.
        scores: pharaoh: write ``i-j:score``.
        base: number of the first word in pharaoh, 0 or 1.
        min_score, one_to_one, drop_identical: see `xrealign.align.filters.filter_links`.
    """

    form: str = "pharaoh"
    scores: bool = False
    base: int = 0
    min_score: float | None = None
    one_to_one: bool = False
    drop_identical: bool = False


@dataclass
class Totals:
    """What came out: pairs aligned, links written, lines skipped and links dropped by reason, words beyond the
    longest sentence, and the bytes of output they make."""

    lines: int = 0
    pairs: int = 0
    links: int = 0
    cut_words: int = 0
    size: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def align_file(
    paths: Sequence[Path],
    form: str,
    checked: Checked,
    out: Path,
    recipe: Recipe,
    files: FileSettings,
    reading: Reading = SPLIT,
) -> Totals:
    """Aligns all pairs of checked input and writes ``out``: one line for each line of input, in its order.

    Raises:
        ConfigError: another process writes the same file, or the aligner's settings do not fit its model.
        DataError: the input cannot be read any more.
        OutputError: the system refuses; what was trusted before is kept, and the same command goes on from there.
    """
    rows = track(read_rows(paths, form, None, reading), "align", checked.lines)
    if is_special(out):
        totals, linker = Totals(), recipe.open()
        with new_file(out) as file:
            _write(file, rows, totals, linker, files, file.flush)
        return totals
    final = Path(os.path.realpath(out))
    partial, progress = (final.with_name(f".{final.name}.{kind}") for kind in ("partial", "progress.json"))
    key = _key(checked, form, recipe, files, reading)
    with alone(final), telling(out, final) as refer:
        refer += [partial, progress]
        totals = _resumed(partial, progress, key)
        linker = recipe.open()
        try:
            with partial.open("r+b" if totals.lines else "wb") as file:
                file.truncate(totals.size)
                file.seek(totals.size)
                _write(file, rows, totals, linker, files, lambda: _keep(file, progress, key, totals))
            partial.replace(final)
            progress.unlink(missing_ok=True)
        finally:
            if not progress.is_file():  # nothing of it could be trusted
                partial.unlink(missing_ok=True)
    return totals


def _write(
    file: IO[bytes],
    rows: Iterator[Row],
    totals: Totals,
    linker: Linker,
    files: FileSettings,
    keep: Callable[[], None],
) -> None:
    done = totals.lines
    start = 0
    while chunk := list(islice(rows, CHUNK)):
        good = [row for row in chunk if not row.fault]
        src, tgt = [row.src for row in good], [row.tgt for row in good]
        if start == 0 and linker.prepare:
            linker.prepare(src, tgt)
        if start >= done:
            linked = linker.link(src, tgt)
            found = iter(linked.found)
            for row in chunk:
                file.write(write_line(row, None if row.fault else next(found), files, totals))
            totals.cut_words += linked.cut_words
            totals.lines += len(chunk)
            keep()
        start += len(chunk)


def write_line(row: Row, found: ScoredLinks | None, files: FileSettings, totals: Totals) -> bytes:
    """The line of output for a line of input, counted in ``totals``; ``found`` is None for a line that is skipped."""
    if found is None:
        totals.skipped[row.fault] += 1
        line = json.dumps({"skipped": row.fault}) if files.form == "jsonl" else ""
    else:
        links, scores, dropped = filter_links(
            found.links, found.scores, row.src, row.tgt, files.min_score, files.one_to_one, files.drop_identical
        )
        totals.dropped.update(dropped)
        totals.pairs += 1
        totals.links += len(links)
        line = OUTPUTS[files.form](row, ScoredLinks(links, scores), files)
    data = (line + "\n").encode()
    totals.size += len(data)
    return data


def _pharaoh(_row: Row, found: ScoredLinks, files: FileSettings) -> str:
    links = [f"{i}-{j}" for i, j in (found.links + files.base).tolist()]
    if files.scores:
        links = [f"{link}:{score:.6g}" for link, score in zip(links, found.scores.tolist(), strict=True)]
    return " ".join(links)


def _jsonl(row: Row, found: ScoredLinks, _files: FileSettings) -> str:
    scores = [float(f"{score:.6g}") for score in found.scores.tolist()]
    record = {"src": row.src, "tgt": row.tgt, "links": found.links.tolist(), "scores": scores}
    return json.dumps(record, ensure_ascii=False)


def _words(row: Row, found: ScoredLinks, _files: FileSettings) -> str:
    return "\t".join(f"{row.src[i]} {row.tgt[j]}" for i, j in found.links.tolist())


def _key(checked: Checked, form: str, recipe: Recipe, files: FileSettings, reading: Reading) -> str:
    parts = [checked.digest, form, reading.key(), recipe.key, asdict(files), CHUNK]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _keep(file: IO[bytes], progress: Path, key: str, totals: Totals) -> None:
    file.flush()
    os.fsync(file.fileno())
    write_atomic(progress, json.dumps({"key": key, "totals": vars(totals)}))


def _resumed(partial: Path, progress: Path, key: str) -> Totals:
    """How far an earlier run of the same command came; the beginning if there was none."""
    try:
        record = json.loads(progress.read_text("utf-8"))
        size = partial.stat().st_size
    except (OSError, ValueError):
        return Totals()
    if record.get("key") != key or size < record["totals"]["size"]:
        say(f"{partial} was made from other input or settings; starting anew")
        return Totals()
    totals = Totals(**record["totals"])
    totals.skipped, totals.dropped = Counter(totals.skipped), Counter(totals.dropped)
    say(f"going on after line {totals.lines}")
    return totals


OUTPUTS: Mapping[str, Callable[[Row, ScoredLinks, FileSettings], str]] = {
    "pharaoh": _pharaoh,
    "jsonl": _jsonl,
    "words": _words,
}
