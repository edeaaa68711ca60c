"""Builds src/xrealign/data/catalogue_files.tsv: every file of the fetched sets, from a data pack.

    python tools/build_catalogue.py DATA_PACK

One line for each original file: its set, name, address, SHA-256 and language tag, and the converted file of the
data pack that was made from it, with the first 16 hexadecimal digits of that file's SHA-256 (all of them where
the pack's own list has none). A digest is written only when the pack holds the original's own bytes; elsewhere
``-`` says that it is not known, and the first download is pinned instead.
"""

from __future__ import annotations

import csv
import hashlib
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from xrealign.errors import LanguageError
from xrealign.language import parse_language

OUT = Path(__file__).resolve().parent.parent / "src" / "xrealign" / "data" / "catalogue_files.tsv"
RAW = "https://raw.githubusercontent.com"
HEADER = ("set", "name", "language", "url", "sha256", "pack", "pack_sha256")
FOLDERS = {
    "parallel/ntrex/": "ntrex-128",
    "topic/sib200/": "sib-200",
    "pos/": "ud-pos",
    "ner/": "uner",
    "nli/americasnli/": "americasnli",
    "dictionaries/gatitos/": "gatitos",
    "dictionaries/wiktionary/": "wiktionary",
    "dictionaries/xling_eval/": "xling-eval",
    "alignments/": "gold-alignments",
}
LASER = "facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0"
TICO = "tico-19/tico-19.github.io/3123e43377e88d75e5623eaeea95b9bfb6351aaf"
ALIGNFREEZE = (
    "posos-tech/multilingual-alignment-and-transfer/9740cb362ee73539c5a6e0346b4f9afac7f30e0a/scripts/2025_naacl/results"
)
# The one file the pack rebuilt, and what stands at its address.
REBUILT = {"pos/eng.train.conllu": ["en_ewt-ud-train.conllu"]}
Row = tuple[str, str, str, str, str, str, str]


def tag(code: str) -> str:
    """The product's tag for a code, or ``-`` for what is no language of its table."""
    try:
        return parse_language(code).tag
    except LanguageError:
        return "-"


def originals(file: str, listed: str) -> list[str]:
    """The paths of the original files that SOURCES.tsv lists for one converted file."""
    if file in REBUILT:
        return REBUILT[file]
    first, *rest = [part.strip() for part in listed.split(" + ")]
    if rest == [".gold"]:
        return [first, first.removesuffix(".src-tgt") + ".gold"]
    return [first, *rest]


def language_of(file: str) -> str:
    """``deu`` of ``pos/deu.test.conllu``; the other language of ``eng-deu.tsv``."""
    code = re.split(r"[._]", PurePosixPath(file).name)[0]
    return tag(next((part for part in reversed(code.split("-")) if part != "eng"), "eng"))


def members(archive: Path) -> Iterator[tuple[str, str]]:
    """(path, SHA-256) of the files in a pack's archive."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, hashlib.sha256(file.read()).hexdigest()


def starter_rows(pack: Path) -> Iterator[Row]:
    """Rows from the pack's own list of sources."""
    with (pack / "starter" / "SOURCES.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            folder = next((f for f in FOLDERS if row["file"].startswith(f)), None)
            if folder is None or not row["source"].startswith("github:"):
                continue
            base = f"{RAW}/{row['source'].removeprefix('github:')}/{row['commit_or_version']}"
            for path in originals(row["file"], row["original_file"]):
                yield (
                    FOLDERS[folder],
                    path,
                    language_of(row["file"]),
                    f"{base}/{path}",
                    "-",
                    f"starter/{row['file']}",
                    row["sha256_16"],
                )


def verbatim_rows(pack: Path) -> Iterator[Row]:
    """Rows of the sets whose original files the pack keeps unchanged in an archive."""
    known = {name: next(u for s, _, _, u, *_ in starter_rows(pack) if s == name) for name in ("ntrex-128", "gatitos")}
    bases = {name: "/".join(url.split("/")[:6]) for name, url in known.items()}
    for path, digest in members(pack / "packs" / "ntrex.tar.xz"):
        found = re.fullmatch(r"ntrex/(NTREX-128/newstest2019-(?:ref|src)\.([\w-]+)\.txt)", path)
        if found:
            yield "ntrex-128", found[1], tag(found[2]), f"{bases['ntrex-128']}/{found[1]}", digest, "-", "-"
    for path, digest in members(pack / "packs" / "gatitos.tar.xz"):
        found = re.fullmatch(r"gatitos/(gatitos/en_([\w-]+)\.tsv)", path)
        if found:
            yield "gatitos", found[1], tag(found[2]), f"{bases['gatitos']}/{found[1]}", digest, "-", "-"
    for path, digest in members(pack / "packs" / "tatoeba_laser.tar.xz"):
        found = re.fullmatch(r"tatoeba_laser/(data/tatoeba/v1/tatoeba\.(\w+)-eng\.\w+)", path)
        if found:
            yield "tatoeba", found[1], tag(found[2]), f"{RAW}/{LASER}/{found[1]}", digest, "-", "-"
    for path in sorted((pack / "published" / "alignfreeze").glob("*.csv")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield (
            "alignfreeze-results",
            path.name,
            "-",
            f"{RAW}/{ALIGNFREEZE}/{path.name}",
            digest,
            f"published/alignfreeze/{path.name}",
            digest[:16],
        )


def tico_rows(pack: Path) -> Iterator[Row]:
    """Rows of TICO-19: the original is a translation memory, the pack's file its lines."""
    for path, digest in members(pack / "packs" / "tico19.tar.xz"):
        found = re.fullmatch(r"tico19/([\w-]+)\.txt", path)
        if found and found[1] == "en":
            yield "tico-19", "-", tag("en"), "-", "-", path, digest
        elif found:
            code = "es-LA" if found[1] == "es-419" else found[1]
            name = f"data/TM/all.en-{code}.tmx.zip"
            yield "tico-19", name, tag(found[1]), f"{RAW}/{TICO}/{name}", "-", path, digest


def main(pack: Path) -> None:
    rows: dict[tuple[str, str], Row] = {}
    for row in verbatim_rows(pack):
        rows[row[0], row[1]] = row
    for row in [*starter_rows(pack), *tico_rows(pack)]:
        key = (row[0], row[1] if row[1] != "-" else row[5])
        before = rows.get(key)
        if before is None:
            rows[key] = row
        elif before[5] == "-":
            rows[key] = (*before[:5], *row[5:])
        else:  # one original made several converted files
            rows[row[0], f"{row[1]} {row[5]}"] = row
    lines = ["\t".join(HEADER), *("\t".join(rows[key]) for key in sorted(rows))]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    known = sum(row[4] != "-" for row in rows.values())
    print(f"{len(rows)} files, {known} with the original's digest; {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
