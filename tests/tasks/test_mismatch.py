"""Types of spans that look exchanged: found where they were, and not where a model is merely weak or a set small."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from xrealign.tasks.mismatch import exchanged_text, exchanged_types
from xrealign.tasks.projection import spans_of

TYPES = ("PER", "LOC", "ORG")


def drawn(seed: int, sentences: int = 80, types: tuple[str, ...] = TYPES) -> list[tuple[str, ...]]:
    """Sentences of ten words with a name or two of the types."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(sentences):
        tags = ["O"] * 10
        for start in (1, 6)[: int(draw.integers(1, 3))]:
            name = types[
                int(draw.choice(len(types), p=np.array([3, 2, 1])[: len(types)] / sum([3, 2, 1][: len(types)])))
            ]
            tags[start : start + 2] = [f"B-{name}", f"I-{name}"]
        rows.append(tuple(tags))
    return rows


def noisy(rows, seed, wrong=0.3, names=None):
    """What a model might say: some spans lost, some of another type, the types called by other names."""
    draw = np.random.default_rng(seed)
    said = []
    for row in rows:
        tags = ["O"] * len(row)
        for start, end, kind in spans_of(row):
            if draw.random() < wrong:
                continue
            one = TYPES[int(draw.integers(3))] if draw.random() < wrong else kind
            one = (names or {}).get(one, one)
            tags[start:end] = [f"B-{one}"] + [f"I-{one}"] * (end - start - 1)
        said.append(tuple(tags))
    return said


@pytest.mark.parametrize("seed", range(10))
def test_sound_labels_are_not_flagged(seed):
    gold = drawn(seed)
    assert exchanged_types(gold, gold) == {}
    assert exchanged_types(gold, noisy(gold, seed)) == {}
    assert exchanged_types(gold, noisy(gold, seed, wrong=0.6)) == {}
    assert exchanged_types(gold[:4], noisy(gold[:4], seed)) == {}


@pytest.mark.parametrize("names", [dict(zip(TYPES, p, strict=True)) for p in permutations(TYPES) if p != TYPES])
@pytest.mark.parametrize("seed", range(3))
def test_permuted_labels_are_flagged_and_named(seed, names):
    gold = drawn(seed)
    back = {said: meant for meant, said in names.items() if said != meant}
    assert exchanged_types(gold, noisy(gold, seed, names=names)) == back
    assert exchanged_types(gold, noisy(gold, seed, wrong=0.0, names=names)) == back


def test_names_that_gold_does_not_have():
    gold = drawn(1)
    said = noisy(gold, 1, names={"PER": "person"})
    assert exchanged_types(gold, said) == {"person": "PER"}
    assert exchanged_text({"person": "PER", "X": "LOC"}) == "person for PER, X for LOC"
    assert exchanged_types([("O", "O")], [("O", "O")]) == {}
    assert exchanged_types([("B-PER",)], [("",)]) == {}


def test_one_type_for_all_is_told_where_it_is_clear():
    """Nothing was learned of this language's types; the message asks whether the labels mean the same."""
    gold = drawn(2)
    said = [tuple(f"{tag[0]}-ORG" if tag != "O" else tag for tag in row) for row in gold]
    assert exchanged_types(gold, said) == {"ORG": "PER"}


def test_the_best_renaming_is_that_of_a_search_through_all():
    draw = np.random.default_rng(0)
    for _ in range(50):
        together = draw.integers(0, 30, (3, 3))
        gold, said = [], []
        for i, j in np.ndindex(3, 3):
            gold += [(f"B-{TYPES[j]}",)] * int(together[i, j])
            said += [(f"B-{TYPES[i]}",)] * int(together[i, j])
        order = sorted(range(3), key=lambda n: TYPES[n])
        best = max(permutations(range(3)), key=lambda p: (sum(together[i, p[i]] for i in range(3)), p == (0, 1, 2)))
        moved = [i for i in order if best[i] != i]
        won, lost = (sum(int(together[i, at[i]]) for i in moved) for at in (best, (0, 1, 2)))
        wanted = {TYPES[i]: TYPES[best[i]] for i in moved if together[i, best[i]]}
        assert exchanged_types(gold, said) == (wanted if won - lost > 2 * (won + lost) ** 0.5 else {})
