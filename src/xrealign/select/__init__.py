"""Choosing which few languages to realign on. Nothing here loads torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrealign.select.selection import Selection as Selection
    from xrealign.select.selection import select_languages as select_languages

__all__ = ["Selection", "select_languages"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from xrealign.select import selection

        return getattr(selection, name)
    raise AttributeError(name)
