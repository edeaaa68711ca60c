"""That every realignment objective works: its own loss on sentences held out, before and after 50 steps of it alone.

    python benchmarks/objectives.py [--steps 50] [--only word,l2] [--out objectives.md]

On the starter encoder and the text in the package: names of concepts (CLDR) and articles of human rights (UDHR), cut
to 32 subwords, English with Turkish, Swahili and Hindi; links by mutual argmax at layer 7. A fifth of the ids is held
out, in all languages. Everything but the word embeddings learns, at a rate of 5e-5 unless the case says otherwise, 8
pairs a step. One thread; about a minute an objective on an idle core. Collapse is shown beside the loss: the mean
cosine of the sentences of random pairs, held out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

LANGUAGES = ("tur", "swh", "hin")
BATCH, LENGTH, RATE, SEED = 8, 32, 5e-5, 1
HELD_OUT = 0.2


@dataclass(frozen=True)
class Case:
    """An objective as it is tried: its settings, and where its numbers come from."""

    name: str
    label: str
    settings: dict[str, Any]
    rate: float = RATE
    faster: float = 1.0  # learning rate of the heads, as a multiple of the encoder's
    sentences: bool = False  # only UDHR: a masked word of a name of two words has nothing to point by


CASES = (
    Case("word", "word, strong", {}),
    Case("word", "word, weak, linked candidates", {"negatives": "weak", "candidates": "linked"}),
    Case("word", "word, source → target only", {"negatives": "weak", "direction": "forward"}),
    Case("word", "word, layers 0 to 12", {"layers": tuple(range(13)), "projection": "none"}),
    Case("word", "word, learned τ", {"learned_temperature": True}),
    Case("sentence", "sentence, mean of words", {}),
    Case("sentence", "sentence, mean of subwords", {"sentence_pooling": "subwords"}),
    Case("sentence", "sentence, [CLS]", {"sentence_pooling": "cls"}),
    Case("ranking", "translation ranking", {}),
    Case("transliteration", "transliteration, layer 8", {}),
    Case("l2", "L2 with drift from the initial states", {}),
    Case("infoxlm", "InfoXLM, [CLS], queue of 128", {"queue": 128, "momentum": 0.99}, faster=20),
    Case("infoxlm", "InfoXLM, mean of words", {"queue": 128, "momentum": 0.99, "sentence_pooling": "words"}, faster=20),
    Case("dap", "DAP", {}),
    Case("xlm_align", "XLM-Align, self-labelled", {"mask_share": 0.2}, 1e-4, sentences=True),
    Case("xlm_align", "XLM-Align, given links", {"mask_share": 0.2, "labels": "links"}, 1e-4, sentences=True),
    Case("transport", "optimal transport", {}),
    Case("cka", "CKA of linked words", {}),
    Case("cka", "CKA of sentences", {"compared": "sentences"}),
)


def read_texts(encoder: Any) -> tuple[Any, Any]:
    """Pairs to train on and pairs held out, with links."""
    from xrealign.align.aligned import AlignedTexts
    from xrealign.align.embedding import argmax_links
    from xrealign.corpus.embedded import bitext, cldr_names, held_out, training_bitext, udhr_segments
    from xrealign.language import parse_language
    from xrealign.model.words import word_spans

    source, sides = parse_language("eng"), {"train": [], "held": []}
    for code in LANGUAGES:
        language = parse_language(code)
        for table, most in ((cldr_names(), 300), (udhr_segments(), 60)):
            held = held_out(table.ids, HELD_OUT)
            train = training_bitext(table, source, language, held)[0].pairs[:most]
            known = [i for i in table.ids if i in held and i in table.of(language) and i in table.of(source)]
            for side, pairs in (("train", train), ("held", bitext(table, source, language, known).pairs[: most // 5])):
                sides[side] += [(language, pair) for pair in pairs]
    made = {}
    for side, rows in sides.items():
        src, tgt = [pair.src for _, pair in rows], [pair.tgt for _, pair in rows]
        src_spans = word_spans(src, source, encoder.tokenizer)
        tgt_spans = [word_spans([pair.tgt], language, encoder.tokenizer)[0] for language, pair in rows]
        links = argmax_links(encoder, src, src_spans, tgt, tgt_spans, 7, LENGTH)
        ids, tags = [pair.id for _, pair in rows], [language.tag for language, _ in rows]
        made[side] = AlignedTexts(ids, tags, src, tgt, src_spans, tgt_spans, links)
    return made["train"], made["held"]


def pairs_of(case: Case, train: Any, held: Any) -> tuple[Any, Any]:
    """What the objective trains on and is measured on: the pairs, or the targets and their romanisations."""
    from xrealign.align.transliterated import romanised_pairs
    from xrealign.corpus.embedded import udhr_segments

    if case.name == "transliteration":
        return romanised_pairs(train)[0], romanised_pairs(held)[0]
    if not case.sentences:
        return train, held
    ids = set(udhr_segments().ids)
    both = []
    for texts in (train, held):
        rows = [row for row, i in enumerate(texts.ids) if i in ids]
        columns = ("ids", "languages", "src", "tgt", "src_spans", "tgt_spans", "links")
        both.append(replace(texts, **{name: [getattr(texts, name)[row] for row in rows] for name in columns}))
    return both[0], both[1]


def stream_of(encoder: Any, texts: Any, steps: int, name: str) -> Any:
    """Batches of ``texts`` for so many steps."""
    from xrealign.model.words import encode_texts
    from xrealign.train.streams import PairStream, plan_steps

    src = encode_texts(encoder.tokenizer, texts.src, LENGTH, texts.src_spans)
    tgt = encode_texts(encoder.tokenizer, texts.tgt, LENGTH, texts.tgt_spans)
    groups = np.unique(texts.languages, return_inverse=True)[1].tolist()
    plan = plan_steps(groups, np.maximum(src.lengths, tgt.lengths), steps, BATCH, SEED, name)
    return PairStream(src, tgt, texts.links, plan, encoder.tokenizer.pad_token_id)


def try_out(case: Case, train: Any, held: Any, steps: int) -> dict[str, Any]:
    """Trains a fresh starter encoder on one objective alone."""
    from xrealign.model.encoder import load_encoder
    from xrealign.model.layers import only_train, trainable_names
    from xrealign.train.compaction import compact_embeddings
    from xrealign.train.objectives import ObjectiveSettings, make_objective
    from xrealign.train.seeds import seed_torch

    encoder = load_encoder("starter")
    batches, tests = stream_of(encoder, train, steps, "train"), stream_of(encoder, held, 8, "held")
    mask = encoder.tokenizer.mask_token_id
    parts = (batches.src, batches.tgt, tests.src, tests.tgt)
    compact_embeddings(encoder.model, [*(part.ids for part in parts), np.array([mask])])
    learning = trainable_names(encoder.model, "embeddings")
    settings = replace(ObjectiveSettings(), **case.settings)
    vocabulary = np.unique(np.concatenate([batches.src.ids, tests.src.ids]))
    objective = make_objective(case.name, settings, encoder.model, SEED, learning, mask, vocabulary)
    model = nn.ModuleDict({"encoder": encoder.model, "heads": objective.heads})
    heads = {f"heads.{name}" for name, _ in objective.heads.named_parameters()}
    only_train(model, frozenset(f"encoder.{name}" for name in learning) | heads)
    model.train()
    with torch.no_grad():
        for step in range(8):  # fills a queue, if there is one; later it holds the last steps' keys, as in training
            seed_torch(SEED, "fill", step)
            objective.loss(model, batches(step))

    def measured() -> tuple[float, float]:
        model.eval()
        total, cosine = 0.0, 0.0
        with torch.no_grad():
            for step in range(8):
                seed_torch(SEED, "measure", step)
                batch = tests(step)
                total += objective.loss(model, batch).item() / 8
                cosine += _random_cosine(encoder.model, batch) / 8
        return total, cosine

    before = measured()
    groups = [
        {"params": [p for p in model[part].parameters() if p.requires_grad], "lr": case.rate * multiple}
        for part, multiple in (("encoder", 1.0), ("heads", case.faster))
    ]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=0.0)
    start = time.perf_counter()
    for step in range(steps):
        model.train()
        seed_torch(SEED, "step", step)
        objective.loss(model, batches(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - start
    after = measured()
    return {"before": before, "after": after, "seconds": seconds}


def _random_cosine(encoder: Any, batch: Any) -> float:
    """Mean cosine of source sentences and the targets of other pairs, last layer, mean of subwords."""
    from xrealign.model.words import pool_sentences

    state = encoder(**batch.texts.inputs).last_hidden_state
    vectors = torch.nn.functional.normalize(pool_sentences(state, batch.texts.inputs["attention_mask"]), dim=1)
    cosines = vectors[: batch.pairs] @ vectors[batch.pairs :].T
    off = ~torch.eye(batch.pairs, dtype=torch.bool)
    return float(cosines[off].mean())


def main() -> None:
    from xrealign.model.encoder import load_encoder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--only", help="names of objectives, with commas between; all by default")
    parser.add_argument("--out", type=Path, help="where to write the table as Markdown; otherwise it is only printed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, held = read_texts(load_encoder("starter"))
    print(f"{len(train)} pairs to train on, {len(held)} held out", flush=True)
    lines = [
        f"| objective | held-out loss | after {arguments.steps} steps | change | cosine of random pairs | s a step |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for case in CASES:
        if arguments.only and case.name not in arguments.only.split(","):
            continue
        found = try_out(case, *pairs_of(case, train, held), arguments.steps)
        (loss, cosine), (loss_after, cosine_after) = found["before"], found["after"]
        change = 100 * (loss_after / loss - 1)
        lines.append(
            f"| {case.label} | {loss:.4g} | {loss_after:.4g} | {change:+.0f} % | {cosine:.2f} → {cosine_after:.2f} | "
            f"{found['seconds'] / arguments.steps:.2f} |"
        )
        print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
