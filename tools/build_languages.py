"""Builds ``src/xrealign/data/languages*.tsv``: every language with its codes, names, scripts and family.

Sources, unpacked side by side in one folder (the exact versions are pinned so that the result is repeatable):

    cldr-core-48.2.0                   npm   Unicode-3.0    codes, default members, likely scripts
    cldr-localenames-full-48.2.0       npm   Unicode-3.0    English names of languages and scripts
    language-subtag-registry-0.4.2     npm   CC0-1.0        ISO 639 codes, retired ones included
    urielplus-1.3.2                    PyPI  CC BY-SA 4.0   glottocodes, families (Glottolog), URIEL's codes
    lang2vec-1.1.2                     PyPI  CC BY-SA 4.0   the list of URIEL's languages

The PyPI packages are wheels, which are zip archives: they are unpacked and read as data, never imported.

    python tools/build_languages.py SOURCES
"""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "src" / "xrealign" / "data"

# One code for a macrolanguage and the member it usually means. CLDR's aliases name that member; the code kept
# is the macrolanguage's, except for these, where the published language lists and FLORES write the member's.
MEMBER_WINS = {
    "ara": "arb",
    "swa": "swh",
    "orm": "gaz",
    "kur": "kmr",
    "aym": "ayr",
    "que": "quy",
    "nor": "nob",
}
# CLDR names Cusco Quechua; evaluation data for "Quechua" are in Ayacucho Quechua, Cusco keeps its own code.
OTHER_DEFAULT = {"que": "quy", "nor": "nob"}
# FLORES lists Akan and Twi side by side, so they stay two languages.
SEPARATE = {"aka"}
# One written standard under several codes, or one language under two names.
SAME = {
    "pbt": "pus",
    "pbu": "pus",
    "mol": "ron",
    "scc": "srp",
    "scr": "hrv",
    "fil": "tgl",
    "hbs": "srp_Latn",
    "sh": "srp_Latn",
}
# Scripts as FLORES writes them where CLDR names a combination or a variant.
SCRIPT_SPELLING = {"Kore": "Hang", "Hrkt": "Jpan", "Aran": "Arab"}
# Languages whose usual script CLDR does not list.
USUAL_SCRIPT = {"cnr": "Latn", "tlh": "Latn", "eml": "Latn", "dbr": "Latn", "jii": "Latn"}
# Spellings of data sets, models and encyclopedias that no registry knows or that stand for another language.
SPELLINGS = {
    "zh-hk": "yue_Hant",  # the intents data: written Cantonese
    "de-ch": "gsw_Latn",  # the intents data: Swiss German
    "zh-hant-hk": "zho_Hant",
    "zh-classical": "lzh_Hans",
    "zh-min-nan": "nan_Hans",
    "simple": "eng_Latn",
    "be-x-old": "bel_Cyrl",
    "bat-smg": "sgs_Latn",
    "fiu-vro": "vro_Latn",
    "roa-rup": "rup_Latn",
    "cbk-zam": "cbk_Latn",
    "my-zaw": "mya_Mymr",
    "chinese (traditional)": "zho_Hant",
    "chinese (simplified)": "zho_Hans",
    "cantonese": "yue_Hant",
    "jp": "jpn_Jpan",
    "cn": "zho_Hans",
    "farsi": "fas_Arab",
    "mandarin": "zho_Hans",
    "flemish": "nld_Latn",
    "sorani": "ckb_Arab",
    "kurmanji": "kmr_Latn",
    "setswana": "tsn_Latn",
    "isixhosa": "xho_Latn",
    "isizulu": "zul_Latn",
    "kiswahili": "swh_Latn",
    "gaelic": "gla_Latn",
    "norwegian": "nob_Latn",
    "tagalog": "tgl_Latn",
    "nahuatl": "nah_Latn",
    "otomi": "oto_Latn",
    "chichewa": "nya_Latn",
    "bahasa indonesia": "ind_Latn",
    "bahasa melayu": "msa_Latn",
}
# Collections that data sets use like languages; their features are those of one member.
COLLECTIONS = {
    "nah": ("Nahuatl", "Latn", "nhe"),
    "oto": ("Otomi", "Latn", "ote"),
    "ber": ("Berber", "Tfng", ""),
}
# Glottolog files what it cannot classify, or does not believe in, under these heads: they are no families.
NO_FAMILY = {"Bookkeeping", "Unclassifiable", "Unattested"}


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unicodedata.normalize("NFC", path.read_text(encoding="utf-8")))))


def main(sources: Path) -> None:
    cldr = sources / "cldr-core-48.2.0" / "supplemental"
    alias = load(cldr / "aliases.json")["supplemental"]["metadata"]["alias"]["languageAlias"]
    likely = load(cldr / "likelySubtags.json")["supplemental"]["likelySubtags"]
    usage = load(cldr / "languageData.json")["supplemental"]["languageData"]
    english = sources / "cldr-localenames-full-48.2.0" / "main" / "en"
    display = load(english / "languages.json")["main"]["en"]["localeDisplayNames"]["languages"]
    script_names = load(english / "scripts.json")["main"]["en"]["localeDisplayNames"]["scripts"]
    registry = load(sources / "language-subtag-registry-0.4.2" / "data" / "json" / "registry.json")
    tables = sources / "urielplus-1.3.2" / "urielplus" / "database" / "urielplus_csvs"
    glottocodes = {row["iso_code"]: row["glottocode"] for row in rows(tables / "uriel_glottocode_map.csv")}
    glottolog = {row["language_id"]: row for row in rows(tables / "lang_fam_geo.csv")}
    with np.load(sources / "lang2vec-1.1.2" / "lang2vec" / "data" / "features.npz", allow_pickle=False) as file:
        uriel = [str(code) for code in file["langs"]]

    long_form = {
        entry["_replacement"]: code
        for code, entry in alias.items()
        if entry["_reason"] == "overlong" and len(code) == 3 and len(entry["_replacement"]) == 2
    }
    # CLDR files both Akan and Twi under "ak", and Tagalog under Filipino: ISO 639 keeps them apart.
    long_form |= {"ak": "aka", "tw": "twi", "tl": "tgl", "ro": "ron"}
    bibliographic = {c: e["_replacement"] for c, e in alias.items() if e["_reason"] == "bibliographic"}
    subtags = {entry["Subtag"]: entry for entry in registry if entry["Type"] == "language"}

    def three(code: str) -> str:
        return long_form.get(code, code)

    # canonical code of every code: itself, or the language it is one with
    same: dict[str, str] = {}
    macro_of: dict[str, str] = {}
    for code, entry in subtags.items():
        if "Macrolanguage" in entry and entry["Macrolanguage"] != "sh" and len(code) <= 3:
            macro_of[three(code)] = three(entry["Macrolanguage"])
    defaults = {
        three(entry["_replacement"]): three(code)
        for code, entry in alias.items()
        if entry["_reason"] == "macrolanguage" and code not in ("fat", "tw", "bh")
    } | OTHER_DEFAULT
    for macro, member in defaults.items():
        if macro in SEPARATE:
            continue
        winner = MEMBER_WINS.get(macro, macro)
        same[member if winner == macro else macro] = winner
    for code, entry in subtags.items():
        if "Preferred-Value" in entry and three(code) != three(entry["Preferred-Value"]):
            same[three(code)] = three(entry["Preferred-Value"])
    for code, entry in alias.items():
        replacement = entry["_replacement"]
        if entry["_reason"] == "deprecated" and len(code) == 3 and code not in subtags and " " not in replacement:
            same.setdefault(code, three(replacement.split("-")[0]))
    same.update({code: target for code, target in SAME.items() if "_" not in target})
    for code, short in bibliographic.items():
        same[code] = three(short)

    def canonical(code: str) -> str:
        seen = set()
        code = three(code)
        while code in same and code not in seen:
            seen.add(code)
            code = same[code]
        return code

    def default_script(code: str, members: list[str]) -> str:
        shorts = {long: short for short, long in long_form.items()}
        for candidate in [code, *members]:
            for form in (shorts.get(candidate, candidate), candidate):
                if form in likely and "-" in likely[form]:
                    script = likely[form].split("-")[1]
                    return SCRIPT_SPELLING.get(script, script)
        for candidate in [code, *members]:
            entry = subtags.get(shorts.get(candidate, candidate), {})
            if "Suppress-Script" in entry:
                return SCRIPT_SPELLING.get(entry["Suppress-Script"], entry["Suppress-Script"])
            if any("Sign Language" in text for text in entry.get("Description", [])):
                return "Zxxx"
        if code in macro_of:
            return default_script(macro_of[code], [])
        return USUAL_SCRIPT.get(code, "Zzzz")

    excluded = {"collection", "special", "private-use"}
    known = {three(c) for c, e in subtags.items() if e.get("Scope") not in excluded and len(c) <= 3}
    known |= {code for code in uriel if code in glottocodes} | set(COLLECTIONS)
    known -= {"sh", "hbs", "qaa", "mul", "und", "zxx", "mis"}
    groups: dict[str, list[str]] = defaultdict(list)
    for code in sorted(known):
        groups[canonical(code)].append(code)

    short_of: dict[str, list[str]] = defaultdict(list)
    for code in subtags:
        if len(code) == 2 and code != "sh":
            short_of[canonical(code)].append(code)
    for code in bibliographic:
        short_of[canonical(code)].append(code)
    for code in same:
        if code not in known:
            short_of[canonical(code)].append(code)
    short_of["tgl"].append("fil")

    lines: list[str] = []
    table: dict[str, str] = {}
    nameless: list[str] = []
    for code, members in sorted(groups.items()):
        if code not in known:
            continue
        others = [member for member in members if member != code]
        name, script, feature_code = COLLECTIONS.get(code, ("", "", ""))
        script = script or default_script(code, others)
        scripts = {script}
        for form in [*short_of[code], code]:
            for part in (form, f"{form}-alt-secondary"):
                for found in usage.get(part, {}).get("_scripts", []):
                    scripts.add(SCRIPT_SPELLING.get(found, found))
        glottocode = next((glottocodes[c] for c in (code, *others, feature_code) if glottocodes.get(c)), "")
        if code in COLLECTIONS:  # the member's family, but no glottocode: that stays the member's own
            feature_glottocode, glottocode = glottocode, ""
        else:
            feature_glottocode = glottocode
        lineage = glottolog.get(feature_glottocode, {}).get("lineage", "")
        family = lineage.split(", ")[0]
        family = "" if family in {"nan", *NO_FAMILY} else family
        names: list[str] = []
        for form in [code, *short_of[code], *others]:
            if form in display:
                names.append(display[form])
        for form in [code, *short_of[code], *others]:
            names += subtags.get(form, {}).get("Description", [])
        if not names and glottocode in glottolog:
            names.append(glottolog[glottocode]["language_name"])
        names = list(dict.fromkeys([name] * bool(name) + [text.strip() for text in names]))
        if not names:  # retired codes that only URIEL still lists
            nameless.append(code)
            names = [code]
        codes = dict.fromkeys([c for c in short_of[code] if c != code] + others)
        for member in others:
            codes |= dict.fromkeys([glottocodes[member]] if glottocodes.get(member) else [])
        codes.pop(glottocode, None)
        macro = canonical(macro_of[code]) if code in macro_of else ""
        macro = "" if macro == code else macro
        scripts.discard(script)
        fields = [code, script, names[0], family, glottocode, macro]
        fields += [",".join(codes), ",".join(sorted(scripts)), ";".join(names[1:])]
        table[code] = script
        lines.append("\t".join(fields))
    header = "iso\tscript\tname\tfamily\tglottocode\tmacro\tcodes\tscripts\tnames"
    write("languages.tsv", [header, *lines])
    print(f"  no source names {len(nameless)} retired codes: {' '.join(nameless)}")

    spellings = dict(SPELLINGS)
    for key, value in likely.items():  # a region that changes the default script: zh-TW, uz-AF
        parts = key.split("-")
        if len(parts) == 2 and len(parts[1]) in (2, 3) and canonical(parts[0]) in table:
            script = SCRIPT_SPELLING.get(value.split("-")[1], value.split("-")[1])
            if script != table[canonical(parts[0])]:
                spellings.setdefault(key.lower(), f"{canonical(parts[0])}_{script}")
    for code, entry in alias.items():  # a region that stands for a language: fa-AF, sw-CD
        replacement = entry["_replacement"]
        parts = replacement.split("-")
        if code in table and len(parts) == 2 and len(parts[1]) == 2 and entry["_reason"] == "overlong":
            spellings.setdefault(replacement.lower(), f"{code}_{table[code]}")
    for entry in registry:  # i-klingon, zh-min-nan ...
        if entry["Type"] in ("grandfathered", "redundant") and "Preferred-Value" in entry:
            target = canonical(entry["Preferred-Value"].split("-")[0])
            if target in table:
                spellings.setdefault(entry["Tag"].lower(), f"{target}_{table[target]}")
    for key, text in display.items():  # Traditional Chinese
        parts = key.split("-")
        if len(parts) == 2 and len(parts[1]) == 4 and parts[1].isalpha() and canonical(parts[0]) in table:
            spellings.setdefault(text.casefold(), f"{canonical(parts[0])}_{parts[1]}")
    spellings.update({code: target for code, target in SAME.items() if "_" in target})
    missing = [key for key, target in spellings.items() if target.split("_")[0] not in table]
    if missing:
        raise SystemExit(f"spellings of unknown languages: {missing}")
    lines = [f"{key}\t{target}" for key, target in sorted(spellings.items())]
    write("languages_spellings.tsv", ["spelling\ttag", *lines])

    lines = []
    for entry in registry:
        code = entry.get("Subtag", "..")
        if entry["Type"] == "script" and ".." not in code:
            lines.append(f"script\t{code}\t{script_names.get(code, entry['Description'][0])}")
        elif entry["Type"] == "variant":
            lines.append(f"variant\t{code}\t{entry['Description'][0]}")
    write("languages_subtags.tsv", ["kind\tcode\tname", *sorted(lines)])


def write(name: str, lines: list[str]) -> None:
    text = unicodedata.normalize("NFC", "\n".join(lines) + "\n")
    (OUT / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(lines) - 1} rows, {len(text.encode()):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
