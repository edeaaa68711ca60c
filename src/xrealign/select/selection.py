"""Choosing languages: candidates and conditions in, a subset with its value, a bound and the reasons out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from xrealign.errors import ConfigError
from xrealign.language import Language, notes_on
from xrealign.select.conditions import Conditions
from xrealign.select.distances import is_negative_type
from xrealign.select.diversity import diversity
from xrealign.select.problem import Indices, value_of, violated
from xrealign.select.solve import Answer, solve
from xrealign.select.task import Task, prepare


@dataclass(frozen=True, slots=True)
class Selection:
    """A chosen subset and what is known about it.

    Attributes:
        subset: the chosen languages, sorted by tag, without the fixed ones.
        fixed: members that count but were not chosen.
        value: the criterion's value of subset and fixed members together.
        bound: no allowed subset has a better value (larger; smaller for least-… criteria); None where the criterion
            has no best (random).
        optimal: whether ``value`` is proven to be the best.
        seconds: time taken, in seconds.
        criterion: what was maximised.
        distance: which distances were used.
        targets: languages to be near to, if any were given.
        missing: the policy for missing features.
        method: how the subset was found and the bound proven.
        contributions: how much worse the value gets when the member leaves and nobody takes its place.
        coverage: share of features known, per member of subset and fixed.
        diversity: measures of subset and fixed members together, see :mod:`xrealign.select.diversity`.
        notes: candidates left out and other remarks.
    """

    subset: list[Language]
    fixed: list[Language]
    value: float
    bound: float | None
    optimal: bool
    seconds: float
    criterion: str
    distance: str
    targets: list[Language] = field(default_factory=list)
    missing: str = "imputed"
    method: str = ""
    contributions: dict[Language, float] = field(default_factory=dict)
    coverage: dict[Language, float] = field(default_factory=dict)
    diversity: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def gap(self) -> float | None:
        """(bound − value) / |value|: how much better an unknown subset could still be; None without a bound."""
        if self.bound is None:
            return None
        return abs(self.bound - self.value) / max(abs(self.value), 1e-12)


def select_languages(
    candidates: Sequence[Language],
    k: int,
    fixed: Sequence[Language] = (),
    criterion: str = "maxsum",
    distance: str = "uriel-featural",
    seed: int = 0,
    *,
    targets: Sequence[Language] = (),
    conditions: Conditions | None = None,
    seen: frozenset[str] | None = None,
    resources: Mapping[str, int] | None = None,
    missing: str | None = None,
    min_known: float = 0.0,
    time_limit: float = 60.0,
    restarts: int = 30,
) -> Selection:
    """The best ``k`` of ``candidates``, with a proof or an upper bound.

    Args:
        candidates: languages to choose from.
        k: how many; fixed members not counted.
        fixed: members that count in the value and are not chosen; taken out of the candidates.
        criterion: one of :data:`xrealign.select.criteria.CRITERIA` or a weighted sum, ``maxsum=1,families=0.5``.
        distance: see :func:`xrealign.select.distances.distances`.
        seed: of the local search's restarts and of ``random``.
        targets: languages to be near to, for ``facility``.
        conditions: constraints.
        seen: ISO codes of the languages a model saw in pre-training.
        resources: resource class by ISO code.
        missing: policy for missing features: imputed, pairwise or refuse.
        min_known: candidates with a smaller share of observed features are left out (0 to 1).
        time_limit: seconds after which the proof stops and the bound reached is reported.
        restarts: of the local search.

    Equal subsets are decided by the order of tags. The same arguments give the same subset, unless the time
    limit cuts a proof short.

    Raises:
        ConfigError: impossible settings, or conditions that contradict each other (the message names them).
        DataError: missing features under the policy ``refuse``.
    """
    started = time.perf_counter()
    task = prepare(
        candidates,
        k,
        fixed,
        criterion,
        distance,
        targets=targets,
        conditions=conditions,
        seen=seen,
        resources=resources,
        missing=missing,
        min_known=min_known,
    )
    return choose(task, seed, time_limit, restarts, started)


def choose(
    task: Task, seed: int = 0, time_limit: float = 60.0, restarts: int = 30, started: float | None = None
) -> Selection:
    """Solves a task made by :func:`prepare`. ``started`` (of :func:`time.perf_counter`) is where its time counts from.

    Raises:
        ConfigError: conditions that contradict each other; the message names them.
    """
    started = time.perf_counter() if started is None else started
    if "random" in task.weights:
        answer = _draw(task, seed)
        return report(task, answer.subset, None, answer.method, started)
    answer = _solve(task, seed, time_limit, restarts)
    return report(task, answer.subset, answer.bound, answer.method, started)


def evaluate_subset(task: Task, subset: Sequence[Language], seed: int = 0, time_limit: float = 60.0) -> Selection:
    """The same report for a given subset: its value, and the bound that the best one could reach.

    Raises:
        ConfigError: a member that is no candidate.
    """
    started = time.perf_counter()
    index = {language: number for number, language in enumerate(task.languages)}
    unknown = [language.iso for language in sorted(subset) if language not in index]
    if unknown:
        raise ConfigError(f"not among the candidates with data: {', '.join(unknown)}")
    chosen = np.array(sorted(index[language] for language in subset), dtype=np.int64)
    if "random" in task.weights:
        return report(task, chosen, None, "given", started)
    answer = _solve(task, seed, time_limit, 30)
    found = report(task, chosen, answer.bound, f"given; bound by {answer.method}", started)
    broken = violated(task.solved, chosen)
    if broken:
        found = replace(found, optimal=False, notes=[*found.notes, f"the given subset breaks: {', '.join(broken)}"])
    return found


def _concave(task: Task) -> bool:
    """Whether the quadratic part is of negative type with a positive sign."""
    return is_negative_type(task.distance) and not any(name == "least-maxsum" for name in task.weights)


def _solve(task: Task, seed: int, time_limit: float, restarts: int) -> Answer:
    return solve(
        task.solved,
        task.names,
        seed,
        time_limit,
        restarts,
        negative_type=_concave(task),
        primary=task.shown,
    )


def _draw(task: Task, seed: int) -> Answer:
    """A random subset within the limits: uniform without limits, else random swaps from a random greedy start."""
    from xrealign.select.problem import check_feasible
    from xrealign.select.search import greedy

    generator = np.random.default_rng(seed)
    problem = task.solved
    feasible = check_feasible(problem, task.names)
    required = list(problem.required)
    if not problem.limits:
        rest = np.setdiff1d(np.arange(problem.n), required)
        drawn = generator.choice(rest, size=problem.k - len(required), replace=False)
        subset = np.sort(np.append(np.array(required, dtype=np.int64), drawn))
        return Answer(subset, 0.0, 0.0, "random")
    for _ in range(200):
        scores = generator.random(problem.n)
        found = greedy(replace(problem, pair=None, linear=scores, constant=0.0))
        if found is not None:
            return Answer(found, 0.0, 0.0, "random within the limits")
    return Answer(feasible, 0.0, 0.0, "first subset within the limits")


def report(task: Task, subset: Indices, bound: float | None, method: str, started: float) -> Selection:
    """A subset of the task's candidates with everything that is told about it."""
    value = value_of(task.shown, subset)
    chosen = [task.languages[i] for i in subset.tolist()]
    sign = task.sign
    if bound is not None:
        bound = max(bound, value)
    contributions = {
        task.languages[i]: sign * (value - value_of(task.shown, subset[subset != i])) for i in subset.tolist()
    }
    shares = dict(zip(task.distances.languages, task.distances.coverage.tolist(), strict=True))
    poor = [language.iso for language in chosen if shares[language] < 0.1]
    notes = [*task.notes, *(note for note in notes_on([*chosen, *task.fixed]) if note not in task.notes)]
    if poor:
        notes.append(
            f"under 10 % of the features of {', '.join(poor)} were observed, the rest is filled in; "
            "min_known (--min-known 0.25) keeps such languages out"
        )
    return Selection(
        subset=chosen,
        fixed=task.fixed,
        value=sign * value,
        bound=None if bound is None else sign * bound,
        optimal=bound is not None and bound - value <= 1e-7 * max(1.0, abs(value)),
        seconds=time.perf_counter() - started,
        criterion=task.criterion,
        distance=task.distance,
        targets=task.targets,
        missing=task.distances.missing,
        method=method,
        contributions=contributions,
        coverage={language: shares[language] for language in [*chosen, *task.fixed]},
        diversity=diversity([*chosen, *task.fixed], task.distances, task.targets),
        notes=notes,
    )
