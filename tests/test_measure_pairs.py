"""Which sentences and words are measured: reading, drawing, links; and what is wrong with a file, by line."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from xrealign.errors import ConfigError, DataError, LanguageError
from xrealign.measure_pairs import draw_words, open_bitext, read_pairs, shared_sentences

LINES = ["the red house\tdas rote Haus", "a cat\teine Katze", "we see Berlin\twir sehen Berlin", "no\tnein"]


@pytest.fixture
def tsv(tmp_path):
    path = tmp_path / "eng-deu.tsv"
    path.write_text("\n".join(LINES) + "\n", "utf-8")
    return path


def write(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("kind", ["tsv", "crlf", "no end", "bar", "gz", "moses", "tmx"])
def test_every_form_gives_the_same_pairs(tmp_path, tsv, kind):
    src, tgt = zip(*(line.split("\t") for line in LINES), strict=True)
    named = str(tsv)
    if kind == "crlf":
        write(tsv, "\r\n".join(LINES) + "\r\n")
    elif kind == "no end":
        write(tsv, "\n".join(LINES))
    elif kind == "bar":
        named = str(write(tmp_path / "b.txt", "\n".join(line.replace("\t", " ||| ") for line in LINES)))
    elif kind == "gz":
        named = str(tmp_path / "x.tsv.gz")
        with gzip.open(named, "wb") as file:
            file.write(tsv.read_bytes())
    elif kind == "moses":
        named = ",".join(
            str(write(tmp_path / f"m.{tag}", "\n".join(side))) for tag, side in (("eng", src), ("deu", tgt))
        )
    elif kind == "tmx":
        units = "".join(
            f'<tu><tuv xml:lang="en"><seg>{a}</seg></tuv><tuv xml:lang="de"><seg>{b}</seg></tuv></tu>'
            for a, b in zip(src, tgt, strict=True)
        )  # all on one line
        head = '<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body>'
        named = str(write(tmp_path / "x.tmx", f"{head}{units}</body></tmx>"))
    file = open_bitext(named, None if kind == "tmx" else "eng-deu")
    assert (file.src_tag, file.tgt_tag) == ("eng_Latn", "deu_Latn")
    pairs = read_pairs(file, 100)
    assert tuple(pairs.src.texts) == src
    assert tuple(pairs.tgt.texts) == tgt
    assert pairs.src.words()[0] == ["the", "red", "house"]
    assert pairs.counts == {"lines": 4, "sentences": 4}


def test_links_become_word_pairs(tmp_path, tsv):
    """One-to-one, different words; scores and possible links are links."""
    links = write(tmp_path / "l.pharaoh", "0-0 1-1:0.93 2p2\n0-0 1-0\n0-0 1-1 2-2\n\n")
    pairs = read_pairs(open_bitext(str(tsv), "eng-deu", links), 100)
    assert pairs.words.tolist() == [[0, 0, 0], [0, 1, 1], [0, 2, 2], [2, 0, 0], [2, 1, 1]]
    assert pairs.counts["links"] == 8
    assert (pairs.counts["links not 1-1"], pairs.counts["links identical words"]) == (2, 1)
    drawn = draw_words(pairs, 2, 0, np.array([True, True, False, True, True]))
    assert len(drawn.words) == 2
    assert drawn.counts["word pairs without a vector"] == 1
    assert drawn.counts["word pairs not drawn"] == 2
    again = draw_words(pairs, 2, 0, np.array([True, True, False, True, True]))
    assert drawn.words.tolist() == again.words.tolist()


def test_links_of_a_drawn_line_are_its_own(tmp_path):
    lines = [f"word{n} other\twort{n} andere" for n in range(30)]
    tsv = write(tmp_path / "x.tsv", "\n".join(["bad line", *lines]))
    links = write(tmp_path / "l", "\n".join(["", *(f"{n % 2}-{(n // 2) % 2}" for n in range(30))]))
    pairs = read_pairs(open_bitext(str(tsv), "eng-deu", links), 7, seed=3, lenient=True)
    assert pairs.counts["columns"] == 1
    assert pairs.counts["not drawn"] == 23
    assert len(pairs.words) == 7
    for sentence, i, j in pairs.words.tolist():
        number = int(pairs.src.texts[sentence].split()[0].removeprefix("word"))
        assert (i, j) == (number % 2, (number // 2) % 2)


def test_words_by_rule_and_at_blanks(tmp_path):
    tsv = write(tmp_path / "x.tsv", "Life, please.\t我想要生活。\n")
    ruled = read_pairs(open_bitext(str(tsv), "eng-zho"), 9)
    assert ruled.src.words() == [["Life", ",", "please", "."]]
    assert ruled.tgt.texts == ["我想要生活。"]
    assert ruled.tgt.words()[0][-2:] == ["生活", "。"]
    assert ruled.tgt.word_texts[0].endswith("生活 。")
    split = read_pairs(open_bitext(str(tsv), "eng-zho"), 9, words="split")
    assert split.src.words() == [["Life,", "please."]]
    assert read_pairs(open_bitext(str(tsv)), 9).src.words() == [["Life,", "please."]]
    with pytest.raises(ConfigError, match="--words segment needs --langs"):
        read_pairs(open_bitext(str(tsv)), 9, words="segment")
    with pytest.raises(ConfigError, match=r"--words segmnt is unknown.*'segment'"):
        read_pairs(open_bitext(str(tsv)), 9, words="segmnt")


def test_what_is_drawn_depends_on_the_source_sentence_alone(tmp_path):
    """So that bitexts with the same source sentences, in any order, stay comparable."""
    numbers = np.random.default_rng(0).permutation(200).tolist()
    one = write(tmp_path / "a.tsv", "\n".join(f"sentence {n}\tSatz {n}" for n in range(200)))
    two = write(tmp_path / "b.tsv", "\n".join(f"sentence {n}\tsentensi {n}" for n in numbers))
    first, second = (read_pairs(open_bitext(str(p), f"eng-{t}"), 20) for p, t in ((one, "deu"), (two, "swh")))
    assert sorted(first.src.texts) == sorted(second.src.texts)
    assert first.src.texts == sorted(first.src.texts, key=lambda t: int(t.split()[1]))
    rows = shared_sentences([first, second])
    assert [first.src.texts[r] for r in rows[0]] == [second.src.texts[r] for r in rows[1]]
    assert len(rows[0]) == 20
    other = read_pairs(open_bitext(str(one), "eng-deu"), 20, seed=1)
    assert set(other.src.texts) != set(first.src.texts)


def test_repeated_sentences_are_left_out_on_either_side(tmp_path):
    tsv = write(tmp_path / "x.tsv", "a b\tc\na b\td\ne\tc\nf\tg\n")
    pairs = read_pairs(open_bitext(str(tsv)), 9)
    assert pairs.src.texts == ["a b", "f"]
    assert pairs.counts["repeated sentence"] == 2
    assert pairs.tgt_tag == "x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\tb\nonly one\n", r"x\.tsv:2: 1 tab-separated column, expected 2"),
        ("a\tb\n\nc\td\n", r"x\.tsv:2: the line is empty"),
        ("a\tb\nc\t\n", r"x\.tsv:2: the target sentence is empty"),
        ("a\tb\nc\td\te\n", r"x\.tsv:2: 3 tab-separated columns"),
        ("a\tb\nc\tпривет мир\n", r"x\.tsv:2: the target sentence is in the wrong script"),
    ],
)
def test_faulty_lines_are_named(tmp_path, text, told):
    tsv = write(tmp_path / "x.tsv", text)
    with pytest.raises(DataError, match=told):
        read_pairs(open_bitext(str(tsv), "eng-deu"), 9)
    assert len(read_pairs(open_bitext(str(tsv), "eng-deu"), 9, lenient=True).src.texts) >= 1


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ("0-0\n", r"l has 1 lines of links, .*eng-deu\.tsv has 4 sentence pairs"),
        ("0-0\n0-0\n0_0\n\n", r"l:3: '0_0' is not a link"),
        ("0-0\n0-7\n\n\n", r"l:2: link 0-7 points outside sentences of 2 and 2 words"),
    ],
)
def test_faulty_links_are_named(tmp_path, tsv, links, told):
    path = write(tmp_path / "l", links)
    with pytest.raises(DataError, match=told):
        read_pairs(open_bitext(str(tsv), "eng-deu", path), 9)


def test_faulty_links_are_skipped_leniently_with_their_sentences(tmp_path, tsv):
    path = write(tmp_path / "l", "0-0 1-1\n1-\n0-0\n٠-٠\n")
    pairs = read_pairs(open_bitext(str(tsv), "eng-deu", path), 100, lenient=True)
    assert pairs.src.texts == ["the red house", "we see Berlin"]
    assert (pairs.counts["faulty links"], pairs.counts["sentences"], pairs.counts["lines"]) == (2, 2, 4)
    assert pairs.words[:, 0].tolist() == [0, 0, 1]
    write(path, "0-0\n9-0\n\n\n")  # a link outside its sentence: the files do not belong together
    with pytest.raises(DataError, match=r"l:2: link 9-0 points outside sentences of 2 and 2 words"):
        read_pairs(open_bitext(str(tsv), "eng-deu", path), 100, lenient=True)


def test_what_is_no_bitext(tmp_path, tsv):
    with pytest.raises(ConfigError, match="3 files; expected one"):
        open_bitext("a,b,c")
    with pytest.raises(DataError, match="cannot be read"):
        open_bitext(str(tmp_path / "none.tsv"))
    with pytest.raises(ConfigError, match="expected two languages, such as eng-deu"):
        open_bitext(str(tsv), "eng")
    with pytest.raises(ConfigError, match="both are deu_Latn"):
        open_bitext(str(tsv), "deu-de")
    with pytest.raises(LanguageError, match="unknown language 'xyzzy'"):
        open_bitext(str(tsv), "eng-xyzzy")
    assert open_bitext(str(tsv), "zh-Hant:pt-BR").src_tag == "zho_Hant"


def test_links_made_are_those_of_the_aligner(tiny_encoder_folder, tmp_path, udhr_lines):
    """`xrealign align --aligner argmax --centre` on the same words."""
    from xrealign.align.embedding import embedding_recipe
    from xrealign.align.extract import AlignSettings
    from xrealign.measuring import make_links

    files = []
    for tag in ("deu_Latn", "zho_Hans"):
        rows = dict.fromkeys(zip(udhr_lines["eng_Latn"][:8], udhr_lines[tag][:8], strict=True))
        path = write(tmp_path / f"{tag}.tsv", "\n".join("\t".join(row) for row in rows))
        files.append(read_pairs(open_bitext(str(path), f"eng:{tag}"), 99, words="split"))
    for pair, links in zip(files, make_links(files, str(tiny_encoder_folder), -2), strict=True):
        settings = AlignSettings("argmax", 3, centre=True, max_length=512)
        linker = embedding_recipe(str(tiny_encoder_folder), settings).open()
        src, tgt = pair.src.words(), pair.tgt.words()
        linker.prepare(src, tgt)
        for ours, theirs in zip(links, linker.link(src, tgt).found, strict=True):
            assert ours.tolist() == theirs.links.tolist()
        assert sum(len(found) for found in links) >= 8  # Chinese at blanks: one word a sentence
