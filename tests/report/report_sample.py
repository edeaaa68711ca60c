"""A realistic run drawn from a seeded generator: 60 languages, awkward names, missing scores, odd groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrealign.language import Language, parse_language
from xrealign.report.context import ReportContext
from xrealign.types import Score

NASTY = '<script>alert("x")</script> & <img src=https://evil.example/x.png onerror=alert(1)>'
_LONG = "Northern Frisian (Mooring dialect, as written in Bökingharde since 1900)"
_NAMES = """eng:English:Indo-European amh:Amharic:Afro-Asiatic eus:Basque: kat:Georgian:Kartvelian tam:Tamil:Dravidian
tur:Turkish:Turkic vie:Vietnamese:Austroasiatic zul:Zulu:Atlantic-Congo yor:Yoruba:Atlantic-Congo fin:Finnish:Uralic
kor:Korean:Koreanic tha:Thai:Tai-Kadai cym:Welsh:Indo-European deu:German:Indo-European fra:French:Indo-European
spa:Spanish:Indo-European ita:Italian:Indo-European por:Portuguese:Indo-European ron:Romanian:Indo-European
nld:Dutch:Indo-European swe:Swedish:Indo-European dan:Danish:Indo-European nob:Norwegian_Bokmål:Indo-European
isl:Icelandic:Indo-European pol:Polish:Indo-European ces:Czech:Indo-European slk:Slovak:Indo-European
slv:Slovenian:Indo-European hrv:Croatian:Indo-European srp:Serbian:Indo-European bul:Bulgarian:Indo-European
rus:Russian:Indo-European ukr:Ukrainian:Indo-European lit:Lithuanian:Indo-European lav:Latvian:Indo-European
est:Estonian:Uralic hun:Hungarian:Uralic ell:Greek:Indo-European heb:Hebrew:Afro-Asiatic arb:Arabic:Afro-Asiatic
fas:Persian:Indo-European urd:Urdu:Indo-European hin:Hindi:Indo-European ben:Bengali:Indo-European
guj:Gujarati:Indo-European mar:Marathi:Indo-European tel:Telugu:Dravidian mal:Malayalam:Dravidian
kan:Kannada:Dravidian sin:Sinhala:Indo-European mya:Burmese:Sino-Tibetan khm:Khmer:Austroasiatic
lao:Lao:Tai-Kadai zho:Chinese:Sino-Tibetan jpn:Japanese:Japonic ind:Indonesian:Austronesian msa:Malay:Austronesian
swh:Swahili:Atlantic-Congo kin:Kinyarwanda:Atlantic-Congo frr:LONG:Indo-European bod:བོད་སྐད:Sino-Tibetan
qaa:NASTY:Mande"""
SUBSET = ("amh", "eus", "kat", "tam", "tur", "vie", "zul", "yor", "fin", "kor", "tha", "cym")
UNSEEN = ("zul", "yor", "kin", "bod", "frr", "qaa")
NO_MEASURE = ("frr", "bod", "kin")
NO_CONTROL = "lao"
FEW = {"tam": 3, "kat": 2, "khm": 4}


@dataclass(frozen=True)
class Sample:
    scores: list[Score]
    groups: dict[str, list[str]]
    context: ReportContext
    items: dict[tuple[str, str], NDArray[np.bool_]]


def _languages() -> dict[str, Language]:
    found = {}
    for entry in _NAMES.split():
        iso, name, family = entry.split(":")
        name = {"LONG": _LONG, "NASTY": NASTY}.get(name, name.replace("_", " "))
        tag = iso + ("_Latn" if iso != "bod" else "_Tibt")
        glottocode = parse_language(iso).glottocode if iso != "qaa" else None
        found[tag] = Language(tag, name, glottocode, family or None)
    return found


def sample(effect: float = 0.06, control_effect: float = 0.02, seed: int = 7, n: int = 100) -> Sample:
    """``effect`` and ``control_effect``: mean gains of realigned and control over the baseline."""
    rng = np.random.default_rng(seed)
    languages = _languages()
    tags = list(languages)
    by_iso = {language.iso: tag for tag, language in languages.items()}
    scores: list[Score] = []
    items: dict[tuple[str, str], NDArray[np.bool_]] = {}
    for tag in tags:
        iso = languages[tag].iso
        base = 0.96 if iso == "eng" else float(rng.uniform(0.3, 0.85))
        gains = {
            "baseline": 0.0,
            "centred": float(rng.normal(-0.02, 0.02)),
            "control": float(rng.normal(control_effect, 0.02)),
            "realigned": 0.0 if iso == "eng" else float(rng.normal(effect, 0.05)),
        }
        luck = rng.uniform(size=n)
        for method, gain in gains.items():
            if iso == NO_CONTROL and method == "control":
                continue
            own = np.where(rng.uniform(size=n) < 0.9, luck, rng.uniform(size=n))
            right = own < np.clip(base + gain, 0.02, 0.99)
            items[method, tag] = right
            common = {"run": "demo-7f3a", "method": method, "task": "intents", "language": tag, "n": n, "seed": 17}
            labels = FEW.get(iso, int(rng.integers(9, 38)))
            signature = "labels:covered|pool:mean|max_len:64"
            scores.append(
                Score(metric="accuracy", value=float(right.mean()), labels=labels, signature=signature, **common)
            )
            f1 = float(np.clip(right.mean() - rng.uniform(0.02, 0.1), 0, 1))
            scores.append(Score(metric="macro_f1", value=f1, labels=labels, signature=signature, **common))
        if iso in NO_MEASURE or iso == "eng":
            continue
        for task, start in (("sentence-retrieval", base), ("word-retrieval", base - 0.2)):
            for method, raw, centred in (("baseline", 0, 0.12), ("control", 0.05, 0.11), ("realigned", 0.15, 0.16)):
                for variant, more in (("raw", raw), ("centred", centred)):
                    value = float(np.clip(start + 0.1 + more + rng.normal(0, 0.02), 0, 1))
                    scores.append(Score("demo-7f3a", method, task, tag, "accuracy", value, 60, 17, 12, variant))
    groups = {
        "source": [by_iso["eng"]],
        "in the subset": [by_iso[iso] for iso in SUBSET],
        "not in the subset": [tag for tag in tags if languages[tag].iso not in (*SUBSET, "eng")],
        "unseen in pre-training": [by_iso[iso] for iso in UNSEEN],
        "held back": [],
    }
    context: ReportContext = {
        "run": "demo-7f3a",
        "created": "2026-11-21",
        "source": by_iso["eng"],
        "encoder": "starter (multilingual-e5-small, 4-bit weights dequantised)",
        "base_model": "intfloat/multilingual-e5-small",
        "encoder_licence": "mit",
        "encoder_digest": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "selection": "12 of 58 candidates, English fixed, largest sum of pairwise featural distances.",
        "subset": [(by_iso[iso], "adds most featural distance") for iso in SUBSET] + [(by_iso["qaa"], NASTY)],
        "seeds": [17],
        "steps": {"realign": 130, "finetune": 300},
        "pairs": {by_iso[iso]: int(rng.integers(400, 1900)) for iso in SUBSET},
        "settings": {"strategy": "before", "freeze": "front", "objective": "word_contrastive", "temperature": 0.1},
        "data": [
            {"id": "udhr", "licence": "public text", "digest": "ab" * 32, "citation": "UN General Assembly (1948)"},
            {"id": "cldr", "licence": "Unicode-3.0", "digest": "cd" * 32, "url": "https://cldr.unicode.org"},
            {"id": "intents", "licence": "Apache-2.0", "digest": "ef" * 32},
        ],
        "warnings": ["14 sentence pairs dropped: longer than 96 subwords", NASTY],
        "seconds": {"select": 0.4, "corpus": 3.2, "align": 21.5, "realign": 172.0, "finetune": 214.0, "evaluate": 96.0},
        "versions": {"python": "3.11.9", "torch": "2.13.0+cpu", "transformers": "5.5.0", "xrealign": "0.1.0"},
        "machine": "2 cores, no GPU",
        "command": "xrealign run configs/demo.toml --set seed=17",
        "config": '[realign]\nsteps = 130\n# </pre><script>alert(1)</script>\nname = "```"\n',
        "majority": {by_iso["kat"]: 0.99, by_iso["tam"]: 0.4},
        "disk": {"corpus": 1_200_000, "align": 3_400_000, "realign": 470_000_000},
        "resources": {"eng": 5, "deu_Latn": 5, "swh": 2, "yor": 2, "amh": 2, "zul": 2, "bod": 1},
        "languages": languages,
    }
    return Sample(scores, groups, context, items)
