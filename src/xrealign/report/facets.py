"""Properties by which languages are parted: family, script and, where classes are known, resource class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xrealign.language import Language, script_names
from xrealign.report.context import ReportContext, language_of

NO_FAMILY = "isolate or not recorded"
NO_CLASS = "no class known"
PropertyOf = Callable[[Language, ReportContext], str | None]


def family_name(language: Language, context: ReportContext | None = None) -> str:
    """The top-level family, or that there is none."""
    return language.family or NO_FAMILY


def script_name(language: Language, context: ReportContext | None = None) -> str:
    """The English name of the script, or its code where that is not known."""
    return script_names().get(language.script, language.script)


def resource_class(language: Language, context: ReportContext) -> str | None:
    """``class 0`` to ``class 5`` (Joshi et al. 2020), None where the context holds no classes at all."""
    classes = context.get("resources")
    if not classes:
        return None
    found = classes.get(language.tag, classes.get(language.iso))
    return NO_CLASS if found is None else f"class {found}"


FACETS: Mapping[str, PropertyOf] = {"family": family_name, "script": script_name, "resource class": resource_class}


def parts(tags: Sequence[str], context: ReportContext) -> dict[str, dict[str, list[str]]]:
    """Facet → part → tags; only facets with two parts at least.

    Large families and scripts come first, resource classes in order; what is not known stands last.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name, property_of in FACETS.items():
        members: dict[str, list[str]] = {}
        for tag in tags:
            part = property_of(language_of(tag, context), context)
            if part is not None:
                members.setdefault(part, []).append(tag)
        if len(members) > 1:
            by_size = name != "resource class"
            order = sorted(
                members, key=lambda part: (part in (NO_FAMILY, NO_CLASS), _size(members, part, by_size), part)
            )
            found[name] = {part: members[part] for part in order}
    return found


def _size(members: Mapping[str, Sequence[str]], part: str, wanted: bool) -> int:
    return -len(members[part]) if wanted else 0
