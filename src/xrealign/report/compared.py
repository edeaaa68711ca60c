"""The data of a comparison: each model and task with its languages and groups, their scores and changes by method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xrealign.language import Language
from xrealign.report.changes import Change, Counts
from xrealign.report.verdict import Kind


@dataclass(frozen=True, slots=True)
class Scored:
    """What one method scored: seed → value, their mean, and sample standard deviation (None for one seed)."""

    values: Mapping[int, float]
    mean: float
    std: float | None

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class LanguageLine:
    """One language: the groups it is in, method → scores, method → reference → change."""

    language: Language
    groups: tuple[str, ...]
    scores: Mapping[str, Scored]
    changes: Mapping[str, Mapping[str, Change]]


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group's macro-average over ``languages`` (tags); ``left_out`` lack a score that others of the group have.

    Attributes:
        kind: ``all``, ``group`` (asked for: subset, seen …), ``family`` or ``script``.
        scores: method → macro-averages by seed.
        changes: method → reference → change.
        counts: method → languages better and worse than the baseline.
        verdicts: method → what may be claimed, for each method that is neither baseline nor control.
    """

    name: str
    kind: str
    languages: tuple[str, ...]
    left_out: tuple[str, ...]
    scores: Mapping[str, Scored]
    changes: Mapping[str, Mapping[str, Change]]
    counts: Mapping[str, Counts]
    verdicts: Mapping[str, Kind]


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One model on one task by one metric.

    Attributes:
        methods: the baseline first, then the controls, then the others.
        references: method → what it is compared with: the baseline, then its controls.
        seeds: all seeds found.
        groups: all target languages, then the groups asked for, then families and scripts.
        languages: by family, then by name; the source language is not among them.
        source: the source language's scores, where it was scored.
    """

    model: str
    task: str
    metric: str
    methods: tuple[str, ...]
    references: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    groups: tuple[GroupLine, ...]
    languages: tuple[LanguageLine, ...]
    source: LanguageLine | None

    @property
    def targets(self) -> GroupLine:
        """All target languages."""
        return self.groups[0]

    @property
    def title(self) -> str:
        """``xlm-roberta-base, udpos``."""
        return ", ".join(part for part in (self.model, self.task) if part)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything compared: one ``TaskComparison`` for each model and task, and what readers should know."""

    baseline: str
    tasks: tuple[TaskComparison, ...]
    notes: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods of all tables, each once."""
        return tuple(dict.fromkeys(method for table in self.tasks for method in table.methods))
