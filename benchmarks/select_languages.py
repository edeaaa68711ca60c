"""Choosing k of n languages: time and gap, next to exhaustive search where that ends and to plain greedy.

    python benchmarks/select_languages.py [--time-limit 60] [--sizes 33,65,200,1000,4000] [--ks 3,5,10,20,40,100]

Max-sum dispersion on URIEL's kNN-completed featural distances, English fixed. n = 33 and 65 are the published
candidates, larger n a random draw (seed 0) from the languages with typological data. Prints a Markdown table;
"gap" is (bound − value) / value, "greedy" and "published" are how far those values lie below the one found.
"""

from __future__ import annotations

import argparse
import time
from math import comb

import numpy as np

from xrealign.language import Language, parse_languages
from xrealign.select.candidates import language_list
from xrealign.select.distances import distances
from xrealign.select.exact import enumerate_subsets
from xrealign.select.problem import Problem, value_of
from xrealign.select.search import greedy
from xrealign.select.solve import solve

EXHAUSTIVE = 9_000_000
PUBLISHED = {
    5: "fon kat kaz lin gaz",
    10: "afr arb fon kat jpn kaz lin gaz sna vie",
    20: "afr arb aze eus zho fon lug kat ell heb jpn kaz kor lin gaz sna tam twi vie yor",
}


def candidates(n: int) -> list[Language]:
    published = language_list("published-65")
    if n <= len(published):
        return sorted(published[:n])
    english = parse_languages(["eng"])[0]
    everybody = [language for language in language_list("all") if language != english]
    known = list(distances(everybody).languages)
    drawn = np.random.default_rng(0).permutation(len(known))[: min(n, len(known))]
    return sorted(known[i] for i in drawn.tolist())


def measure(n: int, k: int, pair: np.ndarray, linear: np.ndarray, names: list[str], limit: float) -> list[str]:
    problem = Problem(n, k, pair=pair, linear=linear)
    started = time.perf_counter()
    answer = solve(problem, names, time_limit=limit, negative_type=True)
    seconds = time.perf_counter() - started
    simple = greedy(problem)
    behind = "" if simple is None else f"{1 - value_of(problem, simple) / answer.value:.2%}"
    listed = ""
    if n == 65 and k in PUBLISHED:
        place = [names.index(code) for code in PUBLISHED[k].split()]
        listed = f"{1 - value_of(problem, place) / answer.value:.2%}"
    exhaustive = ""
    if comb(n, k) <= EXHAUSTIVE:
        started = time.perf_counter()
        subset, value = enumerate_subsets(pair, linear, k)
        same = subset is not None and abs(value - answer.value) < 1e-9
        exhaustive = f"{time.perf_counter() - started:.1f} s, {'same' if same else 'DIFFERENT'}"
    gap = max(0.0, answer.bound / answer.value - 1)
    shown = "proven" if gap < 1e-7 else f"{gap:.2%}"
    return [str(n), str(k), f"{answer.value:.3f}", shown, f"{seconds:.2f}", exhaustive, behind, listed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--sizes", default="33,65,200,1000,4000")
    parser.add_argument("--ks", default="3,5,10,20,40,100")
    options = parser.parse_args()
    head = ["n", "k", "value", "gap", "seconds", "exhaustive", "greedy below", "published below"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for n in (int(text) for text in options.sizes.split(",")):
        languages = candidates(n)
        matrix = distances([*languages, *parse_languages(["eng"])]).matrix
        size = len(languages)
        for k in (int(text) for text in options.ks.split(",")):
            if k < size:
                row = measure(
                    size, k, matrix[:-1, :-1], matrix[:-1, -1], [x.iso for x in languages], options.time_limit
                )
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
