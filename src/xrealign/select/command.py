"""``xrealign select``: results on standard output, nothing else there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xrealign.errors import ConfigError

if TYPE_CHECKING:
    from xrealign.language import Language


def select_command(
    candidates: Annotated[
        str,
        typer.Option(
            help="Languages to choose from: codes or names separated by commas, a file with one on each line, or a "
            "named set: `published-65`, `embedded` (those with embedded parallel text), `all` (those with typological "
            "data, about 4,000)."
        ),
    ] = "embedded",
    k: Annotated[int, typer.Option("--k", "-k", help="How many to choose, fixed members not counted.")] = 10,
    fixed: Annotated[
        str, typer.Option(help="Members that count in the value and in caps but are not chosen, e.g. eng.")
    ] = "",
    criterion: Annotated[
        str,
        typer.Option(
            help="What to maximise: `maxsum` (sum of pairwise distances), `maxmin` (the smallest one), `facility` "
            "(closeness to --targets), `families`, `scripts`, `same-script`, `seen`, `unseen`, `low-resource`, "
            "`high-resource`, `random`; `least-maxsum`, `least-maxmin`, `least-families`, `least-scripts`; or a "
            "weighted sum such as `maxsum=1,families=0.5`."
        ),
    ] = "maxsum",
    distance: Annotated[
        str,
        typer.Option(
            help="`uriel-featural` (kNN-completed), `uriel-syntactic`, `urielplus-featural`, `grambank`, `genetic`, "
            "`geographic`, `script` …, a matrix file (.tsv, .npz), or a weighted mean "
            "`uriel-featural=2,geographic=1`. A wrong name lists them all."
        ),
    ] = "uriel-featural",
    targets: Annotated[str, typer.Option(help="Languages to be near to, for `facility`.")] = "",
    require: Annotated[str, typer.Option(help="Languages that must be chosen.")] = "",
    exclude: Annotated[str, typer.Option(help="Languages that must not be chosen.")] = "",
    max_per: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=N", help="At most N of one `family` or `script`, fixed members counted."),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=N", help="At least N chosen ones: seen, unseen, family:NAME, script:CODE, class:N."),
    ] = None,
    at_most: Annotated[list[str] | None, typer.Option(metavar="WHAT=N", help="At most N chosen ones.")] = None,
    seen: Annotated[
        str, typer.Option(help="What the model saw in pre-training: `xlm-r`, `mbert`, codes or a file.")
    ] = "",
    resources: Annotated[
        Path | None, typer.Option(help="Table of resource classes (Joshi et al. 2020): language, tab, 0 to 5.")
    ] = None,
    sentences: Annotated[
        str, typer.Option(help="Parallel sentences there are: a table (language, tab, number) or `embedded`.")
    ] = "",
    min_sentences: Annotated[int, typer.Option(help="Drop candidates with fewer parallel sentences.")] = 0,
    costs: Annotated[Path | None, typer.Option(help="Table of costs: language, tab, cost.")] = None,
    budget: Annotated[float | None, typer.Option(help="Most that the chosen ones may cost together.")] = None,
    missing: Annotated[
        str | None,
        typer.Option(help="Gaps in the features: `imputed`, `pairwise` (compare what both have) or `refuse`."),
    ] = None,
    min_known: Annotated[
        float, typer.Option(min=0, max=1, help="Drop candidates with a smaller share of observed features, e.g. 0.25.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of random draws and restarts.")] = 0,
    time_limit: Annotated[float, typer.Option(help="Seconds after which the proof stops.")] = 60.0,
    value_of: Annotated[
        str, typer.Option(help="Do not choose: value of this subset, next to what the best one could reach.")
    ] = "",
    compare: Annotated[
        str, typer.Option(help="Several criteria side by side, separated by blanks: 'maxsum maxmin random'.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words why each is in, who was next, what if it had no data.")
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for pictures: typological space, heat map, world map.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="`table`, `markdown`, `csv`, `latex` or `json` (one object).")
    ] = "table",
) -> None:
    """Chooses which few languages to realign on, and shows how good the choice is.

    The answer comes with its value, a bound no other choice exceeds, and what each member adds. Languages are given
    in any usual code or name; two spellings of one are an error.

    Examples:

        xrealign select --candidates published-65 --fixed eng -k 10

        xrealign select --candidates all -k 10 --max-per family=1 --explain

        xrealign select --candidates embedded --criterion facility --targets quy,aym -k 5 --plots pictures
    """
    from dataclasses import replace
    from functools import partial

    from xrealign.language import parse_languages
    from xrealign.select.candidates import language_list, read_classes, read_numbers
    from xrealign.select.conditions import Conditions
    from xrealign.select.explain import explain as reasons_of
    from xrealign.select.explain import in_words
    from xrealign.select.selection import choose, evaluate_subset
    from xrealign.select.tables import check_format, render, render_comparison
    from xrealign.select.task import prepare

    check_format(form)
    if budget is not None and not math.isfinite(budget):
        raise ConfigError(f"--budget {budget}: expected a finite number")
    if not time_limit >= 0:
        raise ConfigError(f"--time-limit {time_limit}: expected a number of seconds, 0 or more")
    if min_known != min_known:
        raise ConfigError(f"--min-known {min_known}: expected a share from 0 to 1")
    cost_table = read_numbers(costs, "cost") if costs else None
    conditions = Conditions(
        require=language_list(require) if require else (),
        exclude=language_list(exclude) if exclude else (),
        max_per=_counts(max_per, "max-per"),
        at_least=_counts(at_least, "at-least"),
        at_most=_counts(at_most, "at-most"),
        sentences=_sentence_table(sentences),
        min_sentences=min_sentences,
        costs=cost_table,
        budget=budget,
    )
    if min_sentences > 0 and not sentences:
        raise ConfigError("--min-sentences needs --sentences: a table of sentence numbers, or embedded")
    pool = language_list(candidates)
    fixed_languages = language_list(fixed) if fixed else []
    ready = partial(
        prepare,
        fixed=fixed_languages,
        criterion=criterion,
        distance=distance,
        targets=language_list(targets) if targets else [],
        conditions=conditions,
        seen=_seen(seen),
        resources=read_classes(resources) if resources else None,
        missing=missing,
        min_known=min_known,
    )
    if compare:
        if value_of or explain or plots:
            raise ConfigError("--compare stands alone: leave out --value-of, --explain and --plots")
        selections = {
            name: choose(ready(pool, k, criterion=name), seed, time_limit) for name in dict.fromkeys(compare.split())
        }
        prices = None
        if cost_table is not None:
            prices = {x: cost_table[x.iso] for s in selections.values() for x in s.subset if x.iso in cost_table}
        print(render_comparison(selections, form, prices))
        return
    given = parse_languages(_items(value_of)) if value_of else []
    if given:
        _check_members(given, pool, fixed_languages)
        task = ready(pool, len(given))
        selection = evaluate_subset(task, given, seed, time_limit)
    else:
        task = ready(pool, k)
        selection = choose(task, seed, time_limit)
    if plots:
        from xrealign.progress import say
        from xrealign.select.plots import PLOTS

        for name, draw in PLOTS.items():
            say(f"wrote {draw(task, selection, plots / f'{name}.png')}")
    if explain and form != "json":
        if form not in ("table", "markdown"):
            raise ConfigError("--explain goes with the formats table, markdown and json")
        shown = replace(selection, notes=[])
        print(render(shown, form) + "\n\n" + in_words(task, selection))
        return
    print(render(selection, form, reasons_of(task, selection) if explain else ()))


def _items(text: str) -> list[str]:
    items = text.split(",") if "," in text else text.split()
    return [item.strip() for item in items if item.strip()]


def _counts(items: Sequence[str] | None, option: str) -> dict[str, int]:
    """``family=1`` items as numbers by name."""
    from xrealign.textio import whole_number

    counts: dict[str, int] = {}
    for item in items or ():
        name, found, number = item.rpartition("=")
        try:
            count = whole_number(number) if found else -1
        except ValueError:
            count = -1
        if count < 0 or not name.strip():
            shown = item if len(item) <= 60 else f"{item[:60]}…"
            raise ConfigError(f"--{option} {shown!r}; expected a name and a whole number, as in family=1")
        if name.strip() in counts:
            raise ConfigError(f"--{option} {name.strip()} is given twice")
        counts[name.strip()] = count
    return counts


def _sentence_table(text: str) -> Mapping[str, float] | None:
    """Sentence pairs by ISO code, from a table or counted in the embedded text."""
    if not text:
        return None
    if text != "embedded":
        from xrealign.select.candidates import read_numbers

        return read_numbers(text, "number of sentences")
    from xrealign.corpus.embedded import embedded_counts

    table: dict[str, float] = {}
    for language, counts in embedded_counts().items():
        table[language.iso] = max(table.get(language.iso, 0.0), float(sum(counts.values())))
    return table


def _seen(text: str) -> frozenset[str] | None:
    if not text:
        return None
    from xrealign.pretraining import LISTS, seen_isos

    if text in LISTS:
        return seen_isos(text)
    from xrealign.select.candidates import language_list

    return frozenset(language.iso for language in language_list(text))


def _check_members(given: list[Language], pool: list[Language], fixed: list[Language]) -> None:
    """A subset to be valued has to come from the candidates, and fixed members are not part of it."""
    inside = [language.iso for language in given if language in set(fixed)]
    if inside:
        raise ConfigError(f"--value-of lists {', '.join(inside)}, which --fixed counts already; leave it out of one")
    outside = [language.iso for language in given if language not in set(pool)]
    if outside:
        raise ConfigError(f"--value-of lists {', '.join(outside)}, not among the candidates; add them there")
