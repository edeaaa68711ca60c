"""The dictionary aligner on gold alignments: what each of its options gives, and what it costs.

    XREALIGN_DATA=FOLDER python benchmarks/align_dictionary.py [--repeat 20]

Every dictionary of the data pack that fits one of its gold sets, the one from the embedded CLDR names and keywords,
and all dictionaries of a gold set together; the published rule on single words first, then with phrases of several
words, lemmas, prefixes, and all of these. Prints a Markdown table. Microseconds are for one sentence pair on one core,
after a first run that fills the caches.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np

from xrealign.align.lexical import dictionary_links, dictionary_recipe
from xrealign.align.linker import Linked, Linker, ScoredLinks, Sentences
from xrealign.align.score import link_counts, measures, read_gold, words
from xrealign.corpus.dictionary import concept_dictionary, read_phrase_pairs
from xrealign.language import parse_language
from xrealign.paths import data_folder
from xrealign.textio import read_lines
from xrealign.types import WordAlignment

GOLD = {  # gold set -> its dictionaries, all of them English first
    "deu-eng": ("wiktionary/eng-deu.tsv", "xling_eval/eng-deu.test.tsv"),
    "eng-fra": ("xling_eval/eng-fra.test.tsv",),
    "zho-eng": ("wiktionary/eng-zho.tsv",),
    **dict.fromkeys(("eng-ces", "eng-hin", "eng-spa", "jpn-eng", "ron-eng"), ()),
}
OPTIONS = {
    "phrases": {},
    "+ lemma": {"lemma": True},
    "+ prefix": {"prefix": True},
    "+ lemma + prefix": {"lemma": True, "prefix": True},
}


def sentences(path: Path) -> tuple[Sentences, Sentences]:
    """The words of both sides of a gold set."""
    rows = [line.split("\t")[:2] for _, line in read_lines(path)]
    return [words(src) for src, _ in rows], [words(tgt) for _, tgt in rows]


def published(path: Path, reverse: bool) -> Linker:
    """The rule alone: entries of single, different words."""
    entries: dict[str, list[str]] = {}
    for src, tgt in read_phrase_pairs(path, reverse).pairs:
        if " " not in src and " " not in tgt and src.casefold() != tgt.casefold():
            entries.setdefault(src.casefold(), []).append(tgt.casefold())

    def link(src: Sentences, tgt: Sentences) -> Linked:
        found = dictionary_links(src, tgt, entries)
        return Linked([ScoredLinks(links, np.ones(len(links), np.float32)) for links in found])

    return Linker(link)


def concepts(code: str, path: Path) -> Path:
    """The embedded dictionary of English and another language as a file."""
    dictionary = concept_dictionary(parse_language("eng"), parse_language(code))
    lines = [f"{word}\t{found}\n" for word, several in dictionary.translations.items() for found in several]
    path.write_text("".join(lines), "utf-8")
    return path


def row(linker: Linker, gold: list[WordAlignment], src: Sentences, tgt: Sentences, repeat: int) -> list[str]:
    """Precision, recall, F1 and AER in percent, links a pair, precision by score, microseconds a pair."""
    found = linker.link(src, tgt).found
    start = time.perf_counter()
    for _ in range(repeat):
        linker.link(src, tgt)
    cost = (time.perf_counter() - start) / max(repeat, 1) / len(src)
    links = [frozenset(map(tuple, scored.links.tolist())) for scored in found]
    values = measures(link_counts(gold, links).sum(0, keepdims=True))[0]
    right: dict[float, list[bool]] = {}
    for pair, scored in zip(gold, found, strict=True):
        for link, score in zip(scored.links.tolist(), scored.scores.tolist(), strict=True):
            right.setdefault(score, []).append(tuple(link) in pair.links | pair.possible)
    by_score = ", ".join(f"{s:g}: {100 * np.mean(hits):.0f} of {len(hits)}" for s, hits in sorted(right.items())[::-1])
    count = sum(map(len, links)) / len(gold)
    return [*(f"{100 * value:.1f}" for value in values), f"{count:.2f}", by_score, f"{1e6 * cost:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    starter = data / "starter"
    head = ["gold", "dictionary", "options", "precision", "recall", "F1", "AER", "links a pair",
            "precision by score", "µs a pair"]  # fmt: skip
    print(f"| {' | '.join(head)} |\n|---|---|---|---:|---:|---:|---:|---:|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, files in GOLD.items():
            path = starter / "alignments" / f"{name}.tsv"
            gold, (src, tgt) = read_gold(path), sentences(path)
            codes = name.split("-")
            reverse = codes[0] != "eng"
            dictionaries = {file.split("/")[0]: starter / "dictionaries" / file for file in files}
            dictionaries["cldr"] = concepts(codes[0 if reverse else 1], Path(folder) / "cldr.tsv")
            if files:
                joined = Path(folder) / "all.tsv"
                joined.write_text("".join(p.read_text("utf-8") for p in dictionaries.values()), "utf-8")
                dictionaries["all"] = joined
            for title, dictionary in dictionaries.items():
                rows = {"published rule": published(dictionary, reverse)}
                for title_of, chosen in OPTIONS.items():
                    with redirect_stderr(io.StringIO()):
                        recipe = dictionary_recipe(dictionary, *map(parse_language, codes), reverse=reverse, **chosen)
                        rows[title_of] = recipe.open()
                for title_of, linker in rows.items():
                    cells = [name, title, title_of, *row(linker, gold, src, tgt, options.repeat)]
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
