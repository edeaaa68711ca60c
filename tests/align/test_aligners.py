"""Aligners against their definitions stated again one cell at a time, and against exhaustive search."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.align.embedding import encoded_links, mean_vector, unit_links, units
from xrealign.align.extract import ALIGNERS, AlignSettings
from xrealign.corpus.embedded import udhr_segments
from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.model.layers import hidden_state
from xrealign.model.words import encode_texts, length_batches, make_batch
from xrealign.segment import WITHOUT_BLANKS, spans_by_blanks

PAIRS = 2000


def restated_argmax(sim: list[list[float]]) -> set[tuple[int, int]]:
    best_of_row = [max(range(len(row)), key=row.__getitem__) for row in sim]
    columns = list(zip(*sim, strict=True))
    best_of_column = [max(range(len(column)), key=column.__getitem__) for column in columns]
    return {(i, j) for i, j in enumerate(best_of_row) if best_of_column[j] == i}


def restated_itermax(cosine: list[list[float]], rounds: int = 2, alpha: float = 0.9) -> set[tuple[int, int]]:
    sim = [[(1 + x) / 2 for x in row] for row in cosine]
    links = restated_argmax(sim)
    height, width = len(sim), len(sim[0])
    for _ in range(rounds - 1):
        linked_rows, linked_columns = {i for i, _ in links}, {j for _, j in links}
        if min(height, width) <= 2 or len(linked_rows) == height or len(linked_columns) == width:
            return links
        weighted = [
            [sim[i][j] * (0 if i in linked_rows and j in linked_columns
                          else alpha if i in linked_rows or j in linked_columns else 1) for j in range(width)]
            for i in range(height)
        ]  # fmt: skip
        links |= {(i, j) for i, j in restated_argmax(weighted) if not (i in linked_rows and j in linked_columns)}
    return links


def restated_softmax(dot: list[list[float]], threshold: float = 1e-3) -> set[tuple[int, int]]:
    def shares(values: list[float]) -> list[float]:
        top = max(values)
        powers = [math.exp(value - top) for value in values]
        total = math.fsum(powers)
        return [power / total for power in powers]

    forward = [shares(row) for row in dot]
    backward = list(zip(*(shares(list(column)) for column in zip(*dot, strict=True)), strict=True))
    return {
        (i, j)
        for i in range(len(dot))
        for j in range(len(dot[0]))
        if forward[i][j] > threshold and backward[i][j] > threshold
    }


@pytest.fixture(scope="module")
def real_pairs() -> tuple[list[str], list[str]]:
    """2,000 short sentence pairs of the Universal Declaration: English with languages that write blanks."""
    texts = udhr_segments()
    english = {key: text for key, text in texts.of(parse_language("eng")).items() if len(text.split()) <= 14}
    src, tgt = [], []
    for language in sorted(texts.texts, key=lambda language: language.tag):
        if language.script in WITHOUT_BLANKS or language.tag == "eng_Latn":
            continue
        for key, sentence in texts.of(language).items():
            if key in english and len(src) < PAIRS and len(sentence.split()) <= 20:
                src.append(english[key])
                tgt.append(sentence)
    assert len(src) == PAIRS
    return src, tgt


def encoded(encoder, pairs, count: int):
    return [
        encode_texts(encoder.tokenizer, texts[:count], 128, [spans_by_blanks(text) for text in texts[:count]])
        for texts in pairs
    ]


RESTATED = {"argmax": restated_argmax, "itermax": restated_itermax, "softmax": restated_softmax}


@pytest.mark.parametrize(("level", "count"), [("word", PAIRS), ("subword", 100)])
def test_links_are_those_of_the_definition(tiny_encoder, real_pairs, level: str, count: int) -> None:
    tiny_encoder.model.double()  # so that no two similarities are equal but for rounding
    left, right = encoded(tiny_encoder, real_pairs, count)
    checked = dict.fromkeys(RESTATED, 0)
    linked = dict.fromkeys(RESTATED, 0)
    for rows in length_batches(np.maximum(left.lengths, right.lengths) * 2, 4096):
        batch = make_batch([(left, rows), (right, rows)], tiny_encoder.tokenizer.pad_token_id)
        with torch.inference_mode():
            made = units(hidden_state(tiny_encoder.model, 1, batch.inputs), batch, batch, AlignSettings(level=level))
        for aligner in RESTATED:
            found = unit_links(made, AlignSettings(aligner, level=level, temperature=0.5))
            for b in range(len(rows)):
                expected, scores = restated_pair(made, b, aligner)
                assert {tuple(link) for link in found[b].links.tolist()} == expected
                if aligner == "argmax" and level == "word":
                    assert found[b].scores == pytest.approx(
                        np.array([scores[i][j] for i, j in found[b].links]), abs=1e-6
                    )
                checked[aligner] += 1
                linked[aligner] += len(expected)
    assert set(checked.values()) == {count}
    assert min(linked.values()) > 2 * count


def restated_pair(made, b: int, aligner: str) -> tuple[set[tuple[int, int]], dict[int, dict[int, float]]]:
    """Links of pair b by the definition, between words, and the similarities by places."""
    vectors, mask, half = made.vectors.numpy(), made.mask.numpy(), len(made.mask) // 2
    rows, columns = np.flatnonzero(mask[b]).tolist(), np.flatnonzero(mask[b + half]).tolist()
    x, y = vectors[b][rows], vectors[b + half][columns]
    sim = (
        x @ y.T / 0.5
        if aligner == "softmax"
        else x @ y.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    )
    links = {(rows[i], columns[j]) for i, j in RESTATED[aligner](sim.tolist())}
    if made.words is not None:
        links = {(int(made.words[b, i]), int(made.words[b + half, j])) for i, j in links}
    return links, {i: dict(zip(columns, line, strict=True)) for i, line in zip(rows, sim.tolist(), strict=True)}


def test_batches_come_back_in_order(tiny_encoder, real_pairs) -> None:
    tiny_encoder.model.double()
    left, right = encoded(tiny_encoder, real_pairs, 60)
    together = encoded_links(tiny_encoder, left, right, AlignSettings(layer=3, subwords_per_batch=900))
    for n in (0, 17, 59):
        one = encoded(tiny_encoder, ([real_pairs[0][n]], [real_pairs[1][n]]), 1)
        alone = encoded_links(tiny_encoder, *one, AlignSettings(layer=3))[0]
        assert alone.links.tolist() == together[n].links.tolist()
        assert alone.scores == pytest.approx(together[n].scores, abs=1e-6)


def dense(aligner: str, sim: np.ndarray, **options) -> np.ndarray:
    """Scores of one pair, without padding."""
    similarity = torch.from_numpy(sim)[None]
    return ALIGNERS[aligner].links(
        similarity, torch.ones_like(similarity, dtype=torch.bool), AlignSettings(aligner, **options)
    )[0]


def points(scores: np.ndarray) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in np.argwhere(scores > -np.inf)}


matrices = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6)).map(
    lambda t: np.random.Generator(np.random.PCG64(t[2])).uniform(-1, 1, size=t[:2])
)


@settings(deadline=None)
@given(matrices)
def test_matching_by_exhaustive_search(sim: np.ndarray) -> None:
    found = dense("matching", sim)
    wide = sim if sim.shape[0] <= sim.shape[1] else sim.T
    best = max(
        sum((1 + wide[i, j]) / 2 for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(wide.shape[1]), wide.shape[0])
    )
    links = points(found)
    assert len(links) == min(sim.shape)
    assert len({i for i, _ in links}) == len({j for _, j in links}) == len(links)
    assert sum((1 + sim[link]) / 2 for link in links) == pytest.approx(best, abs=1e-9)
    assert all(found[link] == sim[link] for link in links)


@settings(max_examples=40, deadline=None)
@given(matrices.filter(lambda sim: sim.size <= 9))
def test_edge_cover_by_exhaustive_search(sim: np.ndarray) -> None:
    height, width = sim.shape
    edges = list(itertools.product(range(height), range(width)))
    best = math.inf
    for bits in range(1, 1 << len(edges)):
        chosen = [edge for k, edge in enumerate(edges) if bits >> k & 1]
        if len({i for i, _ in chosen}) == height and len({j for _, j in chosen}) == width:
            best = min(best, sum((1 - sim[edge]) / 2 for edge in chosen))
    links = points(dense("edge-cover", sim))
    assert {i for i, _ in links} == set(range(height))
    assert {j for _, j in links} == set(range(width))
    assert sum((1 - sim[link]) / 2 for link in links) == pytest.approx(best, abs=1e-9)


def test_itermax_worked_by_hand() -> None:
    # Round 1 links 0-0 and 1-1 (row 2 likes 1, row 3 likes 0). Then row 2 (free) may take 1 at 0.9·0.95 = 0.855, which
    # beats its 2 (0.6), and column 1's best is then row 2: 2-1. Row 3 takes column 2 (0.9 > 0.9·0.96 = 0.864): 3-2.
    likeness = np.array([[1.0, 0.1, 0.2], [0.1, 0.97, 0.1], [0.1, 0.95, 0.6], [0.96, 0.2, 0.9]])
    assert points(dense("itermax", 2 * likeness - 1)) == {(0, 0), (1, 1), (3, 2), (2, 1)}
    assert points(dense("itermax", 2 * likeness - 1, rounds=1)) == {(0, 0), (1, 1)}
    # three words of which all are linked on one side, and a sentence of two words, get no second round
    assert points(dense("itermax", 2 * likeness[:, :2] - 1)) == {(0, 0), (1, 1)}


def test_distortion_worked_by_hand() -> None:
    # Both words of the source are like both of the target; position decides: 0-0 and 1-1 keep 1, 0-1 and 1-0 lose half.
    sim = np.array([[0.6, 0.7], [0.7, 0.6]])
    assert points(dense("argmax", sim)) == {(0, 1), (1, 0)}
    bent = dense("argmax", sim, distortion=0.5)
    assert points(bent) == {(0, 0), (1, 1)}
    assert bent[0, 0] == 0.6  # the score stays the cosine
    assert points(dense("matching", sim, distortion=0.5)) == {(0, 0), (1, 1)}
    # a single word has no relative position
    assert points(dense("argmax", sim[:1], distortion=1.0)) == {(0, 1)}
    # softmax: e^0.6 against e^0.7 · 0.5 in every row and column
    share = math.exp(0.6) / (math.exp(0.6) + 0.5 * math.exp(0.7))
    found = dense("softmax", sim, distortion=0.5, threshold=0.5)
    assert points(found) == {(0, 0), (1, 1)}
    assert found[0, 0] == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize("distortion", [0.0, 0.3])
def test_padding_changes_nothing(aligner: str, distortion: float) -> None:
    random = np.random.Generator(np.random.PCG64(3))
    sizes = [(3, 7), (1, 1), (8, 5), (4, 1), (0, 4), (0, 0), (5, 5)]
    chosen = AlignSettings(aligner, distortion=distortion)
    padded = torch.from_numpy(random.uniform(-1, 1, size=(len(sizes), 8, 8)))  # noise where there is no word
    both = torch.zeros(len(sizes), 8, 8, dtype=torch.bool)
    for b, (height, width) in enumerate(sizes):
        both[b, :height, :width] = True
    together = ALIGNERS[aligner].links(padded, both, chosen)
    for b, (height, width) in enumerate(sizes):
        assert not np.isfinite(together[b][~both[b].numpy()]).any()
        if height and width:
            alone = ALIGNERS[aligner].links(
                padded[b : b + 1, :height, :width], both[b : b + 1, :height, :width], chosen
            )
            assert points(together[b]) == points(alone[0])
            assert len(points(alone[0])) > 0


def test_one_copy_to_the_host_for_each_batch(tiny_encoder, real_pairs, monkeypatch) -> None:
    left, right = encoded(tiny_encoder, real_pairs, 120)
    copies = []
    real = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor.shape) or real(tensor))
    for aligner in ALIGNERS:
        chosen = AlignSettings(aligner, 2, subwords_per_batch=1500)
        batches = length_batches(np.maximum(left.lengths, right.lengths) * 2, 1500)
        copies.clear()
        encoded_links(tiny_encoder, left, right, chosen)
        assert len(copies) == len(batches) > 3


@pytest.mark.parametrize("level", ["word", "subword"])
def test_centring_subtracts_the_mean_of_the_language(tiny_encoder, real_pairs, level: str) -> None:
    left, right = encoded(tiny_encoder, real_pairs, 40)
    chosen = AlignSettings("argmax", 2, level)
    means = mean_vector(tiny_encoder, left, chosen), mean_vector(tiny_encoder, right, chosen)
    batch = make_batch([(left, np.arange(40)), (right, np.arange(40))], tiny_encoder.tokenizer.pad_token_id)
    with torch.inference_mode():
        made = units(hidden_state(tiny_encoder.model, 2, batch.inputs), batch, batch, chosen)
    for side, mean in zip((slice(0, 40), slice(40, 80)), means, strict=True):
        every = made.vectors[side][made.mask[side]].double()
        assert mean.numpy() == pytest.approx(every.mean(0).numpy(), abs=1e-5)
    moved = type(made)(torch.cat([made.vectors[:40] - means[0], made.vectors[40:] - means[1]]), made.mask, made.words)
    centred = [found.links.tolist() for found in encoded_links(tiny_encoder, left, right, chosen, means)]
    assert sum(c == m.links.tolist() for c, m in zip(centred, unit_links(moved, chosen), strict=True)) >= 38
    assert centred != [found.links.tolist() for found in encoded_links(tiny_encoder, left, right, chosen)]


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_sentences_without_words(tiny_encoder, aligner: str) -> None:
    texts = ["", "all human beings", ""]
    left, right = encoded(tiny_encoder, (texts, ["", "", "todos los seres"]), 3)
    assert [len(found.links) for found in encoded_links(tiny_encoder, left, right, AlignSettings(aligner, 1))] == [
        0
    ] * 3
    nothing = encoded(tiny_encoder, ([""], [""]), 1)
    assert encoded_links(tiny_encoder, *nothing, AlignSettings(aligner, 1))[0].links.shape == (0, 2)
    assert encoded_links(tiny_encoder, *encoded(tiny_encoder, ([], []), 0), AlignSettings(aligner, 1)) == []


def test_impossible_settings_are_all_named() -> None:
    with pytest.raises(ConfigError) as raised:
        AlignSettings("itermx", level="letter", distortion=2, temperature=0)
    text = str(raised.value)
    assert len(raised.value.problems) == 4
    assert "did you mean 'itermax'" in text
    assert "level = 'letter' is impossible; expected word or subword" in text
