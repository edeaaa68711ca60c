"""Tables of ready-made text as Markdown, CSV or LaTeX, with everything from data made harmless."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xrealign.escape import csv_cell as csv_cell
from xrealign.escape import latex, markdown


@dataclass(frozen=True, slots=True)
class TextTable:
    """Rows of text, one cell for each column; ``text_columns`` first columns are names, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()


def text_markdown(table: TextTable) -> str:
    """A heading, a GitHub table, the notes."""
    lines = [f"### {markdown(table.title)}\n"] if table.title else []
    lines.append("| " + " | ".join(markdown(name) for name in table.header) + " |")
    lines.append("|" + "|".join("---" if n < table.text_columns else "---:" for n in range(len(table.header))) + "|")
    lines += ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in table.rows]
    lines += ["", *(f"- {markdown(note)}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def text_csv(table: TextTable) -> str:
    """The cells alone."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(csv_cell(name) for name in table.header)
    writer.writerows([csv_cell(cell) for cell in row] for row in table.rows)
    return buffer.getvalue()


def text_latex(table: TextTable) -> str:
    """A booktabs ``table`` (needs ``\\usepackage{booktabs}``), notes in the caption."""
    align = "l" * table.text_columns + "r" * (len(table.header) - table.text_columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
    lines += [" & ".join(latex(name) for name in table.header) + r" \\", r"\midrule"]
    for row in table.rows:
        lines.append(" & ".join(latex(cell) for cell in row) + r" \\")
    caption = latex(". ".join(part.rstrip(".") for part in (table.title, *table.notes) if part))
    lines += [r"\bottomrule", r"\end{tabular}", *([rf"\caption{{{caption}.}}"] if caption else []), r"\end{table}"]
    return "\n".join(lines) + "\n"


TEXT_FORMATS: Mapping[str, Callable[[TextTable], str]] = {"md": text_markdown, "csv": text_csv, "latex": text_latex}


def write_tables(tables: Sequence[TextTable], form: str) -> str:
    """The tables one after the other, an empty line between them."""
    return "\n".join(TEXT_FORMATS[form](table) for table in tables)
