"""What is to be maximised: each criterion adds its terms to a problem.

Values as they are reported:

- ``maxsum``: sum of all pairwise distances in subset and fixed members (the published criterion: Nguyen et al. 2025);
- ``maxmin``: the smallest of them;
- ``facility``: Σ over targets of 1 − distance to the nearest member (facility location; the k-medoids of the
  targets). Without targets every candidate is one;
- ``families``, ``scripts``: number of different ones; isolates are families of their own;
- ``same-script``: ``maxsum`` among candidates in the script of the first fixed member (Latin without one);
- ``seen``, ``unseen``: members in, or not in, a model's pre-training;
- ``low-resource``, ``high-resource``: Σ (5 − class), Σ class (classes 0 to 5 of Joshi et al. 2020);
- ``least-maxsum``, ``least-maxmin`` (the largest distance), ``least-families``, ``least-scripts``: the same
  quantities made as small as possible;
- ``random``: drawn with a seed; the value reported is that of ``maxsum``.

Counts leave many equal subsets; among those the largest ``maxsum`` decides. Sums of criteria, such as
``maxsum=1,families=0.5``, add the values with these weights (least ones negatively).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xrealign.errors import ConfigError, did_you_mean
from xrealign.language import Language
from xrealign.select.problem import Groups, Limit, Matrix, Near, Problem, Spread, Vector
from xrealign.textio import decimal_number

CRITERIA = (
    "maxsum",
    "maxmin",
    "facility",
    "families",
    "scripts",
    "same-script",
    "seen",
    "unseen",
    "low-resource",
    "high-resource",
    "least-maxsum",
    "least-maxmin",
    "least-families",
    "least-scripts",
    "random",
)
COUNTS = ("families", "scripts", "seen", "unseen", "low-resource", "high-resource", "least-families", "least-scripts")


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything a criterion may look at.

    Attributes:
        candidates: n languages sorted by tag; fixed: f members; targets: t languages.
        among: (n, n) distances between candidates; to_fixed: (n, f); in_fixed: (f, f).
        to_targets: (t, n) from targets to candidates; fixed_to_targets: (t, f).
        seen: ISO codes a model saw, None where not given.
        resources: class by ISO code, None where not given.
    """

    candidates: Sequence[Language]
    fixed: Sequence[Language]
    among: Matrix
    to_fixed: Matrix
    in_fixed: Matrix
    targets: Sequence[Language] = ()
    to_targets: Matrix = field(default_factory=lambda: np.zeros((0, 0)))
    fixed_to_targets: Matrix = field(default_factory=lambda: np.zeros((0, 0)))
    seen: frozenset[str] | None = None
    resources: Mapping[str, int] | None = None


def family_of(language: Language) -> str:
    """The top-level family; a language without one is a family of its own."""
    return language.family or f"({language.name or language.iso})"


def parse_criterion(text: str) -> dict[str, float]:
    """Weights by criterion: ``maxsum`` or ``maxsum=1,families=0.5``.

    Raises:
        ConfigError: an unknown criterion or a weight that is no number.
    """
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, found, number = item.strip().partition("=")
        if name not in CRITERIA:
            known = ", ".join(CRITERIA)
            raise ConfigError(f"unknown criterion {name!r}; expected one of {known}{did_you_mean(name, CRITERIA)}")
        try:
            weight = decimal_number(number) if found else 1.0
        except ValueError:
            raise ConfigError(f"the weight of {name} is {number[:40]!r}; expected a number, as in {name}=0.5") from None
        if weight <= 0:
            raise ConfigError(f"the weight of {name} is {number}; expected more than 0 (least-… turn the sign)")
        if name in weights:
            raise ConfigError(f"criterion {name} is given twice")
        weights[name] = weight
    if len(weights) > 1 and ("random" in weights or "same-script" in weights):
        raise ConfigError("random and same-script cannot be summed with other criteria; use a constraint")
    return weights


def is_minimised(weights: Mapping[str, float]) -> bool:
    """Whether the reported value is better when smaller."""
    return len(weights) == 1 and next(iter(weights)).startswith("least-")


def build_problem(
    setting: Setting,
    k: int,
    weights: Mapping[str, float],
    required: Sequence[int] = (),
    limits: Sequence[Limit] = (),
) -> tuple[Problem, Problem]:
    """The problem to solve, and the one whose value is reported (without the tie-break of counts).

    Both are to be maximised: least-… criteria come in with a negative sign.
    """
    n = len(setting.candidates)
    pair: Matrix | None = None
    linear, constant = np.zeros(n), 0.0
    near: list[Near] = []
    spreads: list[Spread] = []
    groups: list[Groups] = []
    for name, weight in weights.items():
        plain = name.removeprefix("least-")
        signed = -weight if name.startswith("least-") else weight
        if plain in ("maxsum", "same-script", "random"):
            # At the full 4,000 languages a copy takes as long as the search.
            part = setting.among if signed == 1 else signed * setting.among
            pair = part if pair is None else pair + part
            linear += signed * setting.to_fixed.sum(axis=1)
            constant += signed * float(setting.in_fixed.sum()) / 2
        elif plain == "maxmin":
            spreads.append(_spread(setting, signed))
        elif plain == "facility":
            near.append(_near(setting, signed))
        elif plain in ("families", "scripts"):
            groups.append(_groups(setting, plain, signed))
        else:
            gains, base = _per_language(setting, plain)
            linear += signed * gains
            constant += signed * base
    shown = Problem(
        n,
        k,
        pair=pair,
        linear=linear,
        constant=constant,
        near=tuple(near),
        spreads=tuple(spreads),
        groups=tuple(groups),
        required=tuple(required),
        limits=tuple(limits),
    )
    if len(weights) > 1 or next(iter(weights)) not in COUNTS:
        return shown, shown
    members = k + len(setting.fixed)
    widest = float(max(setting.among.max(initial=0.0), setting.to_fixed.max(initial=0.0), 1e-9))
    share = 0.5 / (widest * max(1, members * (members - 1) // 2) + widest)
    solved = Problem(
        n,
        k,
        pair=share * setting.among,
        linear=linear + share * setting.to_fixed.sum(axis=1),
        constant=constant,
        groups=tuple(groups),
        required=tuple(required),
        limits=tuple(limits),
    )
    return solved, shown


def _spread(setting: Setting, signed: float) -> Spread:
    """maxmin: the smallest distance. least-maxmin: minus the largest, as the smallest of the negative distances."""
    sign = 1.0 if signed > 0 else -1.0
    f = len(setting.fixed)
    towards = (sign * setting.to_fixed).min(axis=1, initial=np.inf)
    inside = sign * setting.in_fixed[np.triu_indices(f, 1)]
    return Spread(sign * setting.among, towards, float(inside.min(initial=np.inf)), abs(signed))


def _near(setting: Setting, signed: float) -> Near:
    if len(setting.targets):
        similarity, fixed = 1 - setting.to_targets, 1 - setting.fixed_to_targets
    else:
        similarity, fixed = 1 - setting.among, 1 - setting.to_fixed
    return Near(similarity, fixed.max(axis=1, initial=0.0), signed)


def _groups(setting: Setting, name: str, signed: float) -> Groups:
    label = family_of if name == "families" else _script_of
    names = [label(language) for language in setting.candidates]
    fixed = [label(language) for language in setting.fixed]
    index = {text: number for number, text in enumerate(sorted({*names, *fixed}))}
    labels = np.array([index[text] for text in names], dtype=np.int64)
    return Groups(labels, len(index), frozenset(index[text] for text in fixed), signed)


def _script_of(language: Language) -> str:
    return language.script


def _per_language(setting: Setting, name: str) -> tuple[Vector, float]:
    """What each candidate is worth, and what the fixed members are worth together."""
    if name in ("seen", "unseen"):
        if setting.seen is None:
            raise ConfigError(f"criterion {name} needs to know what the model saw: give seen = xlm-r, mbert or a list")
        seen = setting.seen
        worth = {language: float((language.iso in seen) == (name == "seen")) for language in setting.candidates}
        base = sum(float((language.iso in seen) == (name == "seen")) for language in setting.fixed)
    else:
        if setting.resources is None:
            raise ConfigError(f"criterion {name} needs the class of each language: give a table of classes 0 to 5")
        table = setting.resources
        unknown = [language.iso for language in setting.candidates if language.iso not in table]
        if unknown:
            raise ConfigError(f"the table of resource classes lacks {', '.join(unknown[:10])}; add or exclude them")
        high = name == "high-resource"
        worth = {x: float(table[x.iso] if high else 5 - table[x.iso]) for x in setting.candidates}
        base = sum(float(table[x.iso] if high else 5 - table[x.iso]) for x in setting.fixed if x.iso in table)
    return np.array([worth[language] for language in setting.candidates]), base
