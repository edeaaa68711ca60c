"""What may be claimed: a gain only where realignment lies beyond the baseline and beyond both controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xrealign.report.context import AGAINST, BASELINE, CONTROLS, FEW_LABELS, REALIGNED, metric_name
from xrealign.report.format import counted, interval, percent, points
from xrealign.report.stats import RESAMPLES
from xrealign.report.summary import Comparison, Difference, GroupRow, Summary

Kind = Literal["gain", "not beyond controls", "no clear difference", "loss", "no claim"]

HONEST = (
    "Two cheap controls stand beside every comparison, because much of what realignment seems to gain can come "
    "without it: centring subtracts each language's mean vector and trains nothing; the control takes the same "
    "number of training steps on source sentences paired with themselves under dropout, so it sees no parallel "
    "text. A gain is claimed only where the realigned encoder is better than the baseline and than both controls, "
    "with every 95 % interval clear of zero."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``kind`` for a badge, ``sentence`` for people."""

    kind: Kind
    sentence: str


def judge(row: GroupRow) -> Kind:
    """What the numbers of a group allow to be claimed.

    ``gain``: better than the baseline and both controls, each interval above zero. ``not beyond controls``: the
    interval against the baseline is above zero, that against a control is not, or a control is missing. ``loss``:
    the interval against the baseline is below zero. ``no clear difference``: it holds zero. ``no claim``: there is
    no interval, or nothing to compare.
    """
    change = row.scores.differences.get(BASELINE)
    if change is None or change.interval is None:
        return "no claim"
    if change.interval.below_zero:
        return "loss"
    if not change.interval.above_zero:
        return "no clear difference"
    found = [row.scores.differences.get(control) for control in CONTROLS]
    if all(one is not None and one.interval is not None and one.interval.above_zero for one in found):
        return "gain"
    return "not beyond controls"


def headline(summary: Summary) -> Verdict:
    """The verdict on all target languages, in plain sentences."""
    row = summary.targets
    kind = judge(row)
    scores = row.scores
    change = scores.differences.get(BASELINE)
    where = f"{metric_name(summary.metric)} on {summary.task} over {counted(len(row.languages), 'target language')}"
    if change is None:
        lacking = " and ".join(method for method in (BASELINE, REALIGNED) if method not in scores.values)
        return Verdict(kind, f"No comparison of {where}: there is no score for {lacking or 'any language'}.")
    move = f"from {percent(scores.values[BASELINE])} to {percent(scores.values[REALIGNED])} ({_size(change)})"
    if kind == "gain":
        text = f"Realignment raises {where} {move}, beyond both controls: {_controls(scores)}."
    elif kind == "not beyond controls":
        text = (
            f"Realignment raises {where} {move}, but not beyond both controls: {_controls(scores)}. "
            "No gain from parallel data is claimed."
        )
    elif kind == "loss":
        text = f"Realignment lowers {where} {move}. Against the controls: {_controls(scores)}."
    elif kind == "no clear difference":
        text = (
            f"Realignment makes no clear difference to {where}: {move}, an interval that holds zero. "
            f"Against the controls: {_controls(scores)}."
        )
    else:
        text = (
            f"Realigned stands against the baseline in {where}: {move}. Without results per test sentence there is "
            f"no interval, so no claim is made. Against the controls: {_controls(scores)}."
        )
    return Verdict(kind, text)


def seed_note(summary: Summary) -> str:
    """What the intervals cover and what they do not."""
    seeds = len(summary.seeds)
    if seeds == 1:
        note = f"One seed ({summary.seeds[0]}): how far another seed would move these numbers is not covered."
    else:
        spread = summary.targets.scores.difference_spread
        note = f"Means of {seeds} seeds."
        if spread is not None:
            note += f" The difference to the baseline varies by ±{percent(spread)} points (one standard deviation)."
    if any(difference.interval for difference in summary.targets.scores.differences.values()):
        note += (
            f" Intervals are 95 %, from a paired bootstrap over test sentences within each language "
            f"({RESAMPLES:,} resamples); they cover neither seeds nor the choice of languages."
        )
    return note


def _size(difference: Difference) -> str:
    return f"{points(difference.value)} points" + (
        f", 95 % interval {_range(difference)}" if difference.interval else ""
    )


def _range(difference: Difference) -> str:
    found = difference.interval
    return interval(found.low, found.high) if found else ""


def _controls(scores: Comparison) -> str:
    parts = []
    for control in CONTROLS:
        difference = scores.differences.get(control)
        if difference is None:
            parts.append(f"{AGAINST[control]} was not run")
        else:
            shown = f" ({_range(difference)})" if difference.interval else ""
            parts.append(f"{points(difference.value)} points{shown} against {AGAINST[control]}")
    return "; ".join(parts)


def summary_warnings(summary: Summary) -> list[str]:
    """What the numbers themselves warn of: languages left out, empty groups, few labels, scores below chance."""
    lines = []
    for row in summary.groups:
        if row.left_out:
            left = f"{counted(len(row.left_out), 'language')} left out of the average because a score is missing"
            lines.append(f"{row.name}: {left}: {', '.join(row.left_out)}")
        elif not row.languages:
            lines.append(f"{row.name}: no language of this group was scored")
    few = [f"{row.language.name} ({row.labels})" for row in summary.languages if row.few_labels]
    if few:
        lines.append(f"fewer than {FEW_LABELS} labels covered, so the score says little: {', '.join(few)}")
    low = [row.language.name for row in summary.languages if row.below_majority]
    if low:
        lines.append(f"realigned below always answering the most frequent label: {', '.join(low)}")
    return lines
