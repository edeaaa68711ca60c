"""How fast a test set is tagged: `xrealign.train.predict` against a plain loop, in one run, with the same predictions.

    python benchmarks/evaluate_speed.py                      # segments of the Universal Declaration, nothing to fetch
    python benchmarks/evaluate_speed.py --task ud-pos        # test sentences of 70 languages (fetched), shorter ones
    python benchmarks/evaluate_speed.py --sentences 2000 --subwords 16384

The plain loop is what evaluation scripts often are: the sentences in their order, batches of two padded to the longer
one, gradients on, one word at a time. Both tokenise within the time that is measured; they take turns, and the best of
the rounds counts, in seconds of all cores' work (process time) and of the clock. The head is random: what it says does
not matter, that both say the same does. Needs no data but the starter encoder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from xrealign.corpus.embedded import udhr_segments
from xrealign.language import parse_language
from xrealign.model.encoder import Encoder, load_encoder
from xrealign.tasks.builtin import load_builtin
from xrealign.tasks.task import TaggedExample
from xrealign.train.heads import make_head
from xrealign.train.predict import predict
from xrealign.train.seeds import seed_torch

LANGUAGES = ("eng", "deu", "tur", "swh", "fin", "rus", "hin", "tam", "arb", "ell")
TAGS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
        "SYM", "VERB", "X")  # fmt: skip


def main() -> None:
    """Measures and prints a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--task", help="a built-in task of tagged words, in the place of the Declaration")
    parser.add_argument("--subwords", type=int, default=None, help="of our batches; by default what suits the device")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=256, help="longer sentences are left out")
    settings = parser.parse_args()
    encoder = load_encoder(settings.encoder)
    if torch.cuda.is_available():
        encoder.model.cuda()
    seed_torch(0, "head")
    head = make_head("pos", encoder.width, (), TAGS).eval().to(encoder.device)
    examples = sentences(encoder, settings.sentences, settings.max_length, settings.task)

    def ours() -> list[tuple[str, ...]]:
        length, subwords = settings.max_length, settings.subwords
        found = predict(encoder, head, "pos", examples, (), TAGS, max_length=length, subwords=subwords)
        return [row for row in found[""].predictions if isinstance(row, tuple)]

    ways: dict[str, Callable[[], list[tuple[str, ...]]]] = {
        "ours": ours,
        "plain loop": lambda: plain_loop(encoder, head, examples),
    }
    predict(encoder, head, "pos", examples[:4], (), TAGS)  # what is only slow the first time is left out for both
    plain_loop(encoder, head, examples[:4])
    best: dict[str, dict[str, float]] = {}
    said: dict[str, list[tuple[str, ...]]] = {}
    for _ in range(settings.rounds):
        for name, way in ways.items():
            clock, work = time.perf_counter(), time.process_time()
            said[name] = way()
            took = {"clock": time.perf_counter() - clock, "work": time.process_time() - work}
            best[name] = {key: min(value, best.get(name, took)[key]) for key, value in took.items()}
    pairs = [(a, b) for x, y in zip(*said.values(), strict=True) for a, b in zip(x, y, strict=True)]
    result = {
        "sentences": len(examples),
        "words": len(pairs),
        "device": str(encoder.device),
        "threads": torch.get_num_threads(),
        "seconds": {name: {key: round(value, 2) for key, value in row.items()} for name, row in best.items()},
        "faster": {key: round(best["plain loop"][key] / best["ours"][key], 2) for key in ("clock", "work")},
        "words told apart": sum(a != b for a, b in pairs),
    }
    print(json.dumps(result))


def sentences(encoder: Encoder, count: int, length: int, task: str | None) -> list[TaggedExample]:
    """Segments of the Universal Declaration in ten languages, or test sentences of a task in all of its languages, none
    that would be cut; again if too few."""
    if task:
        tests = load_builtin(task, parse_language("eng")).tests
        lines = [" ".join(example.words) for _, split in sorted(tests.items()) for example in split[:20]]
    else:
        texts = udhr_segments()
        lines = [line for code in LANGUAGES for line in texts.of(parse_language(code)).values()]
    lines = [lines[n] for n in np.random.default_rng(1).permutation(len(lines))]
    fitting = [line for line in lines if len(encoder.tokenizer(line)["input_ids"]) <= length]
    chosen = [fitting[n % len(fitting)].split() for n in range(count)]
    return [TaggedExample(tuple(words), ("X",) * len(words), str(n)) for n, words in enumerate(chosen)]


def plain_loop(encoder: Encoder, head: Any, examples: Sequence[TaggedExample]) -> list[tuple[str, ...]]:
    """Tags of each sentence: two at a time, padded, gradients on, first subword of each word."""
    found = []
    for start in range(0, len(examples), 2):
        texts = [" ".join(example.words) for example in examples[start : start + 2]]
        inputs = encoder.tokenizer(texts, padding=True, return_tensors="pt", return_offsets_mapping=True)
        offsets = inputs.pop("offset_mapping").tolist()
        hidden = encoder.model(**inputs.to(encoder.device)).last_hidden_state
        tags = head(hidden).argmax(-1).cpu().tolist()
        for row, example in enumerate(examples[start : start + 2]):
            said, begin = [], 0
            for word in example.words:
                end = begin + len(word)
                places = [n for n, (a, b) in enumerate(offsets[row]) if a < b and begin < b <= end]
                said.append(TAGS[tags[row][places[0]]] if places else "")
                begin = end + 1
            found.append(tuple(said))
    return found


if __name__ == "__main__":
    main()
