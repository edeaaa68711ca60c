"""Running another program over a bitext: its input, the call, and a check of the links it wrote. No torch."""

from __future__ import annotations

import hashlib
import subprocess
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.align.statistical_model import LONGEST
from xrealign.errors import ConfigError, DataError, ExternalToolError
from xrealign.progress import say
from xrealign.refusals import telling

BARS, SRC, TGT, FORWARD, BACKWARD = "bars", "src", "tgt", "forward", "backward"
LAST_BYTES = 4000  # of a program's error text
Array = np.ndarray[Any, Any]
Pair = tuple[Sequence[str], Sequence[str]]


def run_tool(
    runs: Sequence[Sequence[str]], paths: Sequence[Path], pairs: Iterable[Pair], folder: Path, work: Path
) -> Mapping[str, Any]:
    """Runs a program over a bitext and keeps its links, checked, beside the digests of the pairs."""
    files = {name: work / f"{name}.txt" for name in (BARS, SRC, TGT, FORWARD, BACKWARD)}
    for name in (FORWARD, BACKWARD):
        files[name].unlink(missing_ok=True)
    lengths, digests = _write_input(pairs, files)
    if not digests:
        raise DataError("no sentence pairs to align")
    for run, path, name in zip(runs, paths, (FORWARD, BACKWARD), strict=False):
        words = [str(path), *(_filled(word, files) for word in run[1:])]
        prints = not any(f"{{{key}}}" in word for word in run for key in (FORWARD, BACKWARD))
        say(f"  {path.name}: {len(digests)} sentence pairs")
        _call(words, files[name] if prints else work / "printed.txt", work)
    kept = [name for name in (FORWARD, BACKWARD) if files[name].exists()]
    if not kept:
        raise ExternalToolError(paths[0].name, 0, "it wrote no links")
    arrays: dict[str, Array] = {}
    for name in kept:
        arrays[name] = _check_links(files[name], lengths, paths[0].name)
        files[name].replace(folder / files[name].name)
    arrays["order"] = np.argsort(np.frombuffer(digests, dtype=np.uint64), kind="stable")
    arrays["digests"] = np.frombuffer(digests, dtype=np.uint64)[arrays["order"]]
    for name, values in arrays.items():
        with telling(folder / f"{name}.npy", size=values.nbytes):
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
    return {"pairs": len(digests), "links": kept}


def _write_input(pairs: Iterable[Pair], files: Mapping[str, Path]) -> tuple[array[int], array[int]]:
    """Writes the words as numbers; lengths of both sides by turns, and a digest of each pair."""
    lengths, digests = array("H"), array("Q")
    numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
    with (
        telling(files[BARS].parent),
        files[BARS].open("w") as bars,
        files[SRC].open("w") as src,
        files[TGT].open("w") as tgt,
    ):
        for pair in pairs:
            if not pair[0] or not pair[1]:
                continue
            sides = [
                " ".join(str(known.setdefault(word.lower(), len(known))) for word in side[:LONGEST])
                for side, known in zip(pair, numbers, strict=True)
            ]
            bars.write(f"{sides[0]} ||| {sides[1]}\n")
            src.write(f"{sides[0]}\n")
            tgt.write(f"{sides[1]}\n")
            lengths.extend(min(len(side), LONGEST) for side in pair)
            digests.append(pair_digest(*pair))
    return lengths, digests


def pair_digest(src: Sequence[str], tgt: Sequence[str]) -> int:
    """64 bits that tell pairs apart, whatever is in the words."""
    text = repr((list(src), list(tgt))).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _filled(word: str, files: Mapping[str, Path]) -> str:
    for name, path in files.items():
        word = word.replace(f"{{{name}}}", str(path.resolve()))
    return word


def _call(words: Sequence[str], printed: Path, work: Path) -> None:
    """Runs one command to its end; if we are stopped, so is it.

    Raises:
        ExternalToolError: it failed; quotes the last lines of its error text.
        ConfigError: it cannot be started.
    """
    told = work / "stderr.txt"
    with printed.open("wb") as out, told.open("wb") as errors:
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=work)
        except OSError as error:
            raise ConfigError(f"{words[0]} cannot be started: {error.strerror or error}") from None
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code:
        raise ExternalToolError(Path(words[0]).name, code, _last_lines(told))


def _last_lines(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BYTES))
        return file.read().decode("utf-8", "replace")


def _check_links(path: Path, lengths: array[int], program: str) -> Array:
    """Where each line ends in a file of links.

    Raises:
        DataError: a line is no links, or points outside its sentences, or there are too few or too many lines.
    """
    ends: list[int] = []
    place = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            place += len(line)
            if number * 2 > len(lengths):
                raise DataError(f"{program} wrote more lines than the {len(lengths) // 2} sentence pairs it got", path)
            height, width = lengths[2 * number - 2], lengths[2 * number - 1]
            links = parse_links(line)
            if links is None:
                raise DataError(f"{program} wrote {line[:40]!r}, expected links: 0-0 1-2", path, number)
            if len(links) and (links.min() < 0 or (links >= (height, width)).any()):
                raise DataError(
                    f"{program} wrote {line[:40]!r}, links outside sentences of {height} and {width} words",
                    path,
                    number,
                )
            ends.append(place)
    if 2 * len(ends) != len(lengths):
        raise DataError(f"{program} wrote {len(ends)} lines for {len(lengths) // 2} sentence pairs", path)
    return np.array(ends, dtype=np.int64)


def parse_links(line: bytes) -> Array | None:
    try:
        pairs = [tuple(map(int, item.split(b"-"))) for item in line.split()]
        return np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
    except ValueError:
        return None
