"""What a run came to: tables, one HTML page, figures, a model card. No torch here.

from xrealign.report import model_card, print_report, read_scores, write_report
"""

from __future__ import annotations

from xrealign.report.card import model_card
from xrealign.report.scores import read_scores, to_frame, write_scores
from xrealign.report.write import print_report, write_report

__all__ = ["model_card", "print_report", "read_scores", "to_frame", "write_report", "write_scores"]
