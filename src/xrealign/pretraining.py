"""Which languages well-known encoders saw in pre-training. Only ever used to group scores, and only when asked for.

Sources: XLM-R, the CC-100 languages of Conneau et al. (2020, arXiv 1911.02116, table 6), romanised variants left out;
mBERT, the list of languages in the "Multilingual" page of the BERT repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from xrealign.errors import LanguageError
from xrealign.language import parse_language

_XLM_R = """af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id
is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq
sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"""
_MBERT = """af sq ar an hy ast az ba eu bar be bn bpy bs br bg my ca ceb ce zh cv hr cs da nl en et fi fr gl ka de el gu
ht he hi hu is io id ga it ja jv kn kk ky ko la lv lt lmo nds lb mk mg ms ml mr min mn ne new nb nn oc fa pms pl pt pa
ro ru sco sr scn sk sl azb es su sw sv tl tg ta tt te th tr uk ur uz vi vo war cy fy pnb yo"""
LISTS = {"xlm-r": _XLM_R.split(), "mbert": _MBERT.split()}


@cache
def _isos(name: str) -> frozenset[str]:
    return frozenset(parse_language(code).iso for code in LISTS[name])


def seen_isos(seen: str | Sequence[str]) -> frozenset[str] | None:
    """ISO 639-3 codes of the languages seen, or None when that is unknown. Scripts are not told apart.

    Raises:
        LanguageError: no such list.
    """
    if seen == "unknown":
        return None
    if isinstance(seen, str):
        if seen not in LISTS:
            raise LanguageError(f"no list of pre-training languages is called {seen!r}; there are {', '.join(LISTS)}")
        return _isos(seen)
    return frozenset(parse_language(code).iso for code in seen)
