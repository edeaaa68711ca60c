"""How well words are found in text without blanks: against treebanks and gold alignments of the data pack.

    XREALIGN_DATA=FOLDER python benchmarks/segment_words.py

Sentences are put together as they were written (treebanks note where no blank follows; of the alignments, Chinese and
Japanese words are joined without blanks) and cut again. Prints Markdown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from xrealign.language import Language, parse_language
from xrealign.segment import find_spans, rule_of, segmentation_name
from xrealign.textio import read_lines

Spans = set[tuple[int, int]]
Sentence = tuple[str, Spans]
TREEBANKS = ("zho", "yue_Hant", "jpn", "tha")
ALIGNMENTS = (("zho-eng", "zho"), ("jpn-eng", "jpn"))


def read_treebank(path: Path) -> Iterator[Sentence]:
    """Sentences of a CoNLL-U file with the spans of their surface words (ranges, not the words inside them)."""
    words: list[tuple[str, bool]] = []
    inside = 0
    for _, line in read_lines(path):
        if line and not line.startswith("#"):
            number, form, *_, misc = line.split("\t")
            first, _, last = number.partition("-")
            if last or ("." not in number and int(first) > inside):  # 3.1 is an empty node, which is not written
                inside = int(last or 0)
                words.append((form, "SpaceAfter=No" not in misc))
        elif not line and words:
            yield _put_together(words)
            words, inside = [], 0
    if words:
        yield _put_together(words)


def read_alignment(path: Path) -> Iterator[Sentence]:
    """The source sides of gold alignments, their words joined without blanks."""
    for _, line in read_lines(path):
        yield _put_together([(word, False) for word in line.split("\t")[0].split(" ") if word])


def _put_together(words: Sequence[tuple[str, bool]]) -> Sentence:
    text, spans = "", set()
    for form, blank in words:
        spans.add((len(text), len(text) + len(form)))
        text += form + " " * blank
    return text.rstrip(" "), spans


def boundaries(text: str, spans: Spans) -> set[int]:
    """Places inside the sentence where a word begins or ends; not those that a blank gives away."""
    places = {place for span in spans for place in span if 0 < place < len(text)}
    return {place for place in places if not text[place - 1].isspace() and not text[place].isspace()}


def f1(sentences: Sequence[Sentence], cut: Callable[[str], Spans]) -> tuple[float, float]:
    """F1 of boundaries (0 where there is none that no blank gives away) and of whole words, over all sentences."""
    counts = [[0, 0, 0], [0, 0, 0]]
    for text, gold in sentences:
        found = cut(text)
        pairs = ((boundaries(text, gold), boundaries(text, found)), (gold, found))
        for count, (left, right) in zip(counts, pairs, strict=True):
            count[0] += len(left & right)
            count[1] += len(left) + len(right)
    return 2 * counts[0][0] / max(counts[0][1], 1), 2 * counts[1][0] / max(counts[1][1], 1)


def characters(text: str) -> Spans:
    """The baseline: every character a word."""
    return {(at, at + 1) for at, character in enumerate(text) if not character.isspace()}


def by_rule(language: Language) -> Callable[[str], Spans]:
    """Words by the rule of the language."""
    return lambda text: {(start, end) for start, end in find_spans(text, language).tolist()}


def read_sets(data: Path) -> Iterator[tuple[str, Language, list[Sentence]]]:
    """Name, language and sentences of every set without blanks."""
    for code in TREEBANKS:
        language = parse_language(code)
        yield f"UD {language.name}", language, list(read_treebank(data / "pos" / f"{language.iso}.test.conllu"))
    for pair, code in ALIGNMENTS:
        yield f"gold {pair}", parse_language(code), list(read_alignment(data / "alignments" / f"{pair}.tsv"))


def _subwords() -> Callable[[str], Spans]:
    from xrealign.model.encoder import load_encoder
    from xrealign.model.words import word_spans

    tokenizer = load_encoder("starter").tokenizer
    none = parse_language("khb_Talu")  # a language without a rule has the encoder's subwords for words
    return lambda text: {(start, end) for start, end in word_spans([text], none, tokenizer)[0].tolist()}


def main() -> None:
    data = Path(os.environ["XREALIGN_DATA"]) / "starter"
    subwords = _subwords()
    print(f"Words by {segmentation_name(parse_language('zho'))}.\n")
    print(
        "| boundary F1 / word F1, % | sentences | ICU | the starter's subwords | every character | ICU, µs a sentence |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, language, sentences in read_sets(data):
        start = time.process_time()
        for text, _ in sentences:
            find_spans(text, language)
        each = 1e6 * (time.process_time() - start) / len(sentences)
        scores = (f1(sentences, cut) for cut in (by_rule(language), subwords, characters))
        cells = [f"{100 * cut:.1f} / {100 * word:.1f}" for cut, word in scores]
        print(f"| {name} | {len(sentences)} | {' | '.join(cells)} | {each:.0f} |")
    words = []
    for path in sorted((data / "pos").glob("*.test.conllu")):
        language = parse_language(path.name.partition(".")[0].partition("_")[0])
        if rule_of(language) == "blanks":
            words.append(f1(list(read_treebank(path)), by_rule(language))[1])
    print(
        f"\nBy blanks and punctuation, mean word F1 over {len(words)} treebanks: {100 * sum(words) / len(words):.1f} %"
    )


if __name__ == "__main__":
    main()
