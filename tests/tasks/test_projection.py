"""Labels through links: hand-worked sentences, and what must hold for any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.tasks.projection import project, project_spans, project_tags, spans_of
from xrealign.tasks.task import TaggedExample


def links(text: str) -> np.ndarray:
    return np.array([[int(n) for n in pair.split("-")] for pair in text.split()], dtype=np.int64).reshape(-1, 2)


def test_parts_of_speech_by_hand() -> None:
    # the old man sleeps -> der alte Mann schläft gerade
    tags = ("DET", "ADJ", "NOUN", "VERB")
    assert project_tags(tags, links("0-0 1-1 2-2 3-3"), 5) == ("DET", "ADJ", "NOUN", "VERB", "")
    assert project_tags(tags, links("1-0 2-0 3-0"), 1) == ("ADJ",)  # a tie: the first link's
    assert project_tags(tags, links("1-0 2-0 2-0"), 1) == ("NOUN",)


def test_names_by_hand() -> None:
    # Ada Lovelace met Babbage -> Babbage traf die Gräfin Ada Lovelace
    tags = ("B-PER", "I-PER", "O", "B-PER")
    found, reason = project_spans(tags, links("0-4 1-5 2-1 3-0"), 6)
    assert (found, reason) == (("B-PER", "O", "O", "O", "B-PER", "I-PER"), "")
    # a word between the two that no link reaches belongs to the hull
    assert project_spans(("B-ORG", "I-ORG"), links("0-0 1-2"), 3)[0] == ("B-ORG", "I-ORG", "I-ORG")


@pytest.mark.parametrize(
    ("tags", "pairs", "words", "reason"),
    [
        (("B-PER", "O"), "1-0", 2, "without links"),
        (("B-PER", "O"), "0-0 0-4", 5, "far apart"),
        (("B-PER", "B-LOC"), "0-0 1-0", 1, "overlap"),
    ],
)
def test_names_that_cannot_be_carried(tags: tuple[str, ...], pairs: str, words: int, reason: str) -> None:
    found, told = project_spans(tags, links(pairs), words)
    assert found is None
    assert reason in told


def test_sentences_are_kept_or_counted() -> None:
    tagged = [TaggedExample(("a", "b"), ("B-X", "O"), str(n)) for n in range(3)]
    found = project(
        tagged, [["c", "d"], ["c", "d"], ["c", "d", "e"]], [links("0-1 1-0"), links("1-0"), links("0-0")], True
    )
    assert [example.tags for example in found.examples] == [("O", "B-X")]
    assert found.left_out == {"a name without links": 1, "too few linked words": 1}
    with pytest.raises(DataError, match="3 sentences, 2 translations"):
        project(tagged, [["c"], ["d"]], [links("")] * 3, False)
    with pytest.raises(DataError, match="link 0-5 points outside"):
        project(tagged[:1], [["c"]], [links("0-5")], False)


def test_tags_that_are_not_bio_are_refused() -> None:
    with pytest.raises(DataError, match=r"I-LOC at word 2"):
        spans_of(("B-PER", "I-LOC"))


@given(st.data())
def test_a_permutation_carries_every_tag_and_every_name(data: st.DataObject) -> None:
    """Sentences that are each other in another order of names: nothing is lost, and back again is the same."""
    pieces = data.draw(st.lists(st.tuples(st.sampled_from("XYO"), st.integers(1, 3)), min_size=1, max_size=5))
    order = data.draw(st.permutations(range(len(pieces))))
    tags: list[str] = []
    starts = []
    for kind, size in pieces:
        starts.append(len(tags))
        tags += ["O"] * size if kind == "O" else [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
    new = [starts[p] + n for p in order for n in range(pieces[p][1])]  # source word at each target place
    pairs = np.array([[i, j] for j, i in enumerate(new)])
    found, _ = project_spans(tags, pairs, len(tags))
    assert found == tuple(tags[i] for i in new)
    assert project_tags(tags, pairs, len(tags)) == found
    assert project_spans(found, pairs[:, ::-1], len(tags))[0] == tuple(tags)


def test_words_without_a_tag_are_not_learned() -> None:
    import torch
    from torch.nn import functional as F

    from xrealign.tasks.task import Task
    from xrealign.train.heads import tag_loss
    from xrealign.train.task_inputs import UNKNOWN
    from xrealign.train.task_streams import TaskBatch

    source = parse_language("eng")
    half = TaggedExample(("a", "b", "c"), ("X", "", "Y"), "1")
    Task("t", "pos", source, (), (half,), (), {}, tags=("X", "Y"))
    with pytest.raises(DataError, match="tags that training lacks"):
        Task("t", "pos", source, (), (half,), (), {source: (half,)}, tags=("X", "Y"))
    scores = torch.tensor([[0.3, 1.0], [2.0, -1.0], [0.0, 0.5]])
    batch = TaskBatch.__new__(TaskBatch)
    object.__setattr__(batch, "tags", torch.tensor([0, UNKNOWN, 1]))
    by_hand = (F.cross_entropy(scores[:1], torch.tensor([0])) + F.cross_entropy(scores[2:], torch.tensor([1]))) / 2
    assert float(tag_loss(scores, batch)) == pytest.approx(float(by_hand), abs=1e-6)
    object.__setattr__(batch, "tags", torch.full((3,), UNKNOWN))
    assert float(tag_loss(scores, batch)) == 0.0
