"""Whether the labels, tags and types of several files go together, and where the first that does not stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import regex

from xrealign.tasks.faults import MOST_TOLD
from xrealign.tasks.label_names import Unmatched, find_unmatched, names_in, same_in_another_spelling
from xrealign.tasks.readers_text import all_lines, shown, some
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import AnyExample, tags_of

UPOS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
        "SYM", "VERB", "X")  # fmt: skip
MOST_UPOS = 0.8  # a file with this share of UPOS tags is meant to have no others


def compare_names(
    task: str, read: Mapping[str, Sequence[AnyExample]], train: str | None, spec: TaskSpec
) -> tuple[list[str], list[str]]:
    """Faults between files, and what is no fault: labels that not every file has."""
    problems: list[str] = []
    notes: list[str] = []
    for what, names_of in names_in(task).items():
        held = {place: {n for e in examples for n in names_of(e)} for place, examples in read.items() if examples}
        everywhere = set().union(*held.values())
        odd = _not_upos(read) if task == "pos" and train is None else {}
        problems += _placed(odd, "beside the 17 universal ones of the file")
        told = {name.name for names, _ in odd.values() for name in names}
        problems += _spellings(what, [g for g in same_in_another_spelling(everywhere) if told.isdisjoint(g)], held)
        numbers = sorted(name for name in everywhere if name.isdecimal() and name not in spec.labels.values())
        if numbers:
            notes.append(f"note: the {what} {some(numbers)} are numbers; a task needs names for them (--label)")
        if train is not None:
            others = {place: examples for place, examples in read.items() if place != train}
            if train in held:
                problems += _placed(find_unmatched(held[train], others, names_of), "that training does not have")
            continue
        lacking = {name: [place for place, names in held.items() if name not in names] for name in sorted(everywhere)}
        lacking = {name: places for name, places in lacking.items() if places}
        for name, places in list(lacking.items())[:MOST_TOLD]:
            few = ", ".join(Path(place).name for place in places[:3]) + (", …" if len(places) > 3 else "")
            notes.append(f"note: {name!r} is in {len(held) - len(places)} of {len(held)} files; not in {few}")
        if len(lacking) > MOST_TOLD:
            notes.append(f"note: and {len(lacking) - MOST_TOLD} more are not in every file")
    return problems, notes


def _spellings(what: str, groups: Sequence[Sequence[str]], held: Mapping[str, Collection[str]]) -> list[str]:
    problems = []
    for group in groups[:MOST_TOLD]:
        where = [next(place for place, names in held.items() if name in names) for name in group]
        told = ", ".join(f"{name!r} ({place})" for name, place in zip(group, where, strict=True))
        problems.append(f"{what} in several spellings: {told}; bring them together with --label")
    if len(groups) > MOST_TOLD:
        problems.append(f"{what} in several spellings: and {len(groups) - MOST_TOLD} more")
    return problems


def _not_upos(read: Mapping[str, Sequence[AnyExample]]) -> dict[str, tuple[list[Unmatched], int]]:
    """Tags that are none of Universal Dependencies' seventeen in files that mostly have these."""
    found: dict[str, tuple[list[Unmatched], int]] = {}
    for place, examples in read.items():
        tags = Counter(tag for example in examples for tag in tags_of(example))
        if tags and sum(tags[tag] for tag in UPOS) >= MOST_UPOS * sum(tags.values()):
            found |= find_unmatched(UPOS, {place: examples}, tags_of)
    return found


def _placed(found: Mapping[str, tuple[Sequence[Unmatched], int]], told: str) -> list[str]:
    """A line for each name, with the first line of the file that has it."""
    problems = []
    for place, (names, count) in found.items():
        lines = all_lines(place) if Path(place).is_file() else []
        for name in names:
            line = _line_with(lines, name)
            problems.append(f"{place}:{line}: {shown(name.name)} {told}{str(name).removeprefix(shown(name.name))}")
        problems += [f"{place}: and {count - len(names)} more {told}"] if count > len(names) else []
    return problems


def _line_with(lines: Sequence[str], found: Unmatched) -> int:
    """The line of the first example; of a sentence, the first one of which a cell is the name or a tag of that type."""
    name, example = found.name, found.first.removeprefix("line ")
    for number, line in enumerate(lines, 1):
        cells = regex.split(r"[\t ,;|]", line)
        if not line.startswith("#") and any(cell == name or cell[1:] == f"-{name}" for cell in cells):
            return number
    return int(example) if example != found.first and example.isdecimal() else 1
