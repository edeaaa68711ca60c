"""``xrealign data``: what text there is in which language, and fetching more."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from xrealign.progress import say

app = typer.Typer(help="What data there is in each language, and how to get more.", no_args_is_help=False)
COUNTS = ("udhr-segments", "udhr-articles", "cldr-names", "cldr-keywords")


@app.callback(invoke_without_command=True)
def data_command(
    context: typer.Context,
    language: Annotated[str | None, typer.Option(help="Only this language: a code, tag or name.")] = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Lists the languages with embedded text and with data sets that can be fetched.

    `xrealign data sets` lists the data sets; `xrealign data get NAME` fetches one.
    """
    if context.invoked_subcommand is not None:
        return
    from xrealign.corpus.catalogue import data_table
    from xrealign.language import parse_language

    rows = data_table(None if language is None else parse_language(language))
    flat = [{**row, "fetched": " ".join(row["fetched"]), "available": " ".join(row["available"])} for row in rows]
    _print(flat, rows, form, numbers=COUNTS)


@app.command("sets")
def sets_command(form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table") -> None:
    """Lists the data sets of the catalogue: embedded ones and those that can be fetched."""
    from xrealign.corpus.catalogue import catalogue

    rows = [
        {
            "name": entry.id,
            "kind": entry.kind,
            "languages": len(entry.languages),
            "licence": entry.licence,
            "title": entry.title,
        }
        for entry in catalogue().values()
    ]
    _print(rows, rows, form, numbers=("languages",))


@app.command("get")
def get_command(
    name: Annotated[str, typer.Argument(help="A data set of `xrealign data sets`.")],
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Take the files from this folder (originals, or a data pack) instead of the net."),
    ] = None,
) -> None:
    """Fetches a data set into the cache: resumed when broken off, checked against its digests.

    Prints the folder it is in.
    """
    from xrealign.corpus.catalogue import find_entry, get

    entry = find_entry(name)
    folder = get(name, from_)
    say(f"{entry.title}\nlicence: {entry.licence}\nplease cite: {entry.citation}")
    print(folder)


def _print(flat: list[dict[str, Any]], rows: list[dict[str, Any]], form: str, numbers: tuple[str, ...]) -> None:
    from xrealign.errors import ConfigError, did_you_mean

    if form == "json":
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, fieldnames=list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    elif form == "table":
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in flat[0]:
            table.add_column(name, justify="right" if name in numbers else "left", no_wrap=name in ("language", "name"))
        for row in flat:
            table.add_row(*(str(value) if value or name not in numbers else "·" for name, value in row.items()))
        console = Console() if sys.stdout.isatty() else Console(width=160)
        console.print(table)
    else:
        raise ConfigError(
            f"--format {form} is unknown; expected table, csv or json{did_you_mean(form, ['table', 'csv', 'json'])}"
        )
