"""AER before and after fine-tuning the aligner's encoder on parallel text, one multilingual model for all pairs.

    XREALIGN_DATA=FOLDER OMP_NUM_THREADS=1 python benchmarks/align_tuned.py [--objective so --steps 150 …] [--confirm]

Training text: NTREX-128, TICO-19 and the embedded Universal Declaration in the languages of the gold sets; sentences of
the gold sets are not trained on, and training pairs that repeat one of them are left out and counted. Settings are for
choosing on CHOOSE; ``--confirm`` reads the other gold sets too, once everything is chosen. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from align_gold import CHOOSE, CONFIRM, aer, table
from xrealign.align.embedding import Units, units
from xrealign.align.extract import AlignSettings
from xrealign.align.score import read_gold, words
from xrealign.corpus.embedded import bitext, udhr_segments
from xrealign.language import parse_language
from xrealign.model.encoder import Encoder, load_encoder
from xrealign.model.layers import hidden_state
from xrealign.model.words import encode_texts, length_batches, make_batch
from xrealign.paths import data_folder
from xrealign.segment import find_spans, spans_of_words
from xrealign.textio import nfc, read_lines
from xrealign.train.tune import TuneSettings, parse_objectives, tune_aligner

NTREX = {"deu": "ref.deu", "ces": "ref.ces", "hin": "ref.hin", "jpn": "ref.jpn", "fra": "ref.fra", "spa": "ref.spa",
         "ron": "ref.ron", "zho": "ref.zho-CN", "eng": "src.eng"}  # fmt: skip
TICO = {"fra": "fr", "spa": "es-419", "hin": "hi", "zho": "zh", "eng": "en"}
LAYER = 7
LONGEST = 30  # words of a side
READINGS = {
    "softmax, as recommended": AlignSettings("softmax", LAYER, "subword", centre=True, threshold=0.3, temperature=2.0),
    "softmax, raw": AlignSettings("softmax", LAYER, "subword", threshold=0.3, temperature=2.0),
    "argmax, words": AlignSettings("argmax", LAYER, "word", centre=True),
}
Pair = tuple[list[str], list[str]]


def texts_of(pack: Path, members: dict[str, str]) -> dict[str, list[str]]:
    """Lines of a pack's files by language, in one pass over it."""
    wanted = {name: code for code, name in members.items()}
    found = {}
    with tarfile.open(pack) as archive:
        for entry in archive:
            if entry.name in wanted:
                lines = io.TextIOWrapper(archive.extractfile(entry), "utf-8", newline="\n")  # type: ignore[arg-type]
                found[wanted[entry.name]] = [nfc(line.rstrip("\n")) for line in lines]
    return found


def split(text: str, code: str) -> list[str]:
    return [text[a:b] for a, b in find_spans(text, parse_language(code)).tolist()]


def key_of(sentence: list[str]) -> str:
    return "".join(sentence).casefold()


def training_pairs(data: Path) -> tuple[list[Pair], list[str], Counter[str]]:
    """Pairs in the direction of the gold sets, which pair of languages each is of, and what was left out."""
    packs = [
        texts_of(
            data / "packs" / "ntrex.tar.xz", {c: f"ntrex/NTREX-128/newstest2019-{n}.txt" for c, n in NTREX.items()}
        ),
        texts_of(data / "packs" / "tico19.tar.xz", {c: f"tico19/{n}.txt" for c, n in TICO.items()}),
    ]
    known = {key_of(side) for pair in (*CHOOSE, *CONFIRM) for side in (s for p in gold_words(data, pair) for s in p)}
    pairs, groups, dropped = [], [], Counter[str]()
    for name in (*CHOOSE, *CONFIRM):
        src, tgt = name.split("-")
        texts = [pair for texts in packs if {src, tgt} <= set(texts)
                 for pair in zip(texts[src], texts[tgt], strict=True)]  # fmt: skip
        texts += [(p.src, p.tgt) for p in bitext(udhr_segments(), parse_language(src), parse_language(tgt))]
        for left, right in texts:
            one, other = split(left, src), split(right, tgt)
            if not one or not other:
                dropped["an empty side"] += 1
            elif max(len(one), len(other)) > LONGEST:
                dropped[f"more than {LONGEST} words"] += 1
            elif key_of(one) in known or key_of(other) in known:
                dropped["a sentence of a gold set"] += 1
            else:
                pairs.append((one, other))
                groups.append(name)
    return pairs, groups, dropped


def gold_words(data: Path, pair: str) -> list[Pair]:
    lines = (line.split("\t") for _, line in read_lines(data / "starter" / "alignments" / f"{pair}.tsv"))
    return [(words(line[0]), words(line[1])) for line in lines]


def errors(encoder: Encoder, data: Path, pairs: tuple[str, ...]) -> dict[str, list[float]]:
    """AER of each way of reading links, by pair of languages; one forward pass for all of them."""
    found: dict[str, list[float]] = {name: [] for name in READINGS}
    for pair in pairs:
        gold = read_gold(data / "starter" / "alignments" / f"{pair}.tsv")
        sides = []
        for side in zip(*gold_words(data, pair), strict=True):
            made = [spans_of_words(sentence) for sentence in side]
            sides.append(encode_texts(encoder.tokenizer, [t for t, _ in made], 512, [s for _, s in made]))
        by_level: dict[str, list[tuple[np.ndarray, Units]]] = {"word": [], "subword": []}
        with torch.inference_mode():
            for rows in length_batches(np.maximum(sides[0].lengths, sides[1].lengths) * 2, 2048):
                batch = make_batch([(side, rows) for side in sides], encoder.tokenizer.pad_token_id)
                state = hidden_state(encoder.model, LAYER, batch.inputs)
                for level, batches in by_level.items():
                    batches.append((rows, units(state, batch, batch, AlignSettings(level=level))))
        for name, settings in READINGS.items():
            found[name].append(aer(gold, by_level[settings.level], settings))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = TuneSettings()
    parser.add_argument("--objective", default="so")
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--threshold", type=float, default=default.threshold)
    parser.add_argument("--temperature", type=float, default=default.temperature)
    parser.add_argument("--freeze", default=default.freeze)
    parser.add_argument("--same-pass", action="store_true", help="find the links in the pass that is trained")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--no-before", action="store_true", help="leave out the figures before fine-tuning")
    parser.add_argument("--confirm", action="store_true", help="read the confirming gold sets too")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    gold = (*CHOOSE, *CONFIRM) if options.confirm else CHOOSE
    settings = replace(
        default, objectives=parse_objectives(options.objective), steps=options.steps, batch_size=options.batch_size,
        learning_rate=options.learning_rate, threshold=options.threshold, temperature=options.temperature,
        freeze=options.freeze, clean_labels=not options.same_pass, max_length=64,
    )  # fmt: skip
    pairs, groups, dropped = training_pairs(data)
    counts = ", ".join(f"{name} {count}" for name, count in Counter(groups).items())
    print(f"{len(pairs)} training pairs ({counts}); left out: {dict(dropped)}", file=sys.stderr)
    results = {} if options.no_before else {"before": errors(load_encoder("starter"), data, gold)}
    for seed in options.seeds.split(","):
        encoder = load_encoder("starter")
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            facts = tune_aligner(encoder, pairs, settings, Path(folder), int(seed), groups)
        print(f"seed {seed}: {time.monotonic() - start:.0f} s for {facts['pairs_drawn']} pairs; losses "
              f"{facts['history'][0]} … {facts['history'][-1]}", file=sys.stderr, flush=True)  # fmt: skip
        results[f"seed {seed}"] = errors(encoder, data, gold)
    halves = [slice(0, len(CHOOSE)), slice(len(CHOOSE), len(gold))][: 1 + options.confirm]
    head = ["AER, %", *gold, "mean, choosing", *(["mean, confirming"] if options.confirm else [])]
    rows = [
        [
            f"{when}: {reading}",
            *(f"{100 * x:.1f}" for x in values),
            *(f"{100 * np.mean(values[h]):.1f}" for h in halves),
        ]
        for when, found in results.items()
        for reading, values in found.items()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
