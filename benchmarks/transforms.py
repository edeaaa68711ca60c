"""Retrieval raw, centred, rotated and projected: what training-free realignment does on held-out text.

    python benchmarks/transforms.py [--languages swh,tur,tam,fin] [--layers 8,12] [--concepts 300] [--json OUT]

Maps are fitted on the embedded text that is not held out, UDHR paragraphs and CLDR names together; accuracy is the mean
of both directions over the held-out UDHR paragraphs (sentences) and CLDR names (words or short phrases), averaged over
the languages. The source's mean is subtracted from both sides wherever a map has moved one to the other.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from xrealign.corpus.embedded import MultiText, bitext, cldr_names, held_out, training_bitext, udhr_segments
from xrealign.language import Language, parse_language, parse_languages
from xrealign.measure.retrieval import retrieval_accuracy
from xrealign.model.encoder import load_encoder
from xrealign.model.layers import resolve_layer
from xrealign.model.transform_fits import KINDS, fit_transform
from xrealign.model.vectors import sentence_vectors
from xrealign.types import Bitext, SentencePair

HELD = 0.25
PRIORS = (0.0, 30.0, 100.0, None, 1000.0)
Pairs = list[SentencePair]


def texts_of(table: MultiText, language: Language, most: int) -> tuple[Pairs, Pairs]:
    """Pairs with English to fit on and to measure on, at most so many of each."""
    english, held = parse_language("eng"), held_out(table.ids, HELD)
    fit: Bitext = training_bitext(table, english, language, held)[0]
    return list(fit.pairs)[:most], list(bitext(table, english, language, held).pairs)[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", default="swh,tur,tam,fin")
    parser.add_argument("--layers", default="8,12")
    parser.add_argument("--concepts", type=int, default=300)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.encoder)
    languages = parse_languages(arguments.languages.split(","))
    tables = {"sentences": udhr_segments(), "words": cldr_names()}
    split = {(n, lang): texts_of(t, lang, arguments.concepts) for n, t in tables.items() for lang in languages}
    texts = sorted({t for parts in split.values() for part in parts for p in part for t in (p.src, p.tgt)})
    place = {text: row for row, text in enumerate(texts)}
    rows: dict[tuple[int, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    sizes = defaultdict(list)
    for layer in (resolve_layer(int(number), encoder.layers) for number in arguments.layers.split(",")):
        vectors = sentence_vectors(encoder, texts, layer, what=f"layer {layer}")

        def sides(pairs: Pairs, found: np.ndarray = vectors) -> tuple[np.ndarray, np.ndarray]:
            return found[[place[p.src] for p in pairs]], found[[place[p.tgt] for p in pairs]]

        for language in languages:
            fit = [pair for name in tables for pair in split[name, language][0]]
            src, tgt = sides(fit)
            mean = src.mean(axis=0)
            sizes["pairs to fit on"].append(len(fit))
            for kind in ("raw", *KINDS):
                for prior in PRIORS if kind not in ("raw", "centring") else (None,):
                    if prior == 0 and len(src) <= encoder.width:
                        continue  # the published definition, which so few pairs do not determine
                    transform = None if kind == "raw" else fit_transform(kind, src, tgt, prior)
                    for name in tables:
                        left, right = sides(split[name, language][1])
                        if transform is not None:
                            left, right = left - mean, transform.apply(right) - mean
                        accuracy = float(np.mean(list(retrieval_accuracy(left, right).values())))
                        shown = (
                            "—" if kind in ("raw", "centring") else str(int(encoder.width if prior is None else prior))
                        )
                        rows[layer, kind, shown][name].append(accuracy)
                        sizes[f"{name} to measure on"].append(len(left))
    print(
        f"{', '.join(lang.tag for lang in languages)}; " + "; ".join(f"{np.mean(v):.0f} {k}" for k, v in sizes.items())
    )
    print("\n| layer | map | prior | sentences | words |\n|---|---|---|---|---|")
    for (layer, kind, prior), found in rows.items():
        print(f"| {layer} | {kind} | {prior} | " + " | ".join(f"{100 * np.mean(found[n]):.1f}" for n in tables) + " |")
    if arguments.json:
        listed = [
            {"layer": layer, "map": kind, "prior": prior, **found} for (layer, kind, prior), found in rows.items()
        ]
        arguments.json.write_text(json.dumps(listed, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
