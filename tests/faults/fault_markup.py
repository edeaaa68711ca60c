"""Markup, formulas and orders in everything a report shows: 0 active nodes, found by real parsers of each format."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness import Fault, Outcome
from look import unseen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "report"))

HTML = ("<script>alert(1)</script>", "</title><script>alert(1)</script>", "</style><script>x</script>",
        "</script><script>x", '"><img src=https://evil.example/x onerror=alert(1)>', "' onmouseover='alert(1)",
        "<svg/onload=alert(1)>", "<iframe srcdoc=x>", "<a href=javascript:alert(1)>x</a>", "<!--", "]]><x/>",
        "&lt;script&gt;", "<base href=//evil.example>", "<style>*{display:none}</style>",
        "</text></svg><script>x</script>", "{{ 7*7 }}", "{% include '/etc/passwd' %}")  # fmt: skip
MARKDOWN = ("[x](https://evil.example)", "![x](https://evil.example/x.png)", "<https://evil.example>",
            "https://evil.example", "www.evil.example", "me@evil.example", "[x]: https://evil.example", "| a | b |",
            "```\n<script>x</script>", "~~~", "# h", "- x", "1. x", "***", "`<b>`", "a\n\n<b>x</b>",
            "\\[x](https://evil.example)", "[x][y]", "$$x$$")  # fmt: skip
LATEX = ("\\input{/etc/passwd}", "\\write18{id}", "\\immediate\\write18{id}", "}}{{{", "% x", "$x", "^^5cinput", "#1",
         "a & b \\\\", "\\end{tabular}", "[x]", "*x", "\\")  # fmt: skip
FORMULAS = ("=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example")', "+1+1", "-1+1", "-1.5", "@SUM(A1)", "\t=1+1",
            "\r=1+1", " =1+1", "\n=1+1", "\uff1d1+1", "'=1+1", '"=1+1', "=", "-", "1;=1+1", '1","=1+1')  # fmt: skip
TERMINAL = ("[red]x[/red]", "[link=https://evil.example]x[/link]", "[/]", "\x1b[31mred",
            "\x1b]8;;https://evil.example\x07x", "\x9b31m", "\x1b]0;title\x07", "a\rb", "a\x08b", "\x00",
            "\u202egnp.exe", "\u2066x", "\u200f", "\U000e0041")  # fmt: skip
YAML = ("!!python/object/apply:os.system ['id']", "*a", "&a x", "---\nlicense: x", "x: y", "{a: b}", "? x", "| x",
        "null", "~", "yes", "\u2028x: y", "\u0085x: y", '"\nx: y')  # fmt: skip
TEXTS = (*HTML, *MARKDOWN, *LATEX, *FORMULAS, *TERMINAL, *YAML)
_FORMULA = re.compile(r"\s*[=+\-@\uff1d]")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")
_COMMANDS = frozenset(["begin", "end", "textbackslash", "textasciitilde", "textasciicircum", "textless",
                      "textgreater", "textbar", "toprule", "midrule", "bottomrule", "centering", "caption", "textbf",
                      "label", "multicolumn", "cmidrule", "small"])  # fmt: skip


class _Nodes(HTMLParser):
    """What of a page could act."""

    TAGS = frozenset(["script", "iframe", "object", "embed", "form", "base", "link", "img", "image", "audio",
                     "video", "source", "track", "foreignobject", "animate", "set", "template", "frame", "frameset",
                     "applet", "meta", "style"])  # fmt: skip

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.TAGS:
            self.found.append(tag)
        for name, value in attrs:
            leads = name in ("href", "src", "action", "formaction", "data", "srcset", "xlink:href", "poster", "srcdoc")
            own = name == "style" and (value or "").startswith("text-align: ")  # the renderer's, of columns of numbers
            if name.startswith("on") or (name == "style" and not own) or (leads and not (value or "").startswith("#")):
                self.found.append(f"{tag} {name}={(value or '')[:40]!r}")

    handle_startendtag = handle_starttag


def active_html(text: str) -> list[str]:
    """Nodes and attributes of a page that could act; its own style, script and policy are not among them."""
    reader = _Nodes()
    reader.feed(text)
    reader.close()
    own = ["meta"] * 5 + ["style", "script"]
    for tag in own:
        if tag in reader.found:
            reader.found.remove(tag)
    return [*reader.found, *unseen(text)]


def active_markdown(text: str) -> list[str]:
    """What a renderer of Markdown would make of it: tags, addresses to follow."""
    import markdown

    reader = _Nodes()
    reader.feed(markdown.markdown(text, extensions=["tables", "fenced_code"]))
    reader.close()
    outside = re.sub(r"(?ms)^(`{3,})[^\n]*\n.*?^\1$", "", text)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    bare = re.findall(r"(?:(?<!\\):|\b)//evil\S*|\b[wW]{3}\.\S+|\bme@\S+", outside)
    return [*reader.found, *bare, *unseen(text)]


def active_latex(text: str) -> list[str]:
    """Commands that are not ours, and what is not balanced."""
    found = [name for name in re.findall(r"\\([A-Za-z]+)", text) if name not in _COMMANDS]
    bare = re.sub(r"\\\\|\\[{}$&#_%]|\$-\$|\\[A-Za-z]+", " ", text)
    found += [f"bare {c}" for c in bare if c in "\\%$#^~"]
    depth = 0
    for char in bare:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            found.append("unbalanced")
            break
    found += ["unbalanced"] if depth > 0 else []
    found += ["an argument"] if re.search(r"\\\\\s*[\[*]", text) else []
    return [*found, *unseen(text)]


def active_csv(text: str) -> list[str]:
    """Cells that a spreadsheet would work out, and what nobody sees."""
    return [*formulas(text), *unseen(text)]


def formulas(text: str) -> list[str]:
    """Cells that a spreadsheet would work out."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    bad = [cell[:40] for cell in cells if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)]
    return [cell for cell in bad if not cell.startswith("'")]


def active_svg(text: str) -> list[str]:
    """Elements of a picture that could act."""
    found = []
    for node in ElementTree.fromstring(text).iter():
        tag = str(node.tag).rpartition("}")[2].lower()
        if tag in ("script", "foreignobject", "a", "image", "iframe", "animate", "set", "handler"):
            found.append(tag)
        for name, value in node.attrib.items():
            plain = name.rpartition("}")[2].lower()
            if plain.startswith("on") or (plain == "href" and not value.startswith("#")):
                found.append(f"{tag} {plain}")
    return [*found, *unseen("".join(ElementTree.fromstring(text).itertext()))]


def active_pdf(data: bytes) -> list[str]:
    """Actions in a PDF."""
    return [name.decode() for name in (b"/JavaScript", b"/JS ", b"/URI", b"/Launch", b"/OpenAction") if name in data]


def active_card(text: str) -> list[str]:
    """A model card: its front matter has our keys and nothing but text, its body is Markdown."""
    import yaml

    _, head, body = text.split("---\n", 2)
    content = yaml.safe_load(head)
    known = {"language", "license", "base_model", "tags", "model-index", "library_name", "pipeline_tag", "datasets"}
    return [*(str(key) for key in content if key not in known), *active_markdown(body), *unseen(head)]


def hostile(text: str) -> tuple[Any, ...]:
    """A small run in which every name, label and note is ``text``: scores, groups, context, items."""
    from dataclasses import replace

    from report_sample import sample

    from xrealign.language import Language

    run = sample(n=20)
    kept = dict.fromkeys(("eng_Latn", "amh_Latn", "eus_Latn", "deu_Latn", "zul_Latn"))
    scores = [s for s in run.scores if s.language in kept]
    scores += [replace(s, method=text) for s in scores if s.method == "control"]
    scores += [replace(s, task=text, metric=text) for s in scores if s.task == "intents" and s.metric == "accuracy"]
    groups = {name: [tag for tag in tags if tag in kept] for name, tags in run.groups.items()}
    groups[text] = ["deu_Latn"]
    context: dict[str, Any] = dict(run.context)
    for key, value in context.items():
        if isinstance(value, str) and key not in ("source", "task", "metric"):
            context[key] = text
    context["languages"] = {
        tag: Language(tag, text, language.glottocode, text) for tag, language in run.context["languages"].items()
    }
    context |= {"subset": [("amh_Latn", text)], "pairs": {"amh_Latn": 5}, "warnings": [text], "settings": {text: text}}
    context |= {"data": [dict.fromkeys(("id", "licence", "digest", "citation", "url"), text)], "versions": {text: text}}
    context |= {name: {text: 1} for name in ("seconds", "steps", "disk")} | {"majority": {}, "resources": {}}
    return scores, groups, context, {key: v for key, v in run.items.items() if key[1] in kept}


def _outputs(text: str, folder: Path, figures: bool) -> Iterator[tuple[str, str | bytes, list[str]]]:
    """Every output of the report: its name, what is in it, and what of that could act."""
    from rich.console import Console

    from xrealign.report import card, comparison, comparison_tables, html, write
    from xrealign.report import context as contexts
    from xrealign.report.page_compare import comparison_page
    from xrealign.report.pivot import pivot
    from xrealign.report.pivot_formats import write_pivot
    from xrealign.report.tables import (
        group_table,
        language_table,
        measure_table,
        to_csv,
        to_json,
        to_latex,
        to_markdown,
    )

    def looked(name: str, look: Callable[[Any], list[str]], made: Any) -> tuple[str, str | bytes, list[str]]:
        return name, made, look(made)

    scores, groups, context, items = hostile(text)
    contexts.check_context(context)
    summary, others, measures, warnings = write._gather(scores, groups, context, items)
    yield looked("run.html", active_html, html.html_page(summary, measures, context, warnings, others))
    yield looked("run.md", active_markdown, write.markdown_report(summary, measures, context, warnings, others))
    yield looked("card.md", active_card, card.model_card(context, scores, groups, items))
    tables = [group_table(summary), language_table(summary), *map(measure_table, measures), *map(group_table, others)]
    for number, table in enumerate(tables):
        for name, look in _FORMS.items():
            form = {"md": to_markdown, "csv": to_csv, "latex": to_latex, "json": to_json}[name]
            yield looked(f"table {number}.{name}", look, form(table))
    shown = io.StringIO()
    write.print_report(scores, groups, context, items, Console(file=shown, width=80, force_terminal=False))
    yield looked("terminal", unseen, shown.getvalue())
    compared = comparison.compare_scores(scores, groups=groups, context=context)
    yield looked("compare.html", active_html, comparison_page(compared, [context], {"": measures}))
    for name, look in _FORMS.items():
        yield looked(f"compare.{name}", look, comparison_tables.write_comparison(compared, name))
        wanted = [score for score in scores if not score.variant]
        yield looked(f"pivot.{name}", look, write_pivot(pivot(wanted, ["method"], ["task"]), name, baseline="baseline"))
    yield from _files_of_scores(scores, folder)
    if figures:
        write.write_report(scores, groups, context, folder, items)
        for path in sorted(folder.rglob("*.svg")):
            yield looked(path.name, active_svg, path.read_text("utf-8"))
        for path in sorted(folder.rglob("*.pdf")):
            yield looked(path.name, active_pdf, path.read_bytes())


def _files_of_scores(scores: list[Any], folder: Path) -> Iterator[tuple[str, str | bytes, list[str]]]:
    """Tables of scores hold texts as they are, so that they read back equal; no cell of them is a formula."""
    from xrealign.errors import DataError
    from xrealign.report.scores import read_scores, write_scores

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("scores.csv", "scores.parquet"):
        path = write_scores(scores, folder / name)
        data = path.read_bytes()
        text = data.decode("utf-8") if path.suffix == ".csv" else ""
        try:
            other = [] if read_scores(path) == scores else ["reads back as something else"]
        except DataError as error:  # of text, a NUL or such a line end could be damage: refused, with the place
            other = [] if set(text) & set("\r\0") and error.line else [str(error)]
        yield name, data, [*formulas(text), *other]


def _json(text: str) -> list[str]:
    json.loads(text)
    return unseen(text)


_FORMS: Mapping[str, Callable[[str], list[str]]] = {
    "md": active_markdown, "csv": active_csv, "latex": active_latex, "json": _json,
}  # fmt: skip


def _reports(texts: tuple[str, ...], scratch: Path, fast: bool) -> Iterable[Outcome]:
    if fast and texts is not HTML:
        return
    for number, text in enumerate(texts[:1] if fast else texts):
        bad, count = [], 0
        figures = number == 0 and texts in (HTML, TERMINAL)
        for name, _made, found in _outputs(text, scratch / f"{number:02d}", figures):
            count += 1
            bad += [f"{name}: {found[:3]}"] if found else []
        yield Outcome(f"{text!r:.50} in {count} outputs", not bad, "; ".join(bad[:4]))


MARKER = "Zq7marker"
# Of texts they show names of the methods compared and of a measure only, which stay what they are in `hostile`.
UNMARKED = ("map.svg", "transfer.svg")


def _marked(scratch: Path, _fast: bool) -> Iterable[Outcome]:
    """With a harmless text in place of the hostile one: where it is not, no hostile one could have been found."""
    for name, made, found in _outputs(MARKER, scratch / "marked", figures=True):
        if name.endswith(".pdf") or name in UNMARKED:  # what a PDF draws is packed; the picture is an SVG, too
            continue
        held = MARKER.encode() in made if isinstance(made, bytes) else MARKER in made
        yield Outcome(f"the marker in {name}", held and not found, str(found[:3]) if found else "" if held else "lost")


KINDS = {
    "HTML": HTML,
    "Markdown": MARKDOWN,
    "LaTeX": LATEX,
    "formulas": FORMULAS,
    "terminal orders": TERMINAL,
    "YAML": YAML,
}
FAULTS = (
    Fault("a harmless text in what reports show", "every output has it: none is clean for want of it", _marked),
    *(
        Fault(f"{name} in what reports show", "escaped: 0 active nodes", partial(_reports, texts))
        for name, texts in KINDS.items()
    ),
)
