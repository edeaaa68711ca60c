"""How long a comparison of 34 languages × 13 methods × 5 seeds takes: scores read, compared, written in each format.

    python benchmarks/report_speed.py

Processor time, best of three, so that neighbours on the machine do not count.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from xrealign.language import parse_languages
from xrealign.report.comparison import compare_scores
from xrealign.report.comparison_tables import FORMATS, write_comparison
from xrealign.report.figures import comparison_figures
from xrealign.report.page_compare import comparison_page
from xrealign.report.pivot import pivot
from xrealign.report.pivot_formats import write_pivot
from xrealign.report.scores import read_scores, write_scores
from xrealign.types import Score

LANGUAGES = (
    "afr arb bul cat ces dan deu ell spa fas fin fra heb hin hun ita jpn "
    "kor lit lav nob pol por ron rus slk slv swe tam tha tur ukr vie zho"
)
METHODS = ("baseline", "centred", "control", *(f"strategy-{number}" for number in range(10)))
SEEDS = (17, 23, 31, 42, 66)


def sample() -> list[Score]:
    """34 languages and English × 13 methods × 5 seeds: effects of language, method and seed, and noise."""
    rng = np.random.default_rng(0)
    tags = [language.tag for language in parse_languages([*LANGUAGES.split(), "eng"])]
    levels = rng.uniform(0.4, 0.9, size=len(tags))
    return [
        Score("bench", method, "pos", tag, "accuracy", float(level + 0.003 * n + 0.01 * rng.normal()), 200, seed)
        for n, method in enumerate(METHODS)
        for tag, level in zip(tags, levels, strict=True)
        for seed in SEEDS
    ]


def best(what: str, work: Callable[[], object], repeats: int = 3) -> float:
    """Prints and returns the seconds of processor time that the fastest of some calls took."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    print(f"{what:<24} {min(seconds):7.3f} s   (first {seconds[0]:.3f} s)")
    return seconds[0]


def main() -> None:
    """Prints a line for each part, and the sum of first calls."""
    scores = sample()
    with tempfile.TemporaryDirectory() as folder:
        path = write_scores(scores, Path(folder) / "scores.parquet")
        total = best(f"read {len(scores)} scores", lambda: read_scores(path))
    groups = {"in the subset": [score.language for score in scores[:50]]}
    total += best("compare", lambda: compare_scores(scores, groups=groups))
    comparison = compare_scores(scores, groups=groups)
    for form in FORMATS:
        total += best(f"write {form}", lambda form=form: write_comparison(comparison, form))
    total += best("write html", lambda: comparison_page(comparison))
    print(f"{'':<24} {len(comparison_page(comparison).encode()) / 1e6:7.3f} MB")
    with tempfile.TemporaryDirectory() as folder:
        total += best("draw png, svg, pdf", lambda: comparison_figures(comparison, folder), 2)
    total += best("pivot", lambda: write_pivot(pivot(scores, ["method"], ["task"], baseline="baseline"), "csv"))
    print(f"{'all, first calls':<24} {total:7.3f} s")


if __name__ == "__main__":
    main()
