"""Scores as a table of any two of their dimensions, averaged over the others as the papers do."""

from __future__ import annotations

from collections.abc import Sequence

# F1 says more than accuracy where both are given (most words bear no name), and is what the papers' tables show.
PREFERRED = ("f1", "macro_f1", "accuracy")


def main_metric(metrics: Sequence[str]) -> str:
    """The metric that a task is known by: F1, else macro-F1 … accuracy, else the first one.

    ``macro_f1`` stands beside accuracy in xrealign's own tasks, where accuracy is the main one.
    """
    if "macro_f1" in metrics and "accuracy" in metrics and "f1" not in metrics:
        return "accuracy"
    return next((metric for metric in PREFERRED if metric in metrics), metrics[0])
