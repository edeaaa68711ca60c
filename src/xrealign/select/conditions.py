"""What must hold for a subset: who is in, who is out, caps, quotas, data and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xrealign.errors import ConfigError
from xrealign.language import Language, script_names
from xrealign.select.criteria import family_of
from xrealign.select.problem import Limit


@dataclass(frozen=True, slots=True)
class Conditions:
    """Constraints on a subset.

    Attributes:
        require: languages that must be chosen.
        exclude: languages that must not.
        max_per: most members of one family or script, such as ``{"family": 1}``; fixed members count.
        at_least: smallest number of members with a property, such as ``{"unseen": 3}``; see :data:`PROPERTIES`.
        at_most: largest number of members with a property.
        sentences: sentence pairs there are with each language, by ISO code.
        min_sentences: candidates with fewer are dropped.
        costs: price of each language, by ISO code.
        budget: most the subset may cost; fixed members cost nothing.
    """

    require: Sequence[Language] = ()
    exclude: Sequence[Language] = ()
    max_per: Mapping[str, int] = field(default_factory=dict)
    at_least: Mapping[str, int] = field(default_factory=dict)
    at_most: Mapping[str, int] = field(default_factory=dict)
    sentences: Mapping[str, float] | None = None
    min_sentences: float = 0
    costs: Mapping[str, float] | None = None
    budget: float | None = None


PROPERTIES = "seen, unseen, family:NAME, script:CODE, class:N"


def allowed(candidates: Sequence[Language], conditions: Conditions) -> tuple[list[Language], dict[Language, str]]:
    """The candidates that may be chosen at all, sorted by tag, and why each other one may not.

    Raises:
        ConfigError: a language both required and excluded, or required without being a candidate.
    """
    both = set(conditions.require) & set(conditions.exclude)
    if both:
        raise ConfigError(f"{min(both).iso} is both required and excluded; keep one of the two")
    missing = sorted(set(conditions.require) - set(candidates))
    if missing:
        raise ConfigError(f"required but not among the candidates: {', '.join(x.iso for x in missing)}")
    reasons: dict[Language, str] = {}
    for language in candidates:
        if language in set(conditions.exclude):
            reasons[language] = "excluded"
        elif conditions.min_sentences > 0:
            have = (conditions.sentences or {}).get(language.iso, 0)
            if have < conditions.min_sentences:
                reasons[language] = f"{have:,.0f} sentence pairs, fewer than {conditions.min_sentences:,.0f}"
    lost = [language for language in conditions.require if language in reasons]
    if lost:
        raise ConfigError(f"the required language {lost[0].iso} has {reasons[lost[0]]}")
    return sorted(set(candidates) - set(reasons)), reasons


def limits_of(
    conditions: Conditions,
    languages: Sequence[Language],
    fixed: Sequence[Language],
    seen: frozenset[str] | None,
    resources: Mapping[str, int] | None,
) -> list[Limit]:
    """The conditions as linear limits on the chosen languages."""
    limits: list[Limit] = []
    for kind, most in conditions.max_per.items():
        if kind not in ("family", "script"):
            raise ConfigError(f"max-per {kind!r}; expected family or script")
        if most < 1:
            raise ConfigError(f"max-per {kind}={most}; expected at least 1")
        label = family_of if kind == "family" else _script
        labels = np.array([label(language) for language in languages])
        taken = Counter(label(language) for language in fixed)
        for name, count in sorted(Counter(labels.tolist()).items()):
            room = max(0, most - taken[name])
            if count > room:
                limits.append(Limit(f"max-per {kind}={most} ({name})", (labels == name).astype(np.float64), high=room))
    for prefix, quotas in (("at-least", conditions.at_least), ("at-most", conditions.at_most)):
        for name, number in quotas.items():
            amount = np.array([float(_has(x, name, seen, resources)) for x in languages])
            low, high = (number, np.inf) if prefix == "at-least" else (-np.inf, number)
            limits.append(Limit(f"{prefix} {name}={number}", amount, low, high))
    if conditions.budget is not None:
        costs = conditions.costs
        if costs is None:
            raise ConfigError("a budget needs the cost of each language: give a table of costs")
        unknown = [language.iso for language in languages if language.iso not in costs]
        if unknown:
            raise ConfigError(f"the table of costs lacks {', '.join(unknown[:10])}; add them or exclude them")
        prices = np.array([float(costs[language.iso]) for language in languages])
        if (prices < 0).any():
            raise ConfigError("a cost is negative; expected 0 or more")
        limits.append(Limit(f"budget {conditions.budget:g}", prices, high=conditions.budget))
    return limits


def _script(language: Language) -> str:
    return language.script


def _has(language: Language, name: str, seen: frozenset[str] | None, resources: Mapping[str, int] | None) -> bool:
    """Whether a language has the property a quota names."""
    kind, _, wanted = name.partition(":")
    if name in ("seen", "unseen"):
        if seen is None:
            raise ConfigError(f"the quota {name} needs to know what the model saw: give seen = xlm-r, mbert or a list")
        return (language.iso in seen) == (name == "seen")
    if kind == "family" and wanted:
        return family_of(language).casefold() == wanted.casefold()
    if kind == "script" and wanted.title() in script_names():
        return language.script == wanted.title()
    if kind == "class" and wanted.isdecimal():
        if resources is None:
            raise ConfigError(f"the quota {name} needs a table of resource classes")
        return resources.get(language.iso) == int(wanted)
    raise ConfigError(f"unknown property {name!r} in a quota; expected one of {PROPERTIES}")
