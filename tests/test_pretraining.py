"""Lists of pre-training languages, against what the papers say of them."""

from __future__ import annotations

import pytest

from xrealign.errors import LanguageError
from xrealign.language import parse_language
from xrealign.pretraining import LISTS, seen_isos


def iso(code):
    return parse_language(code).iso


def test_counts_are_the_published_ones():
    """XLM-R: 100 corpora, 6 of them romanised or in another encoding, Chinese twice. mBERT: 104 Wikipedias, Chinese
    twice, and Serbo-Croatian, which Bosnian, Croatian and Serbian stand for."""
    assert len(LISTS["xlm-r"]) == len(seen_isos("xlm-r")) == 100 - 6 - 1
    assert len(LISTS["mbert"]) == len(seen_isos("mbert")) == 104 - 1 - 1


@pytest.mark.parametrize(
    ("code", "xlm_r", "mbert"),
    [("eng", True, True), ("swh", True, True), ("yor", False, True), ("amh", True, False), ("tha", True, True),
     ("quy", False, False), ("wol", False, False), ("eus", True, True), ("uig", True, False), ("ceb", False, True),
     ("kin", False, False), ("zho_Hant", True, True), ("hau", True, False), ("mlt", False, False)],
)  # fmt: skip
def test_who_saw_what(code, xlm_r, mbert):
    """Members checked in Conneau et al. (2020, table 6) and in BERT's multilingual page."""
    assert (iso(code) in seen_isos("xlm-r"), iso(code) in seen_isos("mbert")) == (xlm_r, mbert)


def test_lists_of_ones_own_and_the_unknown():
    assert seen_isos("unknown") is None
    assert seen_isos(["deu_Latn", "zh-TW"]) == {"deu", "zho"}
    assert seen_isos([]) == frozenset()
    with pytest.raises(
        LanguageError, match="no list of pre-training languages is called 'xlmr'; there are xlm-r, mbert"
    ):
        seen_isos("xlmr")
