"""CoNLL columns: one word a line with its tag, an empty line after each sentence; separated by TABs or blanks.

Read as they come: CoNLL-2003 (four columns, ``-DOCSTART-``), WikiANN (``en:word``), MasakhaNER and MasakhaPOS (one
blank), UNER (a column of numbers, further columns, ``# sent_id = …``), xSID (``# intent: …``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import regex

from xrealign.errors import DataError, did_you_mean
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_spans import NO_NAMES, RawSentence, to_bio
from xrealign.tasks.readers_text import all_lines, column_number, odd_name, shown, some
from xrealign.tasks.task import TaggedExample

NO_COLUMNS: Mapping[str, str] = {}
WORD_NAMES = ("word", "words", "token", "tokens", "form", "text")
TAG_NAMES = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "upos", "slot", "slots")
_COMMENT = regex.compile(r"# ?(?:\w[\w. ]*[=:]|id\b)")  # "# sent_id = x", "# intent: x"; MultiCoNER: "# id x"
_VALUE = regex.compile(r"# ?(sent_id|id|intent)\b ?[=:]? ?(\S.*)")
_TAG_LIKE = regex.compile(r"O|[BIESLUM]-\S+")
_PREFIX = regex.compile(r"[a-z][a-z-]{1,11}:")
Row = tuple[int, list[str]]


def read_conll(
    path: str | Path,
    columns: Mapping[str, str] = NO_COLUMNS,
    faults: Faults | None = None,
    separator: str | None = None,
    spans: bool = True,
    names: Mapping[str, str] = NO_NAMES,
    scheme: str | None = None,
) -> tuple[TaggedExample, ...]:
    """The sentences of a file in columns; tags of spans come in BIO form, others as they stand there.

    Args:
        path: plain, .gz, .xz or .zst.
        columns: which hold ``words`` and ``tags``, by number from 1 or by the header's names. Without it: the first
            (the second behind numbers), and for spans the last column of such tags, else the only other one.
        faults: where to note what is wrong; None raises.
        separator: what stands between columns; None is a TAB where the file has one, or else blanks.
        spans: the tags are spans'; then ``names`` and ``scheme`` are `to_bio`'s.

    Raises:
        DataError: the file cannot be read, has no sentences or no such column; lines that break the format.
    """
    found = faults or Faults(Path(path))
    sentences = raw_conll(path, columns, found, separator, spans)
    if spans:
        examples = to_bio(sentences, found, names, scheme)
    else:
        examples = tuple(TaggedExample(s.words, s.tags, s.group, s.label) for s in sentences)
    found.settle()
    return examples


def raw_conll(
    path: str | Path, columns: Mapping[str, str], faults: Faults, separator: str | None, spans: bool
) -> list[RawSentence]:
    """`read_conll` before anything is made of the tags; sentences with faults are left out, and the faults noted."""
    lines = all_lines(path)
    mark = separator or ("\t" if any("\t" in line for line in lines if not line.startswith("# ")) else " ")
    blocks, comments = _blocks(lines, mark)
    widths = Counter(len(cells) for block in blocks for _, cells in block)
    if not widths:
        raise DataError("no sentences in this file; expected a word and its tag on each line", path)
    width = max(widths, key=lambda width: (widths[width], width > 1))
    _refuse_one_column(path, blocks, width)
    header = _header(blocks[0][0][1], columns)
    if header:
        if len(header) != width:
            message = f"the header has {len(header)} columns, the lines below it {width}"
            raise DataError(message, path, blocks[0][0][0])
        faults.remarks["header"] = " ".join(header)
        blocks[0] = blocks[0][1:]
        if not blocks[0]:
            blocks, comments = blocks[1:], comments[1:]
    rows = [cells for block in blocks for _, cells in block if len(cells) == width]
    word_at, tag_at = _find_columns(path, rows, columns, header, spans)
    strip = _prefix([cells[word_at] for cells in rows])
    if strip:
        faults.remarks["prefix"] = strip
    label_at = _number(path, columns["label"], width, header) if "label" in columns else None
    hidden = {tag: told for tag in {row[tag_at] for row in rows} if tag and (told := odd_name(tag))}
    sentences = []
    for block, known in zip(blocks, comments, strict=True):
        before = faults.count
        for line, cells in block:
            _check(line, cells, width, word_at, tag_at, mark, strip, faults)
            if hidden and len(cells) == width and cells[tag_at] in hidden:
                faults.add(f"tag {shown(cells[tag_at])} {hidden[cells[tag_at]]}", line)
        if faults.count > before:
            faults.left_out["sentence with a fault"] += 1
            continue
        words = tuple(cells[word_at].removeprefix(strip) for _, cells in block)
        label = known.get("intent", "") if label_at is None else block[0][1][label_at]
        if label and (told := odd_name(label)):
            faults.add(f"the sentence's label {shown(label)} {told}", block[0][0])
            faults.left_out["sentence with a fault"] += 1
            continue
        group = known.get("sent_id") or known.get("id") or f"line {block[0][0]}"
        sentences.append(RawSentence(words, tuple(c[tag_at] for _, c in block), [n for n, _ in block], group, label))
    return sentences


def _blocks(lines: Sequence[str], separator: str) -> tuple[list[list[Row]], list[dict[str, str]]]:
    """The lines of each sentence as cells, and what the comments before it say."""
    blocks: list[list[Row]] = []
    comments: list[dict[str, str]] = []
    block: list[Row] = []
    known: dict[str, str] = {}
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if block:
                blocks.append(block)
                comments.append(known)
                block, known = [], {}
            elif number <= len(lines):
                known = {}
        elif line.startswith("-DOCSTART-"):
            continue
        elif line.startswith("#") and (_COMMENT.match(line) or (separator == "\t" and "\t" not in line)):
            if match := _VALUE.match(line):
                known.setdefault(match[1], match[2].split("\t")[0].strip())
        elif separator == " ":
            block.append((number, [cell for cell in line.split(" ") if cell]))
        else:
            block.append((number, [cell.strip() for cell in line.split(separator)]))
    return blocks, comments


def _refuse_one_column(path: str | Path, blocks: Sequence[Sequence[Row]], width: int) -> None:
    if width > 1:
        return
    line, (cell,) = next((line, cells) for block in blocks for line, cells in block if len(cells) == 1)
    every = [cells[0] for block in blocks for _, cells in block]
    mark = next((mark for mark in (",", ";", "|", "/", "_") if all(mark in cell for cell in every)), None)
    hint = f'; are they separated by {mark!r}? Say separator = "{mark}" (--separator "{mark}")' if mark else ""
    raise DataError(
        f"one column, expected a word and its tag with a TAB or a blank between: {shown(cell)}{hint}", path, line
    )


def _header(cells: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """The first row, if it names the columns."""
    folded = [cell.casefold() for cell in cells]
    named = any(column_number(column) is None for column in columns.values())
    usual = any(name in folded for name in WORD_NAMES) and any(name in folded for name in TAG_NAMES)
    return list(cells) if named or usual else []


def _number(path: str | Path, column: str, width: int, header: Sequence[str]) -> int:
    """Position of a column given by number or by the header's name."""
    number = column_number(column)
    if number is not None:
        if not 1 <= number <= width:
            raise DataError(f"no column {column}: the file has {width}", path)
        return number - 1
    if column not in header:
        hint = did_you_mean(column, header)
        raise DataError(f"no column {shown(column)}; the first line has: {some(header)}{hint}", path, 1)
    return list(header).index(column)


def _find_columns(
    path: str | Path, rows: Sequence[Sequence[str]], columns: Mapping[str, str], header: Sequence[str], spans: bool
) -> tuple[int, int]:
    """Positions of the words and of the tags."""
    if not rows:
        raise DataError("no sentences in this file; there is only a header", path)
    width = len(rows[0])
    folded = [name.casefold() for name in header]
    if "words" in columns:
        words = _number(path, columns["words"], width, header)
    elif any(name in folded for name in WORD_NAMES):
        words = next(folded.index(name) for name in WORD_NAMES if name in folded)
    else:
        numbered = width > 2 and all(row[0].isdecimal() for row in rows)
        words = 1 if numbered else 0
    if "tags" in columns:
        return words, _number(path, columns["tags"], width, header)
    if any(name in folded for name in TAG_NAMES):
        return words, next(folded.index(name) for name in TAG_NAMES if name in folded)
    others = list(range(words + 1, width)) or [at for at in range(width) if at != words]
    if spans:
        like = [at for at in others if all(_TAG_LIKE.fullmatch(row[at]) for row in rows)]
        return words, (like or others)[-1]
    if len(others) > 1:
        raise DataError(
            f"{width} columns: say which holds the tags with columns = {{tags = \"2\"}} (--column tags=2), from 1 to "
            f"{width}; the first line is {shown(' | '.join(rows[0]), 200)}", path,
        )  # fmt: skip
    held, given = (len({row[at] for row in rows}) for at in (words, others[0]))
    if given > held:
        raise DataError(
            f"column {others[0] + 1} has {given} different tags, column {words + 1} has {held} different words: are "
            f"the tags in column {words + 1}? Say columns = {{words = \"{others[0] + 1}\", tags = \"{words + 1}\"}}",
            path,
        )  # fmt: skip
    return words, others[0]


def _prefix(words: Sequence[str]) -> str:
    """WikiANN's ``en:`` before each word; empty where not more than half of the words have the same."""
    match = _PREFIX.match(words[0])
    if match is None:
        return ""
    return match[0] if sum(word.startswith(match[0]) for word in words) * 2 > len(words) > 1 else ""


def _check(
    line: int, cells: Sequence[str], width: int, word_at: int, tag_at: int, mark: str, strip: str, faults: Faults
) -> None:
    name = {"\t": "TAB", " ": "blank"}.get(mark, repr(mark))
    text = mark.join(cells)
    if len(cells) != width:
        hint = "; are there blanks in place of TABs?" if mark == "\t" and len(cells) == 1 and " " in text else ""
        told = f"{len(cells)} column{'s' * (len(cells) != 1)}, expected {width} (separated by {name})"
        faults.add(f"{told}: {shown(text)}{hint}", line)
    elif not cells[word_at] or not cells[tag_at]:
        faults.add(f"the {'word' if not cells[word_at] else 'tag'} is empty: {shown(text)}", line)
    elif strip and (not cells[word_at].startswith(strip) or cells[word_at] == strip):
        faults.add(f"expected a word behind {strip!r}, as on the other lines, got {shown(cells[word_at])}", line)
