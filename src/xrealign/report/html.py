"""One self-contained HTML page: no network, no data that could become markup, scripts and styles by hash only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from xrealign.report.context import (
    BASELINE,
    CONTROLS,
    METHODS,
    REALIGNED,
    DataSource,
    ReportContext,
    language_of,
    metric_name,
)
from xrealign.report.format import counted, duration, interval, percent, plain, points
from xrealign.report.measures import Measure
from xrealign.report.scale import Scale, scale_for
from xrealign.report.summary import Difference, LanguageRow, Summary
from xrealign.report.tables import (
    Table,
    cell_text,
    group_table,
    measure_language_table,
    measure_table,
    measure_title,
    spread_text,
)
from xrealign.report.verdict import HONEST, headline, judge, seed_note

_TEMPLATES = Path(__file__).parent / "templates"
# Marks of the per-language plot; other methods appear in the table only.
_DRAWN = (BASELINE, *CONTROLS, REALIGNED)


def html_page(
    summary: Summary,
    measures: Sequence[Measure],
    context: ReportContext,
    warnings: Iterable[str] = (),
    others: Sequence[Summary] = (),
) -> str:
    """The report as one page. ``others``: further metrics and tasks, shown by group."""
    style = _source("report.css")
    script = _source("report.js")
    measure_scale = scale_for(
        (value for measure in measures for row in measure.groups for value in row.values.values()), 11, (0, 1)
    )
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            summary=summary,
            context=dict.fromkeys(ReportContext.__annotations__) | context,
            data=[dict.fromkeys(DataSource.__annotations__) | source for source in context.get("data", ())],
            verdict=headline(summary),
            seed_note=seed_note(summary),
            honest=HONEST,
            methods={method: METHODS.get(method, "another method") for method in summary.methods},
            drawn=[method for method in _DRAWN if method in summary.methods],
            group_table=group_table(summary),
            forest=_forest(summary),
            languages=_languages(summary),
            measures=[_measure_view(measure, context, measure_scale) for measure in measures],
            measure_scale=measure_scale,
            others=[group_table(other) for other in others],
            subset=[(language_of(tag, context), why) for tag, why in context.get("subset", ())],
            pairs=_bars(
                (language_of(tag, context).name or tag, count) for tag, count in context.get("pairs", {}).items()
            ),
            seconds=_bars(context.get("seconds", {}).items()),
            warnings=list(warnings),
        )
    )


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every text that is not markup of ours loses control characters here and is escaped after that.
        finalize=lambda value: value if not isinstance(value, str) or isinstance(value, Markup) else plain(value),
    )
    environment.filters.update(
        percent=percent,
        points=points,
        duration=duration,
        cell=cell_text,
        metric=metric_name,
        spread=spread_text,
        judge=judge,
        block=lambda text: Markup(escape(plain(text, keep_lines=True))),
    )
    environment.globals.update(counted=counted, range_text=range_text, tone=tone)
    return environment


def tone(difference: Difference | None) -> str:
    """``up`` or ``down`` where the interval is clear of zero, else ``flat``."""
    found = difference.interval if difference else None
    if found is None:
        return "flat"
    return "up" if found.above_zero else "down" if found.below_zero else "flat"


def range_text(difference: Difference | None) -> str:
    """The interval in points, empty where there is none."""
    found = difference.interval if difference else None
    return interval(found.low, found.high) if found else ""


def _languages(summary: Summary) -> dict[str, Any]:
    numbers = {row.name: number for number, row in enumerate(summary.groups)}
    values = [
        row.scores.values[method] for row in summary.languages for method in _DRAWN if method in row.scores.values
    ]
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in summary.languages:
        name = row.language.name or row.language.tag
        family = row.language.family or ""
        sections.setdefault(row.group, []).append(
            {
                "row": row,
                "name": name,
                "family": family,
                "change": row.scores.differences.get(BASELINE),
                "to_control": row.scores.differences.get(row.scores.best_control or ""),
                "groups": " ".join(str(numbers[group]) for group in (row.group, *row.also)),
                "search": plain(f"{name} {row.language.tag} {family}").casefold(),
                "label": _spoken(name, row, summary.methods),
                "whisker": _whisker(row),
            }
        )
    return {"sections": sections, "scale": scale_for(values, 11, (0, 1))}


def _whisker(row: LanguageRow) -> tuple[float, float] | None:
    """The interval of the difference, drawn from the baseline, cut to the possible scores."""
    change = row.scores.differences.get(BASELINE)
    if change is None or change.interval is None:
        return None
    base = row.scores.values[BASELINE]
    return max(0.0, base + change.interval.low), min(1.0, base + change.interval.high)


def _spoken(name: str, row: LanguageRow, methods: Sequence[str]) -> str:
    parts = [f"{method} {percent(row.scores.values[method])}" for method in methods if method in row.scores.values]
    change = row.scores.differences.get(BASELINE)
    text = f"{name} ({row.language.tag}): {', '.join(parts)}"
    if change:
        text += f"; difference {points(change.value)} points"
        text += f" ({range_text(change)})" if change.interval else ""
    return "; ".join([text, *row.flags])


def _forest(summary: Summary) -> dict[str, Any]:
    """Differences of each group to the baseline and to each control, on one axis that holds zero."""
    rows = [row for row in (summary.targets, *summary.groups) if row.scores.differences]
    ends = [0.0]
    for row in rows:
        for difference in row.scores.differences.values():
            found = difference.interval
            ends += [found.low, found.high] if found else [difference.value]
    return {"rows": rows, "scale": scale_for(ends, 9)}


def _measure_view(measure: Measure, context: ReportContext, scale: Scale) -> dict[str, Any]:
    tables: tuple[Table, Table] = (measure_table(measure), measure_language_table(measure, context))
    return {
        "title": measure_title(measure),
        "measure": measure,
        "rows": [row for row in measure.groups if row.languages],
        "table": tables[0],
        "languages": tables[1],
        "scale": scale,
    }


def _bars(entries: Iterable[tuple[str, float]] | Mapping[str, float]) -> list[tuple[str, float, str]]:
    """(name, value, width of its bar as an SVG length), in the order given."""
    found = list(entries.items() if isinstance(entries, Mapping) else entries)
    most = max((value for _, value in found), default=0) or 1
    return [(name, value, f"{100 * value / most:.2f}%") for name, value in found]
