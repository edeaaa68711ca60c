"""Sentence pairs from files: every form, every fault with its place, words split or found."""

from __future__ import annotations

import functools
import gzip
import hashlib
import lzma
import os
import re
import sys
import tracemalloc
from pathlib import Path

import pytest

from xrealign.align.pairs import LONGEST_BYTES, LONGEST_LINE, check_input, find_form, read_rows, write_words
from xrealign.align.reading import SPLIT, Reading, find_reading
from xrealign.errors import ConfigError, DataError, LanguageError, XrealignError
from xrealign.language import parse_language
from xrealign.segment import segmentation_name

gzipped = functools.partial(gzip.compress, mtime=0)  # parameters must be the same in every process of the tests

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOOD = [("All are born free", "Alle sind frei"), ("You too", "Du auch")]
TMX = (
    '<?xml version="1.0"?>\n<tmx version="1.4"><body>\n<tu><tuv xml:lang="en"><seg>Birds can\'t sing.</seg></tuv>'
    '<tuv xml:lang="zh"><seg>鸟不会唱歌。</seg></tuv></tu>\n{}</body></tmx>'
)


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    pack = {".gz": gzipped, ".xz": lzma.compress, ".zst": zstd.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(data))
    return path


def tsv(pairs=GOOD) -> str:
    return "".join(f"{src}\t{tgt}\n" for src, tgt in pairs)


def rows_of(*paths: Path, reading: Reading = SPLIT):
    return [(row.number, row.src, row.tgt, row.fault) for row in read_rows(paths, find_form(paths), None, reading)]


EXPECTED = [(n, src.split(), tgt.split(), "") for n, (src, tgt) in enumerate(GOOD, 1)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_forms_and_packings(tmp_path: Path, suffix: str) -> None:
    assert rows_of(write(tmp_path / f"a.tsv{suffix}", tsv())) == EXPECTED
    assert rows_of(write(tmp_path / f"a.txt{suffix}", tsv().replace("\t", " ||| "))) == EXPECTED
    sides = [write(tmp_path / f"a.{k}{suffix}", "".join(f"{pair[k]}\n" for pair in GOOD)) for k in (0, 1)]
    assert rows_of(*sides) == EXPECTED


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + tsv(),
        tsv().replace("\n", "\r\n"),
        tsv().removesuffix("\n"),
        tsv().removesuffix("\n") + "\r",
        tsv().replace(" ", "  ").replace("\t", " \t "),
    ],
)
def test_ends_of_lines_marks_and_doubled_blanks_do_not_matter(tmp_path: Path, content: str) -> None:
    assert rows_of(write(tmp_path / "a.tsv", content)) == EXPECTED


def test_what_is_text_stays(tmp_path: Path) -> None:
    """Only line feeds end lines, only blanks separate split words; text is normalised."""
    line = "a\u2028b\u0085c\x0bd\x0ce no\u00a0break\u3000x \ufeffy\tcafe\u0301 |||\n"
    words = ["a\u2028b\u0085c\x0bd\x0ce", "no\u00a0break\u3000x", "\ufeffy"]
    assert rows_of(write(tmp_path / "a.tsv", line)) == [(1, words, ["café", "|||"], "")]


# What a line may be, the fault it counts as, and what is said of it.
FAULTS = [
    ("a b c\n", "columns", "1 tab-separated column, expected 2 (source, target)"),
    (
        "a\tb\t0-0\n",
        "columns",
        "3 tab-separated columns, expected 2 (source, target); with ids or links beside the text",
    ),
    ("\n", "empty line", "the line is empty; expected source and target"),
    (" \r\n", "empty line", "the line is empty"),
    ("\t\n", "empty source", "the source sentence is empty"),
    ("\tb\n", "empty source", "the source sentence is empty"),
    ("a\t \n", "empty target", "the target sentence is empty"),
    ("a\t\u00a0\u3000\u2028\n", "empty target", "the target sentence is empty"),
    ("a\t\u200b\ufeff\u200e\n", "empty target", "the target sentence is empty"),
    ("a\tb\0\n", "NUL", "NUL character in text; is this a binary file, or UTF-16?"),
    (b"a\tb\xff\n", "not UTF-8", "byte 0xff is not UTF-8; save the file as UTF-8"),
    (b"a\t\xed\xa0\x80\n", "not UTF-8", "byte 0xed is not UTF-8"),
    (b"a\t\xe4\xb8\n", "not UTF-8", "byte 0xe4 is not UTF-8"),
    ("a\tb\rc\td\n", "carriage return", r"a carriage return inside the line; lines end in \n or \r\n"),
    (f"{'a ' * 60_000}\tb\n", "overlong line", "120002 characters on the line, expected 100000 at most"),
    (f"{'好' * 300_000}\tb\n", "overlong line", f"more than {LONGEST_BYTES - 1} bytes on the line"),
]


@pytest.mark.parametrize(("line", "kind", "told"), FAULTS, ids=[f"{n}-{f[1]}" for n, f in enumerate(FAULTS)])
def test_faulty_lines_have_a_place_and_a_name(tmp_path: Path, line: str | bytes, kind: str, told: str) -> None:
    bad = line.encode() if isinstance(line, str) else line
    path = write(tmp_path / "a.tsv", tsv().encode() + bad + tsv().encode())
    assert [row[3] for row in rows_of(path)] == ["", "", kind, "", ""]
    with pytest.raises(DataError, match=re.escape(told)) as raised:
        check_input([path], "tsv", lenient=False)
    assert str(raised.value).startswith(f"{path}:3: ")
    assert "--lenient" in str(raised.value)
    checked = check_input([path], "tsv", lenient=True)
    assert (checked.lines, dict(checked.faults)) == (5, {kind: 1})


def test_a_broken_character_at_the_end_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\nc\tdé".encode()[:-1])
    with pytest.raises(DataError, match=r"a\.tsv:2: byte 0xc3 is not UTF-8"):
        check_input([path], "tsv", lenient=False)


def test_faults_of_two_files_name_the_one_at_fault(tmp_path: Path) -> None:
    src = write(tmp_path / "a.en", "one\ntwo\n\nfour\tcells\n")
    tgt = write(tmp_path / "a.de", b"eins\nzw\xffei\ndrei\nvier\n")
    found = [(row.fault, Path(row.path).name) for row in read_rows([src, tgt], "moses")]
    assert found == [("", ""), ("not UTF-8", "a.de"), ("empty source", "a.en"), ("tab", "a.en")]
    longer = write(tmp_path / "b.de", "eins\nzwei\ndrei\nvier\nfünf\n\n")
    for pair, counts in (
        ((src, longer), "a.en has 4 lines, .*b.de has 6"),
        ((longer, src), "b.de has 6 lines, .*a.en has 4"),
    ):
        with pytest.raises(DataError, match=counts):
            check_input(pair, "moses", lenient=True)


# Files as a whole: name, content (None: not there), arguments of find_form, and what is said.
LINES = b"".join(b"%d\t%x\n" % (n, n * n) for n in range(999))
FILES = [
    ("none.tsv", None, "cannot be read: No such file or directory"),
    ("-", None, "standard input cannot be aligned, save it as a file"),
    ("empty.tsv", b"", "no sentence pairs in it"),
    ("bom.tsv", b"\xef\xbb\xbf", ":1: no line has a tab or ' ||| ' in it"),
    ("blank.tsv", b"\n \n\n", ":1: no line has a tab or ' ||| ' in it"),
    ("words.txt", b"one\ntwo\n", ":1: no line has a tab or ' ||| ' in it: expected source and target on each"),
    ("tabs.tsv", b"\t\n", ":1: the source sentence is empty"),
    ("mac.tsv", b"a\tb\rc\td\r", ":1: a carriage return inside the line"),
    ("utf16.tsv", tsv().encode("utf-16"), ":1: byte 0xff is not UTF-8; it begins like UTF-16"),
    ("utf16le.tsv", tsv().encode("utf-16-le"), ":1: NUL character in text; is this a binary file, or UTF-16?"),
    ("utf32.tsv", tsv().encode("utf-32"), ":1: byte 0xff is not UTF-8"),
    ("latin1.tsv", "é\té\n".encode("latin-1"), ":1: byte 0xe9 is not UTF-8"),
    ("packed.tsv", gzipped(tsv().encode() * 9), "it begins like gzip: give the file a name that ends in .gz"),
    ("packed2.tsv", zstd.compress(tsv().encode() * 9), "it begins like Zstandard"),
    ("cut.tsv.gz", gzipped(LINES)[:-9], "cannot be read: Compressed file ended"),
    ("cut.tsv.xz", lzma.compress(LINES)[:-9], "cannot be read: Compressed file ended"),
    ("cut.tsv.zst", zstd.compress(LINES)[:-9], "cannot be read: Compressed file ended"),
    ("plain.tsv.gz", tsv().encode(), "cannot be read: Not a gzipped file"),
    ("plain.tsv.xz", tsv().encode(), "cannot be read: Input format not supported"),
    ("plain.tsv.zst", tsv().encode(), "cannot be read: Unable to decompress Zstandard data"),
    ("more.tsv.gz", gzipped(tsv().encode()) + b"more", "cannot be read: Not a gzipped file"),
]


@pytest.mark.parametrize(("name", "content", "told"), FILES, ids=[row[0] for row in FILES])
def test_files_that_are_no_sentence_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(told)) as raised:
        check_input([path], find_form([path]), lenient=False)
    assert str(raised.value).startswith(name)
    assert "\n" not in str(raised.value)


def test_only_empty_lines_are_told_leniently_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "\n\n")
    with pytest.raises(
        DataError, match=r"a\.tsv: all 2 lines are at fault \(2 empty line\), first on line 1: the line is"
    ):
        check_input([path], "tsv", lenient=True)
    with pytest.raises(DataError, match=r"a\.tsv: no sentence pairs in it"):
        check_input([write(path, "")], "tsv", lenient=True)


def test_folders_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for path, told in (
        (tmp_path, "is a folder, expected a file"),
        (tmp_path / "pipe", "is no file that can be read twice"),
        (Path("/dev/null"), "is no file that can be read twice"),
    ):
        with pytest.raises(DataError, match=told):
            find_form([path])
        with pytest.raises(DataError, match=told):
            find_form([write(tmp_path / "a", "a\n"), path])


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tsv", tsv())
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root: every file can be read, the system's refusal is played

        def refuse(*_args: object, **_more: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.tsv: cannot be read: Permission denied"):
        find_form([path])


def test_two_files_that_are_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.en", "one\n")
    (tmp_path / "a.de").symlink_to(path)
    for other in (path, tmp_path / "a.de"):
        with pytest.raises(ConfigError, match="are the same file; expected one for each language"):
            find_form([path, other])


def test_forms_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", tsv())
    for paths, form, told in (
        ([path], "tvs", "--input tvs is unknown; expected auto, tsv, moses, bar, tmx; did you mean 'tsv'?"),
        ([path], "moses", "moses input is 2 files, but 1 are named"),
        ([path, path], "tsv", "tsv input is 1 file, but 2 are named"),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            find_form(paths, form)
    assert [find_form([path], form) for form in ("tsv", "bar", "tmx")] == ["tsv", "bar", "tmx"]


def test_an_endless_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv.gz", b"a\tb\n" + b"x" * 20_000_000 + b"\nc\td\n")
    tracemalloc.start()
    assert [row[3] for row in rows_of(path)] == ["", "overlong line", ""]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("name", ["m.tmx", "m.TMX", "m.tmx.gz", "m.tmx.zst", "m.xml"])
def test_translation_memories_have_their_words_found(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TMX.format(""))
    assert find_form([path]) == "tmx"
    reading = find_reading([path], "tmx")
    assert (reading.src, reading.tgt, reading.words) == (parse_language("eng"), parse_language("zho"), "segment")
    assert rows_of(path, reading=reading) == [(3, ["Birds", "can't", "sing", "."], ["鸟", "不会", "唱歌", "。"], "")]
    back = find_reading([path], "tmx", "split", tgt="en")
    assert rows_of(path, reading=back) == [(3, ["鸟不会唱歌。"], ["Birds", "can't", "sing."], "")]


UNIT = '<tu tuid="u"><tuv xml:lang="{}"><seg>{}</seg></tuv><tuv xml:lang="{}"><seg>{}</seg></tuv></tu>\n'


@pytest.mark.parametrize(
    ("unit", "kind", "told"),
    [
        (
            UNIT.format("de", "Vögel", "zh", "鸟"),
            "no source",
            "unit u has no segment in eng_Latn; its languages are de, zh",
        ),
        (
            UNIT.format("en", "x", "xyzzy", "鸟"),
            "no target",
            "unit u has no segment in zho_Hans; its languages are en, xyz",
        ),
        (
            UNIT.format("de", "Vögel", "zh", "鸟").replace('"u"', f'"{"u" * 999}"'),
            "no source",
            f"unit {'u' * 60}… has no segment in eng_Latn",
        ),
        (UNIT.format("en", " ", "zh", "鸟"), "empty source", "the source sentence is empty"),
        (
            UNIT.format("en", "x", "zh", "birds do not sing"),
            "wrong script",
            "14 of 14 letters are Latin, expected Simplified",
        ),
        (UNIT.format("en", "x" * (LONGEST_LINE + 1), "zh", "鸟"), "overlong line", "more than 100000 characters"),
        ("<tu/>\n", "no source", "unit 2 has no segment in eng_Latn; its languages are none"),
    ],
)
def test_faulty_units(tmp_path: Path, unit: str, kind: str, told: str) -> None:
    path = write(tmp_path / "m.tmx", TMX.format(unit + UNIT.format("en", "Yes", "zh", "好")))
    reading = find_reading([path], "tmx")
    assert [row[3] for row in rows_of(path, reading=reading)] == ["", kind, ""]
    with pytest.raises(DataError, match=rf"m\.tmx:4: .*{re.escape(told)}"):
        check_input([path], "tmx", False, reading)
    checked = check_input([path], "tmx", True, reading)
    assert (checked.lines, dict(checked.faults)) == (3, {kind: 1})
    assert checked.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_translation_memory_cut_short_ends_the_check(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tmx", TMX.format("<tu>"))
    with pytest.raises(DataError, match=r"m\.tmx:4: cannot be read as TMX: mismatched tag"):
        check_input([path], "tmx", True, find_reading([path], "tmx"))
    with pytest.raises(ConfigError, match="needs a reading with two languages"):
        check_input([path], "tmx", True)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (
            ("tsv", "segmnt"),
            ConfigError,
            "--words segmnt is unknown; expected auto, split, segment; did you mean 'segment'?",
        ),
        (("tsv", "segment"), ConfigError, "--words segment needs --src-language and --tgt-language"),
        (("tsv", "segment", "de"), ConfigError, "--words segment needs --tgt-language"),
        (("tsv", "segment", "de", "khb_Talu"), ConfigError, "there is no rule for the words of khb_Talu"),
        (("tsv", "auto", "klingonese"), LanguageError, "unknown language 'klingonese'"),
        (("tmx", "auto", "zh", "zh"), ConfigError, "are both zho_Hans; expected two languages of"),
    ],
)
def test_readings_that_cannot_be(
    tmp_path: Path, arguments: tuple[str, ...], error: type[XrealignError], told: str
) -> None:
    path = write(tmp_path / "m.tmx", TMX.format(""))
    with pytest.raises(error, match=re.escape(told)):
        find_reading([path], *arguments)


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ("<tu/>", ":1: the languages of the first unit are none: name both with --src-language"),
        (UNIT.format("en", "x", "en-GB", "x"), ":1: the languages of the first unit are en, en-GB: name both"),
        (UNIT.format("en", "x", "none-such", "x"), ":1: the languages of the first unit are en, none-such: name both"),
        ("", ": no translation units in it"),
    ],
)
def test_memories_that_do_not_say_their_languages(tmp_path: Path, units: str, told: str) -> None:
    path = write(tmp_path / "m.tmx", f"<tmx><body>{units}</body></tmx>")
    with pytest.raises(DataError, match=re.escape(f"m.tmx{told}")):
        find_reading([path], "tmx")


def test_unsplit_text_is_segmented_by_the_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "Birds can't sing.\t鸟不会唱歌。\nHello\t་\nx\t你好\n")
    reading = find_reading([path], "tsv", "segment", "en", "zh")
    rows = [(row.src, row.tgt, row.fault) for row in read_rows([path], "tsv", None, reading)]
    assert rows[0] == (["Birds", "can't", "sing", "."], ["鸟", "不会", "唱歌", "。"], "")
    assert rows[1][2] == "empty target"
    zho = segmentation_name(parse_language("zho"))
    assert reading.key() == {"words": {"src": "blanks", "tgt": zho}, "src": "eng_Latn", "tgt": "zho_Hans"}
    assert zho.startswith("icu ")
    assert SPLIT.key() == {"words": {"src": "split", "tgt": "split"}, "src": None, "tgt": None}


def test_languages_of_split_text_only_check_its_script(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "Birds can't sing.\t鸟 不会 唱歌 。\nBirds can't sing.\tdo not sing\n")
    reading = find_reading([path], "tsv", "auto", "en", "zh")
    rows = [(row.src, row.tgt, row.fault) for row in read_rows([path], "tsv", None, reading)]
    assert rows == [(["Birds", "can't", "sing."], ["鸟", "不会", "唱歌", "。"], ""), ([], [], "wrong script")]


def test_the_words_that_are_meant_can_be_written_and_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "Birds can't sing. |||\t鸟不会唱歌。\n\nOne\ttwo\tthree\nYes\t谢谢\n")
    reading = find_reading([path], "tsv", "segment", "en", "zh")
    out = tmp_path / "words.tsv"
    write_words([path], "tsv", out, reading)
    assert out.read_text("utf-8") == "Birds can't sing . | | |\t鸟 不会 唱歌 。\n\n\nYes\t谢谢\n"
    assert [row.tgt for row in read_rows([out], "tsv") if not row.fault] == [["鸟", "不会", "唱歌", "。"], ["谢谢"]]
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        write_words([path], "tsv", tmp_path / "more.tsv", reading)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["words.tsv"]
