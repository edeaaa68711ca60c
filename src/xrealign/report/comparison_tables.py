"""A comparison as Markdown, CSV, LaTeX or JSON: every difference with its interval, p-values and detectable effect."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from xrealign.escape import csv_cell, json_text
from xrealign.report.changes import Change, Counts
from xrealign.report.comparison import Comparison, GroupLine, LanguageLine, Scored, TaskComparison
from xrealign.report.context import metric_name
from xrealign.report.dominance import AlmostOrder, almost_stochastic_order
from xrealign.report.format import MISSING, counted, interval, markdown, percent, plain, points
from xrealign.report.text_table import TextTable, write_tables
from xrealign.report.verdict import HONEST

FORMATS = ("md", "csv", "latex", "json")
Record = dict[str, Any]


def write_comparison(comparison: Comparison, form: str) -> str:
    """The whole comparison in one of ``FORMATS``: claims, groups, languages. CSV and JSON hold raw shares."""
    if form == "csv":
        return _csv(records(comparison))
    if form == "json":
        return _json(comparison)
    tables = []
    for table in comparison.tasks:
        tables += [_group_table(table), *_group_details(table), _language_table(table)]
    text = write_tables(tables, form)
    if form == "latex":
        return text
    bullets = [f"- {markdown(line)}" for line in (*claims(comparison), *comparison.notes)]
    return f"# Comparison with {markdown(comparison.baseline)}\n\n" + "\n".join([*bullets, "", HONEST, "", text])


def claims(comparison: Comparison) -> list[str]:
    """One sentence for each method, model and task: the difference, what may be claimed, what could have been found."""
    return [
        claim(table, method, comparison.baseline) for table in comparison.tasks for method in table.targets.verdicts
    ]


def claim(table: TaskComparison, method: str, baseline: str) -> str:
    """What may be said of one method over all target languages, with the minimum detectable effect."""
    row = table.targets
    change = row.changes.get(method, {}).get(baseline)
    where = f"{table.title}: {method}"
    if change is None:
        return f"{where} is not compared with {baseline}: no scores in common."
    move = f"{points(change.value)} points of {metric_name(table.metric)} against {baseline}"
    if change.interval is not None:
        move += f" (95 % interval {interval(change.interval.low, change.interval.high)}, over {_levels(change)})"
    kinds = {
        "gain": "a gain, beyond both controls",
        "not beyond controls": "better than the baseline, but not shown to be beyond both controls",
        "loss": "a loss",
        "no clear difference": "no clear difference",
        "no claim": "no claim, as there is nothing to judge it by",
    }
    text = f"{where}: {move}: {kinds[row.verdicts[method]]}."
    if change.detectable is not None:
        text += f" A true difference of {percent(change.detectable)} points would be found four times in five."
    return text


def records(comparison: Comparison) -> list[Record]:
    """One flat record for each model, task, group or language, method and reference; values are shares."""
    found = []
    for table in comparison.tasks:
        for row in table.groups:
            found += _records(table, row, {"kind": row.kind, "name": row.name, "languages": len(row.languages)})
        for line in (*table.languages, *((table.source,) if table.source else ())):
            names = {"kind": "language", "name": line.language.tag, "languages": 1}
            found += _records(table, line, names)
    return found


def _records(table: TaskComparison, row: GroupLine | LanguageLine, names: Record) -> list[Record]:
    found = []
    counts: Mapping[str, Counts] = row.counts if isinstance(row, GroupLine) else {}
    verdicts: Mapping[str, str] = row.verdicts if isinstance(row, GroupLine) else {}
    for method, scored in row.scores.items():
        changes: Mapping[str, Change | None] = row.changes.get(method) or {"": None}
        for reference, change in changes.items():
            record: Record = {"model": table.model, "task": table.task, "metric": table.metric, **names}
            record |= {"method": method, "value": scored.mean, "std": scored.std, "seeds": scored.seeds}
            record |= {"reference": reference, **_change(change)}
            first = reference == next(iter(table.references[method]), None)
            record |= _counts(counts.get(method) if first else None)
            whole = isinstance(row, GroupLine) and row.kind == "all" and bool(reference)
            order = order_of(scored, row.scores[reference]) if whole else None
            record |= {"aso_epsilon": order.epsilon if order else None}
            record |= {"verdict": verdicts.get(method, "") if first else ""}
            found.append(record)
    return found


def _change(change: Change | None) -> Record:
    band = change.interval if change else None
    record: Record = {
        "difference": change.value if change else None,
        "difference_std": change.std if change else None,
        "low": band.low if band else None,
        "high": band.high if band else None,
        "p": change.p if change else None,
        "p_holm": change.holm if change else None,
        "p_bh": change.bh if change else None,
        "detectable": change.detectable if change else None,
        "levels": "+".join(change.levels) if change else "",
    }
    for unit in ("seeds", "languages"):
        tests = getattr(change, f"over_{unit}") if change else None
        for name in ("t", "wilcoxon", "sign_flip"):
            record[f"p_{name}_{unit}"] = getattr(tests, name) if tests else None
    return record


def _counts(counts: Counts | None) -> Record:
    names = {"win": "win", "tie": "tie", "loss": "loss", "above_one_std": "above", "below_one_std": "below"}
    return {key: getattr(counts, name) if counts else None for key, name in names.items()}


def _csv(found: Sequence[Record]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(csv_cell, found[0]))
    for record in found:
        writer.writerow(
            "" if v is None else csv_cell(v) if isinstance(v, str) else repr(v) if isinstance(v, float) else v
            for v in record.values()
        )
    return buffer.getvalue()


def _json(comparison: Comparison) -> str:
    whole = {
        "baseline": plain(comparison.baseline),
        "claims": [plain(line) for line in claims(comparison)],
        "notes": [plain(note) for note in comparison.notes],
        "rows": [
            {key: plain(value) if isinstance(value, str) else value for key, value in record.items()}
            for record in records(comparison)
        ],
    }
    return json_text(whole) + "\n"


def _group_table(table: TaskComparison) -> TextTable:
    rows = []
    for row in table.groups:
        cells = [row.name, "" if row.kind == "all" else row.kind, str(len(row.languages))]
        rows.append((*cells, *(_score(row.scores.get(method)) for method in table.methods)))
    gaps = transfer_gaps(table)
    if gaps:
        cells = ["transfer gap", "source − all", str(len(table.targets.languages))]
        rows.append((*cells, *(percent(gaps.get(method)) for method in table.methods)))
    header = ("languages", "kind", "n", *table.methods)
    title = f"{table.title}: {metric_name(table.metric)}, percent"
    return TextTable(title, header, tuple(rows), 2)


def transfer_gaps(table: TaskComparison) -> dict[str, float]:
    """Method → its score in the source language − its mean over all target languages, by the seeds that both have."""
    found = {}
    for method, scored in table.targets.scores.items():
        source = table.source.scores.get(method) if table.source else None
        seeds = sorted(set(scored.values) & set(source.values)) if source else []
        if source and seeds:
            found[method] = sum(source.values[seed] - scored.values[seed] for seed in seeds) / len(seeds)
    return found


def _group_details(table: TaskComparison) -> list[TextTable]:
    """All target languages: each method against each of its references."""
    row, rows = table.targets, []
    for method in table.methods:
        for reference, change in row.changes.get(method, {}).items():
            first = reference == table.references[method][0]
            counts = row.counts.get(method) if first else None
            tests = change.over_languages or change.over_seeds
            rows.append(
                (
                    method,
                    reference,
                    points(change.value),
                    interval(change.interval.low, change.interval.high) if change.interval else MISSING,
                    p_text(change.p),
                    p_text(change.holm),
                    p_text(change.bh),
                    *(p_text(getattr(tests, name) if tests else None) for name in ("t", "wilcoxon", "sign_flip")),
                    percent(change.detectable),
                    f"{counts.win}/{counts.tie}/{counts.loss}" if counts else MISSING,
                    f"{counts.above}/{counts.below}" if counts and counts.above is not None else MISSING,
                    epsilon_text(order_of(row.scores[method], row.scores[reference])),
                    row.verdicts.get(method, MISSING) if first else MISSING,
                )
            )
    if not rows:
        return []
    tested = ("p", "Holm", "BH", "t", "Wilcoxon", "sign flip", "detectable")
    header = ("method", "against", "points", "95 %", *tested, "win/tie/loss", "> 1 std", "ASO", "verdict")
    change = next(iter(row.changes[rows[0][0]].values()))
    unit = "languages" if change.over_languages else "seeds"
    notes = (
        f"Interval and p over {_levels(change)}; Holm and BH (Benjamini–Hochberg) correct for the methods. "
        f"t, Wilcoxon, sign flip: paired over {unit}. detectable: the smallest true difference, in points, found with "
        "80 % power. > 1 std: languages better/worse by more than one standard deviation of the baseline over seeds. "
        "ASO: bound of ε over seeds, below 0.5 where the method is almost stochastically greater.",
    )
    return [TextTable(f"{table.title}: differences over {_languages(row)}", header, tuple(rows), 2, notes)]


def _language_table(table: TaskComparison) -> TextTable:
    baseline = next((method for method in table.methods if not table.references[method]), table.methods[0])
    rows = []
    for line in (*table.languages, *((table.source,) if table.source else ())):
        cells = [line.language.name or line.language.tag, line.language.tag, line.language.family or ""]
        cells.append("; ".join(line.groups) + ("source" if line is table.source else ""))
        for method in table.methods:
            change = line.changes.get(method, {}).get(baseline)
            text = _score(line.scores.get(method))
            cells.append(text if change is None else f"{text} ({points(change.value)}{_mark(change)})")
        rows.append(tuple(cells))
    header = ("language", "tag", "family", "group", *table.methods)
    notes = (f"In brackets: points against {baseline}; * where p, corrected by Holm over languages, is below 0.05.",)
    return TextTable(f"{table.title}: by language", header, tuple(rows), 4, notes)


def _mark(change: Change) -> str:
    return "*" if change.holm is not None and change.holm < 0.05 else ""


def _languages(row: GroupLine) -> str:
    return counted(len(row.languages), "target language")


def _score(scored: Scored | None) -> str:
    if scored is None:
        return MISSING
    return percent(scored.mean) + (f" ± {percent(scored.std)}" if scored.std is not None else "")


def _levels(change: Change) -> str:
    names = {"seed": "seeds", "language": "languages", "sentence": "test sentences"}
    return " and ".join(names[level] for level in change.levels) or "nothing"


def order_of(method: Scored, reference: Scored) -> AlmostOrder | None:
    """Almost stochastic order of two methods' scores over seeds, None with fewer than two seeds."""
    if min(method.seeds, reference.seeds) < 2:
        return None
    return almost_stochastic_order(list(method.values.values()), list(reference.values.values()))


def epsilon_text(order: AlmostOrder | None) -> str:
    """ε as ``0.03``."""
    return MISSING if order is None else f"{order.epsilon:.2f}"


def p_text(p: float | None) -> str:
    """A p-value as ``.012``, ``< .001`` or ``1``; a dash for None."""
    if p is None:
        return MISSING
    if p < 0.0005:
        return "< .001"
    text = f"{p:.3f}"
    return "1" if text == "1.000" else text.removeprefix("0")
