"""What a run came to: tables, one HTML page, figures, a model card. No torch here.

from xrealign.report import model_card, print_report, read_scores, write_report

Loaded when first asked for: the command line imports this package for its verbs' names alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrealign.report.card import model_card
    from xrealign.report.scores import read_scores, to_frame, write_scores
    from xrealign.report.write import print_report, write_report

__all__ = ["model_card", "print_report", "read_scores", "to_frame", "write_report", "write_scores"]

_HOMES = {
    "model_card": "card",
    "print_report": "write",
    "read_scores": "scores",
    "to_frame": "scores",
    "write_report": "write",
    "write_scores": "scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
