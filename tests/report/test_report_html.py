from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from report_browser import Page, browser, chromium
from report_reader import Reader, read_page
from report_sample import NASTY, Sample

from xrealign.report import write_report
from xrealign.report.format import percent, points
from xrealign.report.summary import Summary

LIMIT = 3 * 1024 * 1024


@pytest.fixture(scope="module")
def page(run: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run.scores, run.groups, run.context, tmp_path_factory.mktemp("report"), run.items)


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    return read_page(page.read_text(encoding="utf-8"))


def test_the_page_is_well_formed_and_small(page: Path, read: Reader) -> None:
    assert page.stat().st_size < LIMIT
    assert read.tags["script"] == read.tags["style"] == read.tags["h1"] == read.tags["main"] == 1
    assert "img" not in read.tags
    assert ("html", "lang", "en") in read.attributes
    identifiers = [value for _, name, value in read.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_nothing_is_loaded_from_elsewhere(read: Reader) -> None:
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style", "an inline style would break the content security policy"
        if name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            assert value.startswith("#"), (tag, name, value)
    links = {value[1:] for _, name, value in read.attributes if name == "href"}
    assert links <= {value for _, name, value in read.attributes if name == "id"}
    for text in read.raw.values():
        assert "//" not in re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
        assert "@import" not in text
        assert "url(" not in text


def test_the_policy_allows_exactly_this_style_and_script(read: Reader) -> None:
    policy = next(
        value for tag, name, value in read.attributes if tag == "meta" and name == "content" and "src" in value
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(read.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_text_from_data_stays_text(read: Reader, page: Path) -> None:
    """The injected name, warning, reason and configuration appear as text; no tag or attribute came of them."""
    assert sum(NASTY in text for text in read.texts) >= 5
    assert any("</pre><script>alert(1)</script>" in text for text in read.texts)
    assert "evil.example" not in " ".join(value for _, name, value in read.attributes if name in ("src", "href"))
    source = page.read_text(encoding="utf-8")
    assert "<script>alert" not in source
    assert "<img" not in source


def test_every_language_stands_in_plot_and_table_with_its_numbers(read: Reader, summary: Summary) -> None:
    labels = [value for tag, name, value in read.attributes if (tag, name) == ("svg", "aria-label")]
    text = " ".join(" ".join(read.texts).split())
    for row in summary.languages:
        change = row.scores.differences["baseline"]
        spoken = [label for label in labels if f"({row.language.tag}): " in label]
        assert len(spoken) == 1
        assert f"baseline {percent(row.scores.values['baseline'])}" in spoken[0]
        assert f"difference {points(change.value)} points" in spoken[0]
        assert text.count(row.language.tag) >= 2
    searched = Counter(tag for tag, name, _ in read.attributes if name == "data-search")
    everything = len(summary.languages)
    # Two tables; the map lacks the source language and one that has no coordinates.
    assert searched == {"div": everything, "tr": 2 * everything, "circle": everything - 2}


def test_marks_lie_where_the_numbers_say(page: Path, summary: Summary) -> None:
    source = page.read_text(encoding="utf-8")
    languages = source.split('id="h-languages"')[1]
    ticks = [float(tick) for tick in re.findall(r">(\d+)</text>", languages.split('<div class="part')[0])]
    row = next(one for one in summary.languages if one.language.iso == "bul")
    line = languages.split('aria-label="Bulgarian')[1].split("</svg>")[0]
    for method, value in row.scores.values.items():
        found = re.search(rf'#mark-{method}" class="[^"]*" x="([\d.]+)%"', line)
        assert found is not None
        assert ticks[0] + float(found[1]) / 100 * (ticks[-1] - ticks[0]) == pytest.approx(100 * value, abs=0.01)


def test_every_part_of_a_report_is_there(read: Reader, summary: Summary) -> None:
    sections = [value for tag, name, value in read.attributes if (tag, name) == ("section", "id")]
    wanted = "groups languages methods map measures selection cost warnings reproduce"
    assert sections == wanted.split()
    text = " ".join(" ".join(read.texts).split())
    for facet in summary.facets:
        assert f"intents: accuracy by {facet.name}" in text
    assert {facet.name for facet in summary.facets} == {"family", "script", "resource class"}
    for reference in ("baseline", "centred", "control"):
        assert f"realigned − {reference}" in text
    assert "Disk: 475 MB" in text
    assert "Optimiser steps: 430" in text


def test_the_heat_map_holds_each_difference(page: Path, summary: Summary) -> None:
    """Families together, large ones first; the shade and the weight of a cell follow from its number."""
    source = page.read_text(encoding="utf-8")
    table = source.split('<table class="sortable heat"')[1].split("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*</tr>", table.split("<tbody>")[1], flags=re.DOTALL)
    families = [re.search(r'<td data-v="([^"]*)"', row)[1] for row in rows]  # type: ignore[index]
    assert len(rows) == len(summary.languages)
    assert families[0] == "Indo-European"
    assert [family for family, _ in groupby(families)] == list(dict.fromkeys(families))
    assert families[-1] == "isolate or not recorded"
    known = {row.language.tag: row for row in summary.languages}
    for row in rows:
        tag = re.search(r"<small>(\w{3}_\w{4})</small>", row)[1]  # type: ignore[index]
        cells = re.findall(r'<td class="num (\S+?)( sure)?" data-v="([^"]*)"', row)
        changes = known[tag].scores.changes
        for (shade, sure, value), method in zip(cells, ("centred", "control", "realigned"), strict=True):
            if method not in changes:
                assert (shade, value) == ("none", "")
                continue
            assert float(value) == pytest.approx(changes[method].value, rel=1e-5, abs=1e-9)
            found = changes[method].interval
            assert bool(sure) == (found is not None and (found.low > 0 or found.high < 0))
            assert shade == "s0" or (shade[1] == "-") == (float(value) < 0)


def test_controls_have_names_for_those_who_do_not_see(read: Reader) -> None:
    named = {value for tag, name, value in read.attributes if tag == "svg" and name in ("aria-label", "aria-hidden")}
    assert (
        len([1 for tag, name, _ in read.attributes if tag == "svg" and name in ("aria-label", "aria-hidden")])
        == read.tags["svg"]
    )
    assert "" not in named
    assert read.tags["caption"] == read.tags["table"]
    scopes = Counter(value for tag, name, value in read.attributes if (tag, name) == ("th", "scope"))
    assert scopes["col"] + scopes["row"] == read.tags["th"]


def test_a_run_with_little_to_tell_still_makes_a_page(run: Sample, tmp_path: Path) -> None:
    tag = run.groups["in the subset"][0]
    few = [one for one in run.scores if one.language == tag and one.task == "intents" and one.metric == "accuracy"]
    path = write_report(few, {}, {"languages": run.context["languages"]}, tmp_path)
    reader = read_page(path.read_text(encoding="utf-8"))
    assert "no claim" in " ".join(reader.texts)
    assert "None" not in " ".join(reader.texts)


def test_the_folder_holds_the_whole_report(page: Path, run: Sample) -> None:
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"report.html", "report.md", "scores.parquet", "scores.csv", "figures"}
    figures = {path.name for path in (page.parent / "figures").iterdir()}
    wanted = ("languages", "families", "map", "transfer")
    assert figures == {f"{name}.{kind}" for name in wanted for kind in ("png", "svg", "pdf")}
    text = (page.parent / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", text.split("## How to reproduce")[0])
    assert text.count("````") == 2
    assert run.context["command"] in text


@pytest.mark.parametrize("forms", [["svg"], []])
def test_figures_in_the_forms_that_are_wanted(run: Sample, tmp_path: Path, forms: list[str]) -> None:
    write_report(run.scores, run.groups, run.context, tmp_path, run.items, forms)
    assert (tmp_path / "report.html").is_file()
    assert {path.suffix for path in tmp_path.glob("figures/*")} == {f".{form}" for form in forms}


def test_writing_again_gives_the_same_bytes(page: Path, run: Sample, tmp_path: Path) -> None:
    write_report(run.scores, run.groups, run.context, tmp_path, run.items)
    for path in page.parent.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / path.relative_to(page.parent)).read_bytes(), path.name


def test_colours_have_enough_contrast(read: Reader) -> None:
    """Text against every ground at 4.5 to 1, marks and lines at 3 to 1 (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, two: str) -> float:
        light, dark = sorted((luminance(one), luminance(two)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    themes = [
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r"\{[^{}]*\}", read.raw["style"])
    ]
    themes = [theme for theme in themes if "paper" in theme]
    assert len(themes) == 3
    for theme in themes:
        for ground in ("paper", "panel"):
            for text in ("ink", "muted", "gain", "loss"):
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
            for line in ("mark", "base", "c2", "c3", "c4", "c5", "c6", "c7"):
                assert contrast(theme[line], theme[ground]) >= 3, (line, ground)
        for step in (1, 2, 3, 4):
            for shade in (f"p{step}", f"n{step}"):
                assert contrast(theme["ink"], theme[shade]) >= 4.5, shade
        assert contrast(theme["gain"], theme["gain-soft"]) >= 4.5
        assert contrast(theme["loss"], theme["loss-soft"]) >= 4.5


SHOWN = "[...document.querySelectorAll('#by-language tbody tr:not([hidden])')].map(r => r.cells[0].dataset.v)"
LINES = "document.querySelectorAll('.line[data-search]:not([hidden])').length"


@pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
def test_in_a_browser(page: Path, summary: Summary) -> None:
    """Nothing goes wrong, nothing is requested, sorting, filtering and the theme work, nothing is cut off."""
    with browser() as view:
        view.open(page)
        everything = len(summary.languages)
        assert view.js("document.getElementById('count').textContent") == f"{everything} languages"
        check_sorting(view, summary)
        check_filter(view, summary, everything)
        paper = "getComputedStyle(document.body).backgroundColor"
        light = view.js(paper)
        view.js("document.getElementById('theme').click()")
        assert view.js(paper) != light
        for width in (1200, 400):
            view.open(page, width)
            assert view.js("document.documentElement.scrollWidth") <= width
            assert view.js("document.querySelectorAll('.plot svg').length") > everything
        assert view.problems == []


def check_sorting(view: Page, summary: Summary) -> None:
    heads = view.js("[...document.querySelectorAll('#by-language th[scope=col]')].map(h => h.textContent)")
    press = "document.querySelectorAll('#by-language th button')[{}].click()"
    view.js(press.format(heads.index("realigned")))
    wanted = sorted(-row.scores.values["realigned"] for row in summary.languages)
    places = {row.language.name: -row.scores.values["realigned"] for row in summary.languages}
    assert [places[name] for name in view.js(SHOWN)] == wanted
    view.js(press.format(heads.index("realigned")))
    assert [places[name] for name in view.js(SHOWN)] == wanted[::-1]
    assert view.js("document.querySelector('#by-language th[aria-sort]').textContent") == "realigned"
    view.js(press.format(heads.index("control")))
    assert view.js(SHOWN)[-1] == "Lao", "a language without that score comes last"
    view.js(press.format(heads.index("control")))
    assert view.js(SHOWN)[-1] == "Lao"


def check_filter(view: Page, summary: Summary, everything: int) -> None:
    write = "s = document.getElementById('search'); s.value = '{}'; s.dispatchEvent(new Event('input'))"
    view.js(write.format("uralic"))
    assert sorted(view.js(SHOWN)) == ["Estonian", "Finnish", "Hungarian"]
    assert view.js(LINES) == 3
    assert view.js("document.getElementById('count').textContent") == f"3 of {everything} languages"
    view.js(write.format(""))
    unseen = next(number for number, row in enumerate(summary.groups) if row.name == "unseen in pre-training")
    view.js(f"g = document.getElementById('group'); g.value = '{unseen}'; g.dispatchEvent(new Event('change'))")
    assert len(view.js(SHOWN)) == len(summary.groups[unseen].languages)
    view.js("g.value = ''; g.dispatchEvent(new Event('change'))")
    assert view.js(LINES) == everything
