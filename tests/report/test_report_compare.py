from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from report_browser import Page, browser, chromium
from report_reader import Reader, read_page
from report_sample import NASTY, Sample

from xrealign.report.comparison import Comparison, compare_scores
from xrealign.report.format import percent, plain, points
from xrealign.report.measures import measure_summaries
from xrealign.report.page_compare import comparison_page
from xrealign.types import Score

LIMIT = 3 * 1024 * 1024
METHODS = ("baseline", "centred", "control", "realigned", "freeze_realign_unfreeze_last_half_dico", NASTY)
GAINS = (0.0, -0.02, 0.01, 0.06, 0.02, -0.03)
BIDI = "\u202eevil\u2066"
FORMULA = '=HYPERLINK("https://evil.example")'


def scores_of(run: Sample, seeds: int = 3, models: tuple[str, ...] = ("m-a", BIDI)) -> list[Score]:
    """Two tasks and two models; one method lacks a task, one language lacks a method."""
    rng = np.random.default_rng(3)
    found = []
    for model in models:
        for task in ("intents", FORMULA):
            for tag in dict.fromkeys(tag for tags in run.groups.values() for tag in tags):
                base = rng.uniform(0.3, 0.85)
                for method, gain in zip(METHODS, GAINS, strict=True):
                    if (method, task) == (NASTY, FORMULA) or (method, tag) == ("control", "lao_Latn"):
                        continue
                    for seed in range(seeds):
                        value = float(np.clip(base + gain + rng.normal(0, 0.01), 0, 1))
                        common = {"language": tag, "metric": "accuracy", "n": 100, "seed": seed, "model": model}
                        found.append(Score(run="r", method=method, task=task, value=value, **common))
    return found


@pytest.fixture(scope="module")
def comparison(run: Sample) -> Comparison:
    return compare_scores(scores_of(run), groups=run.groups, context=run.context)


@pytest.fixture(scope="module")
def page(run: Sample, comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    measures = {"m-a": measure_summaries(run.scores, run.groups, run.context)}
    other = run.context | {"run": NASTY, "encoder": FORMULA, "warnings": [BIDI], "task": "intents"}
    path = tmp_path_factory.mktemp("compare") / "comparison.html"
    path.write_text(comparison_page(comparison, [run.context | {"task": "intents"}, other], measures), "utf-8")  # type: ignore[list-item]
    return path


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    return read_page(page.read_text("utf-8"))


def test_the_page_is_well_formed_and_small(page: Path, read: Reader) -> None:
    assert page.stat().st_size < LIMIT
    assert read.tags["script"] == read.tags["style"] == read.tags["h1"] == read.tags["main"] == 1
    identifiers = [value for _, name, value in read.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    links = {value[1:] for _, name, value in read.attributes if name == "href"}
    assert links <= set(identifiers)
    assert read.tags["caption"] == read.tags["table"]
    scopes = [value for tag, name, value in read.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == read.tags["th"]
    assert (
        len([1 for tag, name, _ in read.attributes if tag == "svg" and name in ("aria-label", "aria-hidden")])
        == (read.tags["svg"])
    )


def test_text_from_data_stays_text(page: Path, read: Reader) -> None:
    assert sum(NASTY in text for text in read.texts) >= 3
    assert "img" not in read.tags
    for tag, name, value in read.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style"
        if name in ("src", "href", "action", "data"):
            assert value.startswith("#")
    source = page.read_text("utf-8")
    assert "<script>alert" not in source
    assert not set(BIDI) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(source)
    assert "\ufffdevil\ufffd" in source


def test_the_results_are_the_comparison_s(read: Reader, comparison: Comparison) -> None:
    text = " ".join(" ".join(read.texts).split())
    for table in comparison.tasks:
        row = table.targets
        for method in table.methods:
            scored = row.scores[method]
            assert f"{percent(scored.mean)} ± {percent(scored.std)}" in text
            for change in row.changes.get(method, {}).values():
                assert points(change.value) in text
                assert change.interval is not None
                assert f"{points(change.interval.low)} to {points(change.interval.high)}" in text
    claimed = [kind for table in comparison.tasks for kind in table.targets.verdicts.values()]
    assert f"{claimed.count('gain')} show a gain beyond both controls" in text
    assert claimed.count("gain") >= 2
    for part in ("Everything at a glance", "Where the gains lie", "How to reproduce", "Does better alignment go"):
        assert part in text
    assert "Georgian" in text
    assert "below always answering its most frequent label (99.0): baseline" in text


def test_every_language_stands_in_each_heat_map(page: Path, comparison: Comparison) -> None:
    source = page.read_text("utf-8").split('id="h-languages"')[1].split("</section>")[0]
    tables = source.split("<table")[1:]
    assert len(tables) == len(comparison.tasks)
    for found, table in zip(tables, comparison.tasks, strict=True):
        tags = re.findall(r"<small>(\w{3}_\w{4})</small>", found)
        assert sorted(tags) == sorted(line.language.tag for line in table.languages)
        for line in table.languages:
            row = found.split(f"<small>{line.language.tag}</small>")[1].split("</tr>")[0]
            wanted = [line.changes[m]["baseline"].value for m in table.methods[1:] if m in line.changes]
            found_values = [float(v) for v in re.findall(r'class="num s\S+[^"]*" data-v="([^"]+)"', row)]
            assert found_values == pytest.approx(wanted, rel=1e-5)


def test_a_small_comparison_needs_no_choices(run: Sample) -> None:
    tags = run.groups["in the subset"][:2]
    few = [one for one in scores_of(run, 1, ("",)) if one.language in tags and one.method in ("baseline", "realigned")]
    few = [one for one in few if one.task == "intents"]
    reader = read_page(comparison_page(compare_scores(few, context=run.context)))
    text = " ".join(reader.texts)
    assert "select" not in reader.tags
    assert "None" not in text
    assert "no claim" in text


def test_a_large_comparison_stays_small(run: Sample) -> None:
    """22 methods on 12 tables: only the best methods are plotted, all stand in the heat maps."""
    rng = np.random.default_rng(0)
    tags = [tag for tags in run.groups.values() for tag in tags][:34]
    names = ["baseline", *(f"freeze_realign_unfreeze_last_{number}_dico" for number in range(21))]
    scores = [
        Score("r", name, f"task{task}", tag, "accuracy", float(rng.uniform()), 100, seed, model=f"model{task % 3}")
        for name in names for task in range(12) for tag in tags for seed in range(1)
    ]  # fmt: skip
    source = comparison_page(compare_scores(scores, context=run.context))
    assert len(source.encode()) < LIMIT
    reader = read_page(source)
    assert "plots and maps show the 5 methods with the largest gains" in " ".join(reader.texts)
    assert source.count('class="block plot"') == 12 * 5


@pytest.mark.skipif(chromium() is None, reason="chromium is not installed")
def test_in_a_browser(page: Path, comparison: Comparison) -> None:
    """Choosing, sorting and filtering work; nothing goes wrong, is requested or cut off; no text became active."""
    with browser() as view:
        view.open(page)
        check_choices(view, comparison)
        check_table(view)
        for width in (1200, 400):
            for dark in (False, True):
                view.open(page, width, dark=dark)
                assert view.js("document.documentElement.scrollWidth") <= width
        active = "document.querySelectorAll('script, iframe, object, embed, img, link, form, base').length"
        assert view.js(active) == 1
        assert (
            view.js(
                "[...document.querySelectorAll('*')].some(e => e.getAttributeNames().some(n => n.startsWith('on')))"
            )
            is False
        )
        assert view.problems == []


SHOWN = "[...document.querySelectorAll('{} .block:not([hidden])')].map(b => b.querySelector('h3')?.textContent)"


def check_choices(view: Page, comparison: Comparison) -> None:
    choose = "s = document.querySelector('select[data-pick={}]'); s.value = '{}'; s.dispatchEvent(new Event('change'))"
    assert view.js(SHOWN.format("#groups")) == [plain(comparison.tasks[0].title)]
    assert view.js(SHOWN.format("#forest")) == [plain(f"{comparison.tasks[0].title}: realigned")]
    nasty = comparison.methods.index(NASTY)
    view.js(choose.format("method", f"m{nasty}"))
    assert view.js(SHOWN.format("#forest")) == [plain(f"{comparison.tasks[0].title}: {NASTY}")]
    # The second table lacks that method.
    view.js(choose.format("table", "t1"))
    assert view.js(SHOWN.format("#groups")) == [plain(comparison.tasks[1].title)]
    assert view.js(SHOWN.format("#forest")) == [plain(f"{comparison.tasks[1].title}: realigned")]
    assert view.js("document.querySelectorAll('#map .block:not([hidden])').length") == 1
    view.js(choose.format("table", "t0"))


def check_table(view: Page) -> None:
    rows = "[...document.querySelectorAll('#languages .block:not([hidden]) tbody tr:not([hidden])')]"
    everything = view.js(f"{rows}.length")
    assert everything == 61
    view.js("document.querySelectorAll('#languages .block:not([hidden]) th button')[2].click()")
    values = view.js(f"{rows}.map(r => Number(r.cells[2].dataset.v))")
    assert values == sorted(values, reverse=True)
    view.js("s = document.getElementById('search'); s.value = 'uralic'; s.dispatchEvent(new Event('input'))")
    assert sorted(view.js(f"{rows}.map(r => r.cells[0].dataset.v)")) == ["Estonian", "Finnish", "Hungarian"]
    assert view.js("document.getElementById('count').textContent") == f"3 of {everything} languages"
    assert (
        view.js("document.querySelectorAll('#forest .block:not([hidden]) .line[data-search]:not([hidden])').length")
        == 3
    )
    assert (
        view.js("document.querySelectorAll('#map .block:not([hidden]) circle[data-search]:not([hidden])').length") == 3
    )
    view.js("s.value = ''; s.dispatchEvent(new Event('input'))")
    view.js(
        "i = document.querySelector('#groups .sift input'); i.value = 'uralic'; i.dispatchEvent(new Event('input'))"
    )
    assert view.js("[...document.querySelectorAll('#groups .block:not([hidden]) tbody tr:not([hidden])')].length") == 1
