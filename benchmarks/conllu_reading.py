"""How fast CoNLL-U is read, beside the `conllu` package, and whether both find the same words and tags.

    python benchmarks/conllu_reading.py FILE...          (or with XREALIGN_DATA set: the data pack's treebanks)

Each file is read in turn by both, several times; the processor time of the fastest reading counts.
"""

from __future__ import annotations

import argparse
import os
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import conllu

from xrealign.tasks.readers_conllu import read_conllu

Sentences = list[tuple[tuple[str, ...], tuple[str, ...]]]


def ours(path: Path) -> Sentences:
    return [(example.words, example.tags) for example in read_conllu(path)]


def theirs(path: Path) -> Sentences:
    sentences = []
    for sentence in conllu.parse(path.read_text("utf-8")):
        words = [token for token in sentence if isinstance(token["id"], int)]
        forms = tuple(unicodedata.normalize("NFC", token["form"]) for token in words)
        sentences.append((forms, tuple(token["upos"] for token in words)))
    return sentences


def seconds(read: Callable[[Path], object], path: Path, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        read(path)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    pack = os.environ.get("XREALIGN_DATA")
    files = arguments.files or (sorted(Path(pack, "starter", "pos").glob("*.conllu")) if pack else [])
    if not files:
        parser.error("name files, or set XREALIGN_DATA to the data pack")
    words, mine, other, differ = 0, 0.0, 0.0, []
    for path in files:
        sentences = ours(path)
        words += sum(len(sentence) for sentence, _ in sentences)
        if sentences != theirs(path):
            differ.append(path)
        mine += seconds(read_conllu, path, arguments.times)
        other += seconds(lambda p: conllu.parse(p.read_text("utf-8")), path, arguments.times)
    print(f"{len(files)} files, {words} words; different results: {[str(path) for path in differ] or 'none'}")
    print(f"xrealign {mine:.3f} s, {words / mine / 1e6:.2f} million words a second")
    print(f"conllu   {other:.3f} s, {words / other / 1e6:.2f} million words a second; ratio {other / mine:.1f}")


if __name__ == "__main__":
    main()
