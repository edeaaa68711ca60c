"""Text from data is text in every format, whatever it is: properties, and cases that once were not."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xrealign.escape import code_block, csv_cell, guarded, json_text, latex, markdown, plain, unguarded, yaml_scalar

markdown_library = pytest.importorskip("markdown")
TEXT = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from("\\`*_[]()<>|#~$@:/w.&!-+=% \t\r\n{}^'\"\x1b\x9b\u202e\u200fa1"), max_size=40),
)


def unseen(text: str) -> list[str]:
    joiners = "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2"
    return [c for c in text if c not in joiners and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


@given(TEXT)
def test_plain_text_is_one_line_that_can_be_seen(text: str) -> None:
    shown = plain(text)
    assert not unseen(shown)
    assert "\n" not in shown
    assert plain(shown) == shown


@given(TEXT)
def test_markdown_makes_no_tags_but_its_paragraph(text: str) -> None:
    reader = Tags()
    reader.feed(markdown_library.markdown(f"x {markdown(text)} x", extensions=["tables"]))
    assert reader.found == {"p"}


@given(TEXT)
def test_a_block_of_code_is_nothing_else(text: str) -> None:
    reader = Tags()
    reader.feed(markdown_library.markdown(code_block(text), extensions=["fenced_code"]))
    assert reader.found <= {"pre", "code"}


@given(TEXT)
def test_latex_has_no_commands_of_its_own(text: str) -> None:
    shown = latex(text)
    assert not shown.startswith(("[", "*"))
    rest = re.sub(r"^\{\}(?=[\[*])|\\text[a-z]+\{\}|\\[{}$&#_%]|\$-\$", "", shown)
    assert not set(rest) & set("\\{}$&#%~^")


@given(TEXT)
def test_yaml_reads_back_as_that_text(text: str) -> None:
    assert yaml.safe_load(yaml_scalar(text)) == plain(text)


@given(TEXT)
def test_a_cell_is_no_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([csv_cell(text), "x"])
    cell = next(csv.reader(io.StringIO(out.getvalue(), newline="")))[0]
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\uff1d") or re.fullmatch(
        r"[-+]?[\d,.]+(e[-+]?\d+)?", cell, re.I
    )


@given(TEXT)
def test_guarded_text_reads_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in ("=", "+", "-", "@")


@given(st.dictionaries(TEXT, TEXT, max_size=3))
def test_json_is_the_same_and_can_be_seen(content: dict[str, str]) -> None:
    made = json_text(content)
    assert json.loads(made) == content
    assert not unseen(made.replace("\n", ""))


@pytest.mark.parametrize("value", ["-1.5", "+3", "1e-5", "-1,234", "\u22121.5"])
def test_numbers_stay_numbers(value: str) -> None:
    assert csv_cell(value) == value


@pytest.mark.parametrize("value", ["=1", "-1+1", "+cmd|x", "@SUM(A1)", " =1", "\t=1", "\uff1d1", "-"])
def test_formulas_do_not(value: str) -> None:
    assert csv_cell(value).startswith("'")


@pytest.mark.parametrize(
    "value", ["https://evil.example", "www.evil.example", "me@evil.example", "WWW.x.y", "_www.evil.com"]
)
def test_addresses_are_not_followed(value: str) -> None:
    assert re.search(r"\\[:.@]", markdown(value))
