"""AER of the statistical aligners, trained on the parallel text at hand, over gold alignments; their speed and memory.

    XREALIGN_DATA=FOLDER python benchmarks/align_statistical.py [--models hmm-agreement,fast-align] [--tools eflomal]
    XREALIGN_DATA=FOLDER python benchmarks/align_statistical.py --speed 2000,10000,50000

Training text of each pair: the gold set's own sentences (no links are read), NTREX (1,997 lines), TICO-19 (3,071 lines)
where it has the language, and Tatoeba (up to 1,000). Words are split where the gold standards split them: at blanks and
punctuation, clitics after or before an apostrophe by themselves; Chinese and Japanese by ICU's dictionary, or with
--words gold by the longest match with the gold text's own words, else character by character. Prints Markdown tables.
With --speed, English with lines of many NTREX languages stands for a bitext of so many pairs; time is processor time
of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import regex

from xrealign.align.external import external_recipe
from xrealign.align.linker import Linker
from xrealign.align.score import link_counts, measures, read_gold
from xrealign.align.score import words as split
from xrealign.align.statistical import MODELS, statistical_recipe, train_statistical
from xrealign.align.statistical_model import POSTERIOR
from xrealign.align.symmetrize import SYMMETRIZATIONS
from xrealign.language import parse_language
from xrealign.paths import data_folder
from xrealign.segment import find_spans
from xrealign.textio import nfc, read_lines
from xrealign.types import WordAlignment

CHOOSE = ("deu-eng", "eng-ces", "eng-hin", "jpn-eng")
CONFIRM = ("eng-fra", "eng-spa", "ron-eng", "zho-eng")
NTREX = {"zho": "zho-CN"}
TICO = {"fra": "fr", "hin": "hi", "spa": "es-419", "zho": "zh"}
TATOEBA = {"zho": "cmn"}
WITHOUT_BLANKS = {"zho": "zho_Hans", "jpn": "jpn_Jpan"}
WORD = regex.compile(
    r"['’](?:s|ll|re|ve|m|d)\b|[\p{L}\p{M}\p{N}]+['’](?=\p{L}{3,})|[\p{L}\p{M}\p{N}]+|[^\s\p{Z}\p{C}]", regex.I
)
Pair = tuple[list[str], list[str]]


@cache
def pack(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile() and m.name.rpartition("/")[2]}


def lines(data: bytes) -> list[str]:
    return [nfc(line) for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="\n").read().split("\n")]


def find_words(text: str, language: str, known: set[str], how: str) -> list[str]:
    if language not in WITHOUT_BLANKS:
        return WORD.findall(text)
    if how == "icu":
        return [text[a:b] for a, b in find_spans(text, parse_language(WITHOUT_BLANKS[language])).tolist()]
    found, place = [], 0
    while place < len(text):
        size = next((n for n in range(8, 1, -1) if text[place : place + n] in known), 1)
        latin = regex.compile(r"[\p{Latin}\p{N}]+").match(text, place)
        size = max(size, latin.end() - place) if latin else size
        if not text[place].isspace():
            found.append(text[place : place + size])
        place += size
    return found


def gold_text(path: Path) -> list[Pair]:
    cells = [line.split("\t") for _, line in read_lines(path)]
    return [(split(cell[0]), split(cell[1])) for cell in cells]


def training_text(data: Path, pair: str, how: str) -> list[Pair]:
    """The gold set's own text first, then what else there is; English on the side where the gold set has it."""
    src, tgt = pair.split("-")
    other = src if tgt == "eng" else tgt
    own = gold_text(data / "starter" / "alignments" / f"{pair}.tsv")
    ntrex, tico, tatoeba = (pack(data / "packs" / f"{name}.tar.xz") for name in ("ntrex", "tico19", "tatoeba_laser"))
    news = "ntrex/NTREX-128/newstest2019-"
    texts = [(ntrex[f"{news}src.eng.txt"], ntrex[f"{news}ref.{NTREX.get(other, other)}.txt"])]
    if other in TICO:
        texts.append((tico["tico19/en.txt"], tico[f"tico19/{TICO[other]}.txt"]))
    stem = f"tatoeba_laser/data/tatoeba/v1/tatoeba.{TATOEBA.get(other, other)}-eng."
    texts.append((tatoeba[f"{stem}eng"], tatoeba[stem + TATOEBA.get(other, other)]))
    known = {word for sides in own for word in sides[src == "eng"]}
    found = list(own)
    for english, theirs in texts:
        for a, b in zip(lines(english), lines(theirs), strict=True):
            sides = find_words(a, "eng", known, how), find_words(b, other, known, how)
            if all(sides):
                found.append(sides[::-1] if src == other else sides)
    return found


def error_rate(gold: list[WordAlignment], linker: Linker, text: list[Pair]) -> float:
    linked = linker.link([src for src, _ in text], [tgt for _, tgt in text])
    found = [frozenset(map(tuple, each.links.tolist())) for each in linked.found]
    return 100 * float(measures(link_counts(gold, found).sum(0, keepdims=True))[0, 3])


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]) + "\n"


def quality(data: Path, models: list[str], tools: list[str], how: str) -> None:
    from align_gold import bounds  # brings torch

    pairs = [*CHOOSE, *CONFIRM]
    errors: dict[str, list[float]] = {}
    sizes = []
    for pair in pairs:
        path = data / "starter" / "alignments" / f"{pair}.tsv"
        gold, own, text = read_gold(path), gold_text(path), training_text(data, pair, how)
        sizes.append(f"{pair} {len(text):,}")
        with tempfile.TemporaryDirectory() as name:
            for model in models:
                train_statistical(text, Path(name), model)
                for symmetrization in (*SYMMETRIZATIONS, POSTERIOR):
                    linker = statistical_recipe(Path(name), symmetrization).open()
                    errors.setdefault(f"{model}, {symmetrization}", []).append(error_rate(gold, linker, own))
            for tool in tools:
                digest = hashlib.sha256(repr(text).encode()).hexdigest()
                for symmetrization in SYMMETRIZATIONS:
                    recipe = external_recipe(tool, lambda text=text: text, digest, Path(name), None, symmetrization)
                    key = f"{tool} (the program), {symmetrization}"
                    errors.setdefault(key, []).append(error_rate(gold, recipe.open(), own))
        for label, value in zip(("diagonal", "random"), bounds(gold), strict=True):
            errors.setdefault(label, []).append(100 * value)
    rows = [
        [label, *(f"{v:.1f}" for v in values), *(f"{np.mean(half):.1f}" for half in (values[:4], values[4:]))]
        for label, values in errors.items()
    ]
    print(f"Training pairs: {', '.join(sizes)}.\n")
    print(table(["AER, %", *pairs, "mean, choosing", "mean, confirming"], rows))


def measure(data: Path, model: str, count: int) -> None:
    """One row of the table of speed; run in a process of its own, so that the peak memory is its own."""
    ntrex = pack(data / "packs" / "ntrex.tar.xz")
    english = lines(ntrex["ntrex/NTREX-128/newstest2019-src.eng.txt"])
    names = sorted(name for name in ntrex if "NTREX-128/newstest2019-ref" in name and "eng" not in name)
    text: list[Pair] = []
    for name in names:
        text += [
            (WORD.findall(a), WORD.findall(b)) for a, b in zip(english, lines(ntrex[name]), strict=True) if a and b
        ]
        if len(text) >= count:
            break
    text = text[:count]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        facts = train_statistical(text, Path(folder), model, max_pairs=count)
        trained = time.process_time() - start
        linker, part = statistical_recipe(Path(folder)).open(), text[:2048]
        start = time.process_time()
        linker.link([src for src, _ in part], [tgt for _, tgt in part])
        linked = time.process_time() - start
        size = (Path(folder) / "model.npz").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells = [model, f"{facts['pairs_used']:,}", f"{facts['co_occurrences']:,}", f"{trained:.0f}",
             f"{facts['pairs_used'] / trained:,.0f}", f"{len(part) / linked:,.0f}", f"{before / 1024:,.0f}",
             f"{peak / 1024:,.0f}", f"{size / 2**20:.1f}"]  # fmt: skip
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--tools", default="")
    parser.add_argument("--words", default="icu", choices=["icu", "gold"])
    parser.add_argument("--speed", default="")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    models = [model for model in options.models.split(",") if model]
    if options.row:
        measure(data, models[0], int(options.speed))
    elif options.speed:
        head = ["model", "pairs", "co-occurrences", "training, CPU s", "training, pairs/CPU s", "aligning, pairs/CPU s",
                "memory before, MiB", "peak, MiB", "model file, MiB"]  # fmt: skip
        print(table(head, []), end="", flush=True)
        for model in models:
            for count in options.speed.split(","):
                subprocess.run([sys.executable, __file__, "--row", "--models", model, "--speed", count], check=True)
    else:
        quality(data, models, [tool for tool in options.tools.split(",") if tool], options.words)


if __name__ == "__main__":
    main()
