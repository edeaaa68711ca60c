"""The model card: the README.md that lies in the folder of a realigned encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from xrealign.report.context import METHODS, REALIGNED, Groups, ReportContext, check_context, language_of
from xrealign.report.format import code_span, counted, duration, markdown, percent, plain, yaml_scalar
from xrealign.report.measures import Measure, measure_summaries
from xrealign.report.stats import Items
from xrealign.report.summary import Summary, further_summaries, summarise
from xrealign.report.tables import group_table, measure_table, to_markdown
from xrealign.report.verdict import HONEST, headline, seed_note, summary_warnings
from xrealign.types import Score

TAGS = ("xrealign", "multilingual", "cross-lingual-transfer", "realignment")
# Kinds of tasks → the hub's names of tasks.
HUB_TASKS = {
    "class": "text-classification",
    "pair": "text-classification",
    "pos": "token-classification",
    "ner": "token-classification",
    "slots": "token-classification",
    "qa": "question-answering",
}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def model_card(context: ReportContext, scores: Sequence[Score], groups: Groups, items: Items | None = None) -> str:
    """The card as Markdown with a YAML front matter that the Hugging Face hub reads.

    Without scores of a task it says so instead of showing a table. Every value from data is quoted.

    Raises:
        DataError: an unknown key in ``context``, or scores that cannot be compared (``summarise``).
    """
    check_context(context)
    tasks = any(not score.variant for score in scores)
    summary = summarise(scores, groups, context, items) if tasks else None
    others = further_summaries(scores, groups, context, items, summary) if summary else []
    measures = measure_summaries(scores, groups, context)
    base = plain(context.get("base_model", "")) or plain(context.get("encoder", "")) or "an encoder"
    parts = [
        _front_matter(context, [summary, *others] if summary else []),
        f"# {markdown(base)}, realigned\n",
        f"A multilingual encoder made from {code_span(base)} by realignment: its vectors of words or sentences that "
        "translate each other were pulled together, so that a model fine-tuned in one language works better in "
        "others. It has the vocabulary and the interface of the encoder it was made from.\n",
        _loading(),
        _languages(context),
        _results(summary, others, measures),
        _settings(context),
        _data(context),
        _limits(context, summary),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(context: ReportContext, summaries: Sequence[Summary]) -> str:
    lines = ["---", "library_name: transformers", "pipeline_tag: feature-extraction"]
    tags = [context.get("source", ""), *(tag for tag, _ in context.get("subset", ()))]
    codes = list(dict.fromkeys(language_of(tag, context).iso for tag in tags if tag))
    lines += _yaml_list("language", [code for code in codes if re.fullmatch(r"[a-z]{2,3}", code)])
    if context.get("encoder_licence"):
        lines.append(f"license: {yaml_scalar(context['encoder_licence'])}")
    base = context.get("base_model", "")
    if _HUB_NAME.fullmatch(base):
        lines.append(f"base_model: {yaml_scalar(base)}")
    lines += _yaml_list("tags", TAGS)
    lines += _model_index(context, summaries)
    return "\n".join([*lines, "---", ""])


def _yaml_list(key: str, values: Sequence[str]) -> list[str]:
    return [f"{key}:", *(f"- {yaml_scalar(value)}" for value in values)] if values else []


def _model_index(context: ReportContext, summaries: Sequence[Summary]) -> list[str]:
    """The hub's record of results: for each task the means over the target languages of what was made from this."""
    by_task: dict[str, list[Summary]] = {}
    for summary in summaries:
        if REALIGNED in summary.targets.scores.values:
            by_task.setdefault(summary.task, []).append(summary)
    if not by_task:
        return []
    lines = ["model-index:", f"- name: {yaml_scalar(context.get('run', '') or 'realigned encoder')}", "  results:"]
    for task, found in by_task.items():
        kind = HUB_TASKS.get(context.get("kinds", {}).get(task, ""), "text-classification")
        lines += ["  - task:", f"      type: {yaml_scalar(kind)}", "    dataset:"]
        lines += [f"      name: {yaml_scalar(task)}", f"      type: {yaml_scalar(task)}", "    metrics:"]
        for summary in found:
            shown = f"zero-shot, mean of {counted(len(summary.targets.languages), 'target language')}"
            lines += [
                f"    - type: {yaml_scalar(summary.metric)}",
                f"      name: {yaml_scalar(f'{summary.metric}, {shown}')}",
                f"      value: {yaml_scalar(round(summary.targets.scores.values[REALIGNED], 6))}",
            ]
    return lines


def _loading() -> str:
    return (
        "## Loading\n\n```python\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n'
        'encoder = AutoModel.from_pretrained("path/to/this/folder")\n'
        "```\n"
    )


def _languages(context: ReportContext) -> str:
    subset, pairs = context.get("subset", ()), context.get("pairs", {})
    if not subset:
        return ""
    lines = ["## Languages realigned on\n"]
    if context.get("source"):
        source = language_of(context["source"], context)
        lines.append(f"Source language: {markdown(source.name or source.tag)} ({code_span(source.tag)}).\n")
    if context.get("selection"):
        lines.append(markdown(context["selection"]) + "\n")
    lines += ["| language | tag | sentence pairs | why |", "|---|---|---:|---|"]
    for tag, why in subset:
        name = markdown(language_of(tag, context).name or tag)
        lines.append(f"| {name} | {markdown(tag)} | {f'{pairs[tag]:,}' if tag in pairs else '–'} | {markdown(why)} |")
    return "\n".join(lines) + "\n"


def _results(summary: Summary | None, others: Sequence[Summary], measures: Sequence[Measure]) -> str:
    lines = ["## Results\n"]
    if summary is None:
        lines.append("This encoder was not evaluated on a task.\n")
    else:
        lines += [markdown(headline(summary).sentence) + "\n", markdown(seed_note(summary)) + "\n", HONEST + "\n"]
        table = group_table(summary)
        lines += [f"{markdown(table.title)}, in percent; differences in points with 95 % intervals:\n"]
        lines.append(to_markdown(table))
        lines += [f"- **{markdown(method)}**: {METHODS.get(method, 'another method')}" for method in summary.methods]
        lines.append("")
        for other in others:
            if other.task != summary.task:
                table = group_table(other)
                lines += [f"{markdown(table.title)}, in percent:\n", to_markdown(table)]
    for measure in measures:
        table = measure_table(measure)
        lines += [f"{markdown(table.title)}, in percent; raw, and with language means subtracted (centred):\n"]
        lines.append(to_markdown(table))
    return "\n".join(lines)


def _settings(context: ReportContext) -> str:
    rows: list[tuple[str, object]] = []
    for key, title in (
        ("run", "run"),
        ("created", "made on"),
        ("encoder", "encoder"),
        ("encoder_digest", "encoder sha256"),
    ):
        if context.get(key):
            rows.append((title, context.get(key)))
    rows += [(f"{stage} steps", f"{count:,}") for stage, count in context.get("steps", {}).items()]
    if context.get("seeds"):
        rows.append(("seeds", ", ".join(str(seed) for seed in context["seeds"])))
    rows += list(context.get("settings", {}).items())
    seconds: Mapping[str, float] = context.get("seconds", {})
    if seconds:
        rows.append(("time", duration(sum(seconds.values()))))
    if context.get("machine"):
        rows.append(("machine", context["machine"]))
    rows += list(context.get("versions", {}).items())
    lines = ["## Settings\n"]
    if rows:
        lines += ["| setting | value |", "|---|---|"]
        lines += [f"| {markdown(name)} | {markdown(str(value))} |" for name, value in rows]
    if context.get("command"):
        lines.append(f"\nMade by {code_span(context['command'])}.")
    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def _data(context: ReportContext) -> str:
    if not context.get("data"):
        return ""
    lines = ["## Data\n", "| data set | licence | sha256 | source |", "|---|---|---|---|"]
    for source in context["data"]:
        where = ", ".join(part for part in (source.get("citation", ""), source.get("url", "")) if part)
        cells = (source.get("id", "–"), source.get("licence", "unknown"), source.get("digest", "–"), where)
        lines.append("| " + " | ".join(markdown(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _limits(context: ReportContext, summary: Summary | None) -> str:
    lines = [
        "## Limits\n",
        "- Realignment moves vectors; it does not teach a language the encoder has never seen, and a language can "
        "lose. Check the languages you need.",
        "- The scores are zero-shot scores of a model fine-tuned on the source language only, on small test sets; "
        "they cannot be compared with published ones.",
    ]
    if summary is not None:
        worse = [row for row in summary.languages if _lost(row.scores.differences.get("baseline"))]
        if worse:
            names = ", ".join(
                f"{markdown(row.language.name or row.language.tag)} "
                f"({percent(row.scores.values['baseline'])} to {percent(row.scores.values['realigned'])})"
                for row in worse
            )
            lines.append(f"- Worse than the baseline, with an interval below zero: {names}.")
        lines += [f"- {markdown(line)}" for line in summary_warnings(summary)]
    lines += [f"- {markdown(line)}" for line in context.get("warnings", ())]
    return "\n".join(lines) + "\n"


def _lost(difference: object) -> bool:
    found = getattr(difference, "interval", None)
    return found is not None and found.below_zero
