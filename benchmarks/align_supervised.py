"""AER of a supervised aligner trained on some gold sets, on pairs held out of them and on other language pairs.

    XREALIGN_DATA=FOLDER OMP_NUM_THREADS=1 python benchmarks/align_supervised.py --work FOLDER [--confirm]

Trains on the gold sets in CHOOSE less a tenth of their pairs. Settings are chosen by the AER of that tenth; `--confirm`
then aligns the sets in CONFIRM, on which nothing is chosen. Judging every word of both sentences in a pass of its own
is slow on a CPU: of each set every n-th pair is taken, so that at most `--budget` subwords go through the encoder. The
embedding aligners that docs/align.md recommends align the same pairs, for comparison. Prints Markdown.

The licences of most gold sets allow measuring only: the trained model stays in `--work` and is not to be passed on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from xrealign.align.embedding import embedding_recipe
from xrealign.align.extract import AlignSettings
from xrealign.align.linker import Linker, ScoredLinks
from xrealign.align.score import link_counts, measures
from xrealign.align.supervised import save_aligner, supervised_recipe
from xrealign.model.encoder import load_encoder
from xrealign.paths import data_folder
from xrealign.train.supervised import GoldPairs, SupervisedSettings, hold_out, read_gold_pairs, train_supervised

CHOOSE = ("deu-eng", "eng-ces", "eng-hin", "jpn-eng")
CONFIRM = ("eng-fra", "eng-spa", "ron-eng", "zho-eng")
BASELINES = {
    "argmax: layer 7, centred": AlignSettings("argmax", 7, centre=True, max_length=512),
    "softmax: layer 7, centred, subwords, threshold 0.3, temperature 2": AlignSettings(
        "softmax", 7, "subword", centre=True, threshold=0.3, temperature=2.0, max_length=512
    ),
}


def subwords(pairs: GoldPairs, tokenizer) -> np.ndarray:
    """Subwords of each pair, as the encoder reads it."""
    sides = [tokenizer([" ".join(s) for s in side], add_special_tokens=False) for side in (pairs.src, pairs.tgt)]
    return np.array([len(a) + len(b) + 6 for a, b in zip(*(side["input_ids"] for side in sides), strict=True)])


def every_nth(pairs: GoldPairs, tokenizer, budget: int) -> GoldPairs:
    """Every n-th pair, with the smallest n for which all words' passes have at most ``budget`` subwords."""
    marked = np.array([len(s) + len(t) for s, t in zip(pairs.src, pairs.tgt, strict=True)])
    cost = marked * subwords(pairs, tokenizer)
    step = next(n for n in range(1, len(pairs) + 2) if cost[::n].sum() <= budget or n > len(pairs))
    return pairs.chosen(np.arange(0, len(pairs), step))


def error(pairs: GoldPairs, found: list[ScoredLinks], threshold: float = 0.0) -> float:
    links = [frozenset(map(tuple, x.links[x.scores > threshold].tolist())) for x in found]
    return float(measures(link_counts(pairs.gold, links).sum(0, keepdims=True))[0, 3])


def linked(linker: Linker, pairs: GoldPairs, whole: GoldPairs | None = None) -> tuple[list[ScoredLinks], float]:
    """Links, and milliseconds a pair."""
    if linker.prepare is not None:
        seen = whole or pairs
        linker.prepare(seen.src, seen.tgt)
    start = time.monotonic()
    found = linker.link(pairs.src, pairs.tgt).found
    return found, 1000 * (time.monotonic() - start) / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--words-per-pair", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--layer", type=int, default=8)
    parser.add_argument("--freeze", default="none")
    parser.add_argument("--marker")
    parser.add_argument("--longest", type=int, default=36, help="pairs of more subwords are not trained on")
    parser.add_argument("--budget", type=int, default=60_000, help="subwords a set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and the model")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("needs the data pack: set XREALIGN_DATA to its folder")
    files = [data / "starter" / "alignments" / f"{name}.tsv" for name in (*CHOOSE, *CONFIRM)]
    settings = SupervisedSettings(
        steps=options.steps, batch_size=options.batch_size, words_per_pair=options.words_per_pair,
        learning_rate=options.learning_rate, layer=options.layer, freeze=options.freeze, marker=options.marker,
        warmup=0.05, checkpoint_every=250,
    )  # fmt: skip
    train, held = hold_out(read_gold_pairs(files[: len(CHOOSE)]), 0.1, seed=0)
    encoder = load_encoder(options.encoder)
    train = train.chosen(np.flatnonzero(subwords(train, encoder.tokenizer) <= options.longest))
    folder = options.work / "model"
    if not folder.is_dir():
        start = time.monotonic()
        aligner, facts = train_supervised(encoder, train, settings, options.work / "checkpoints", options.seed)
        facts["seconds"] = time.monotonic() - start
        save_aligner(aligner, folder, facts, encoder.folder)
    facts = json.loads((folder / "supervised.json").read_text("utf-8"))["training"]
    print(f"{len(train)} pairs, {facts['words_drawn']} marked words drawn of {facts['marked_words']}, "
          f"loss {facts['history'][0]['links']:.3f} → {facts['history'][-1]['links']:.3f}, "
          f"{facts['seconds']:.0f} s of training, padding efficiency {facts['padding_efficiency']}")  # fmt: skip
    sets = {name: held.chosen(np.flatnonzero(np.asarray(held.groups) == g)) for g, name in enumerate(CHOOSE)}
    whole = dict(sets)
    if options.confirm:
        whole |= {name: read_gold_pairs([path]) for name, path in zip(CONFIRM, files[len(CHOOSE) :], strict=True)}
    sets = {name: every_nth(pairs, encoder.tokenizer, options.budget) for name, pairs in whole.items()}
    rows: dict[str, list[float]] = {}
    linker = supervised_recipe(folder, 0.0, 512, subwords_per_batch=2048).open()
    times = []
    for pairs in sets.values():
        found, ms = linked(linker, pairs)
        times.append(ms)
        for threshold in (0.3, 0.4, 0.5, 0.6):
            rows.setdefault(f"supervised, threshold {threshold}", []).append(error(pairs, found, threshold))
    for name, chosen in BASELINES.items():
        for pair, pairs in sets.items():
            made, _ = linked(embedding_recipe(options.encoder, chosen).open(), pairs, whole[pair])
            rows.setdefault(name, []).append(error(pairs, made, -np.inf))
    print("| AER, % |", " | ".join(sets), "| mean, held out | mean, other pairs |")
    print("|---|" + "---:|" * (len(sets) + 2))
    for name, values in rows.items():
        parts = values[: len(CHOOSE)], values[len(CHOOSE) :]
        means = [f"{100 * np.mean(part):.1f}" if part else "" for part in parts]
        print(f"| {name} |", " | ".join([*(f"{100 * v:.1f}" for v in values), *means]), "|")
    print("| pairs |", " | ".join(str(len(pairs)) for pairs in sets.values()), "| | |")
    print("| ms a pair |", " | ".join(f"{ms:.0f}" for ms in times), "| | |")


if __name__ == "__main__":
    main()
