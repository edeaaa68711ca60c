"""Why each language is in: what it adds, who would take its place, what would change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrealign.language import Language
from xrealign.select.criteria import family_of
from xrealign.select.problem import value_of
from xrealign.select.search import addition_values, improve
from xrealign.select.selection import Selection
from xrealign.select.task import Task


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one language is in a subset.

    Attributes:
        language: the member.
        contribution: how much worse the value gets when it leaves.
        farthest: the member it is farthest from, with the distance; nearest: the closest one.
        runner_up: the candidate that would take its place alone; loss: what that costs. None without a candidate.
        without: the best subset found when the member has no data (cannot be chosen), as changes: who leaves, who
            comes; without_loss: what that costs.
    """

    language: Language
    contribution: float
    farthest: tuple[Language, float] | None
    nearest: tuple[Language, float] | None
    runner_up: Language | None
    loss: float
    without: tuple[tuple[Language, ...], tuple[Language, ...]]
    without_loss: float


def explain(task: Task, selection: Selection) -> list[Reason]:
    """A reason for every chosen language, in the order of their contribution."""
    index = {language: number for number, language in enumerate(task.languages)}
    place = {language: number for number, language in enumerate(task.distances.languages)}
    subset = np.array([index[language] for language in selection.subset], dtype=np.int64)
    value = value_of(task.shown, subset)
    everybody = [*selection.subset, *selection.fixed]
    reasons = []
    for member in selection.subset:
        others = [language for language in everybody if language != member]
        towards = [(other, float(task.distances.matrix[place[member], place[other]])) for other in others]
        towards.sort(key=lambda item: (-item[1], item[0]))
        number = index[member]
        rest = subset[subset != number]
        free = np.ones(task.solved.n, dtype=bool)
        free[subset] = False
        for limit in task.solved.limits:
            amount = limit.amount + float(limit.amount[rest].sum())
            free &= (amount <= limit.high + 1e-9) & (amount >= limit.low - 1e-9)
        runner_up, loss = None, 0.0
        changed, after = subset, value
        if free.any() and number not in task.solved.required:
            values = np.where(free, addition_values(task.solved, rest), -np.inf)
            best = int(np.flatnonzero(values >= values.max() - 1e-11)[0])
            runner_up = task.languages[best]
            loss = task.sign * (value - value_of(task.shown, np.append(rest, best)))
            changed = _without(task, number, np.sort(np.append(rest, best)))
            after = value_of(task.shown, changed)
        leaves = tuple(task.languages[i] for i in np.setdiff1d(subset, changed).tolist())
        comes = tuple(task.languages[i] for i in np.setdiff1d(changed, subset).tolist())
        reasons.append(
            Reason(
                member,
                selection.contributions[member],
                towards[0] if towards else None,
                towards[-1] if towards else None,
                runner_up,
                loss,
                (leaves, comes),
                task.sign * (value - after),
            )
        )
    return sorted(reasons, key=lambda reason: (-reason.contribution, reason.language))


def _without(
    task: Task, banned: int, start: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The subset that swaps lead to when one language cannot be chosen."""
    from dataclasses import replace

    from xrealign.select.problem import Limit

    amount = np.zeros(task.solved.n)
    amount[banned] = 1
    problem = replace(task.solved, limits=(*task.solved.limits, Limit("no data", amount, high=0)))
    return improve(problem, start)[0]


def in_words(task: Task, selection: Selection) -> str:
    """The reasons as plain text, one paragraph for each language."""
    better = "lower" if task.sign < 0 else "higher"
    lines = [
        f"{len(selection.subset)} of {len(task.languages)} candidates by {selection.criterion} on {selection.distance} "
        f"({better} is better): {selection.value:.4f}, {proof(selection)}."
    ]
    for reason in explain(task, selection):
        language = reason.language
        share = selection.coverage.get(language, 1.0)
        text = [f"{language.name} ({language.iso}, {family_of(language)}, {language.script})"]
        change = "worse" if reason.contribution >= 0 else "better"
        text.append(f"Without it the value is {abs(reason.contribution):.4f} {change}.")
        if reason.farthest and reason.nearest:
            far, near = reason.farthest, reason.nearest
            text.append(
                f"Farthest from {far[0].name} ({far[1]:.3f}), closest to {near[0].name} ({near[1]:.3f}) in the subset."
            )
        if language.iso in {task.languages[i].iso for i in task.solved.required}:
            text.append("It was required.")
        elif reason.runner_up is None:
            text.append("No other candidate could take its place.")
        else:
            text.append(f"Runner-up: {reason.runner_up.name} ({reason.runner_up.iso}), {reason.loss:.4f} worse.")
            leaves = [x.iso for x in reason.without[0] if x != language]
            comes = [x.iso for x in reason.without[1]]
            also = f" (and {', '.join(leaves)} would leave)" if leaves else ""
            text.append(f"Had it no data, {', '.join(comes)} would come{also}: {reason.without_loss:.4f} worse.")
        if share < 1:
            text.append(f"{share:.0%} of its features are known.")
        lines.append("- " + text[0] + ". " + " ".join(text[1:]))
    lines += [f"Note: {note}." for note in selection.notes]
    return "\n".join(lines)


def proof(selection: Selection) -> str:
    """How good the value is known to be, in words."""
    if selection.bound is None:
        return "drawn at random"
    if selection.optimal:
        return "proven to be the best possible"
    return f"at most {selection.gap:.2%} from the best possible (bound {selection.bound:.4f})"
