"""Bitexts and word alignments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrealign.errors import DataError
from xrealign.language import parse_language
from xrealign.types import Bitext, SentencePair, WordAlignment

LINKS = st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 6)))


def test_a_bitext_can_be_gone_through_twice():
    pairs = (SentencePair("1", "a", "b"), SentencePair("2", "c", "d"))
    bitext = Bitext(parse_language("eng"), parse_language("deu"), pairs, "test")
    assert len(bitext) == 2
    assert list(bitext) == list(bitext) == list(pairs)


def test_pharaoh_by_hand():
    """Och & Ney's convention: every sure link is a possible one."""
    alignment = WordAlignment.from_pharaoh("0-0 2p1 1-2", 3, 4)
    assert alignment.links == {(0, 0), (1, 2)}
    assert alignment.possible == {(0, 0), (1, 2), (2, 1)}
    assert alignment.to_pharaoh() == "0-0 1-2 2p1"
    assert WordAlignment.from_pharaoh("1-1", 2, 2).possible == frozenset()
    assert WordAlignment.from_pharaoh(" \t", 0, 0).to_pharaoh() == ""


@given(LINKS, LINKS)
def test_pharaoh_is_read_as_written(sure, other):
    alignment = WordAlignment(sure, 5, 7, sure | other if other else frozenset())
    again = WordAlignment.from_pharaoh(alignment.to_pharaoh(), 5, 7)
    assert again.links == alignment.links
    assert again.links | again.possible == alignment.links | alignment.possible
    assert again.to_pharaoh() == alignment.to_pharaoh()


@given(LINKS, LINKS)
def test_operations_are_those_of_sets(left, right):
    a, b = WordAlignment(left, 5, 7), WordAlignment(right, 5, 7)
    assert (a & b).links == left & right
    assert (a | b).links == left | right
    flipped = WordAlignment(left, 5, 7, left | right).flipped()
    assert flipped.links == {(j, i) for i, j in left}
    assert flipped.possible == {(j, i) for i, j in left | right}
    assert (flipped.src_length, flipped.tgt_length) == (7, 5)
    assert flipped.flipped() == WordAlignment(left, 5, 7, left | right)


@pytest.mark.parametrize("item", ["1", "1-", "-1", "a-b", "1-2-3", "1:2", "1--2", "-1-2", "0p", "1.0-2"])
def test_items_that_are_no_links(item):
    with pytest.raises(DataError, match="is not a link: expected i-j"):
        WordAlignment.from_pharaoh(f"0-0 {item}", 9, 9)


@pytest.mark.parametrize("text", ["3-0", "0-4", "0p4"])
def test_links_outside_the_sentences(text):
    with pytest.raises(DataError, match="points outside sentences of 3 and 4 words"):
        WordAlignment.from_pharaoh(text, 3, 4)


def test_alignments_of_other_sentences_are_not_joined():
    with pytest.raises(DataError, match="alignments of different sentences"):
        WordAlignment(frozenset(), 1, 2) | WordAlignment(frozenset(), 2, 2)
