from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import ft2font
from PIL import Image
from report_sample import NASTY, Sample
from scipy.stats import spearmanr

from xrealign.language import Language
from xrealign.report import figure_style
from xrealign.report.comparison import compare_scores
from xrealign.report.figure_style import Fonts, font_note, fonts_for, label, new_figure, save, style
from xrealign.report.figures import comparison_figures, run_figures
from xrealign.report.measures import measure_summaries
from xrealign.report.page_chart import layer_charts, spearman
from xrealign.report.summary import Summary
from xrealign.types import Score

TIBETAN = Language("bod_Tibt", "བོད་སྐད", None, None)
ARABIC = Language("arb_Arab", "العربية", None, None)
GAP = 0x306E  # HIRAGANA LETTER NO: in STIXGeneral, not in DejaVu Sans
SHAPES = hasattr(ft2font, "__libraqm_version__")


def with_layers(run: Sample) -> list[Score]:
    low = [replace(one, layer=6, value=one.value / 2) for one in run.scores if one.layer == 12]
    return [*run.scores, *low]


def test_a_run_s_figures(run: Sample, summary: Summary, tmp_path: Path) -> None:
    """Every figure in every format, the same bytes each time, with the numbers drawn as text or paths."""
    few = replace(summary, languages=summary.languages[:8])
    measures = measure_summaries(with_layers(run), run.groups, run.context)
    first = run_figures(few, measures, run.context, tmp_path / "a", ["svg", "png", "pdf"])
    second = run_figures(few, measures, run.context, tmp_path / "b", ["svg", "png", "pdf"])
    names = ("languages", "families", "map", "layers", "transfer")
    assert [path.name for path in first] == [f"{name}.{kind}" for name in names for kind in ("svg", "png", "pdf")]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
    for path in first:
        if path.suffix == ".svg":
            tags = {element.tag.rpartition("}")[2] for element in ET.parse(path).iter()}
            assert not tags & {"script", "foreignObject", "image"}
        elif path.suffix == ".png":
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5, "an empty picture"
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_a_comparison_s_figures(run: Sample, tmp_path: Path) -> None:
    """Names of files hold nothing of the data but letters, digits and dashes; two alike are told apart."""
    scores = [
        replace(one, task=task, model=model)
        for one in run.scores
        if one.metric == "accuracy" and not one.variant and one.language in run.groups["in the subset"]
        for task, model in (("intents", "../../m"), ("intents", "m"), (NASTY, ""))
    ]
    paths = comparison_figures(compare_scores(scores, context=run.context), tmp_path / "figures", ["svg"])
    kinds = ("methods", "families", "map")
    tables = ("m-intents", "m-intents-2", "script-alert-x-script-img-src-https-evil-example-x-png-onerror-alert-1")
    assert [path.name for path in paths] == [f"{kind}-{table}.svg" for table in tables for kind in kinds]
    assert {path.parent for path in paths} == {tmp_path / "figures"}


def test_names_without_a_font_give_way_to_tags() -> None:
    names = {"nob_Latn": "Norwegian Bokmål", "ell_Grek": "Ελληνικά", "bod_Tibt": TIBETAN.name, "zul_Latn": ""}
    languages = [Language(tag, name, None, None) for tag, name in names.items()]
    fonts = Fonts(("DejaVu Sans",), frozenset("".join(names.values())) - set(TIBETAN.name), True)
    assert [label(one, fonts) for one in languages] == ["Norwegian Bokmål", "Ελληνικά", "bod_Tibt", "zul_Latn"]
    assert font_note(languages, fonts) == "No font is installed for names of bod_Tibt (script: Tibetan)."
    assert font_note(languages[:2], fonts) == ""
    assert label(Language("x_Latn", "x" * 60, None, None), fonts_for("x")) == "x" * 33 + "…"
    assert label(Language("x_Latn", "a\nb", None, None), fonts_for("ab")) == "a b"


def test_joined_and_right_to_left_writing_needs_raqm() -> None:
    fonts = fonts_for([ARABIC.name])
    assert fonts.known == set(ARABIC.name), "the bundled font has Arabic letters"
    assert fonts.shapes == SHAPES
    assert label(ARABIC, replace(fonts, shapes=True)) == ARABIC.name
    assert label(ARABIC, replace(fonts, shapes=False)) == "arb_Arab"


def test_installed_fonts_fill_the_gaps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A character that DejaVu Sans lacks is taken from an installed font (here one that comes with matplotlib)."""
    from matplotlib.font_manager import FontProperties, findfont

    other = ("STIXGeneral", str(findfont(FontProperties(family="STIXGeneral"))))
    assert GAP in figure_style._characters(other[1])
    assert GAP not in figure_style._characters(figure_style._bundled())
    monkeypatch.setattr(figure_style, "_installed", lambda: (other,))
    fonts = fonts_for(["abc", chr(GAP)])
    assert fonts.families == ("DejaVu Sans", "STIXGeneral")
    assert fonts.known == {"a", "b", "c", chr(GAP)}
    with style(fonts):
        figure = new_figure(2, 1)
        figure.text(0.1, 0.5, f"a{chr(GAP)}")
        save(figure, tmp_path, "name", ["png"])  # a missing glyph would be a warning, and so an error
    assert fonts_for(["abc"]).families == ("DejaVu Sans",)


def test_layer_charts_hold_the_means_of_each_layer(run: Sample) -> None:
    measures = measure_summaries(with_layers(run), run.groups, run.context)
    charts = layer_charts(measures)
    assert [chart.title for chart in charts] == ["sentence retrieval, accuracy", "word retrieval, accuracy"]
    rows = charts[0].table.rows
    assert [row[0] for row in rows] == [6, 12]
    for low, high in zip(rows[0][1:], rows[1][1:], strict=True):
        assert low == pytest.approx(high / 2)  # type: ignore[operator]
    assert [text for _, text in charts[0].x] == ["6", "12"]
    assert len(charts[0].lines) == 6
    assert layer_charts(measure_summaries(run.scores, run.groups, run.context)) == []


def test_rank_correlation_equals_scipy_s() -> None:
    rng = np.random.default_rng(5)
    for n in (3, 10, 60):
        for ties in (2, 5, 1000):
            left, right = rng.integers(0, ties, n).tolist(), rng.integers(0, ties, n).tolist()
            if len(set(left)) > 1 and len(set(right)) > 1:
                assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic, abs=1e-12)
