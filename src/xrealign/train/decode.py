"""From scores to tags and answer spans that are allowed.

*Shapes:* S texts, T subwords, W words, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


def repair_tags(tags: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """BIO tags in which every I-X that does not go on with an X has become B-X, if ``known`` has it.

    So seqeval's default mode and the CoNLL-2000 script read such tags; the spans they find stay the same.
    """
    repaired: list[str] = []
    before = ""
    for tag in tags:
        starts = tag.startswith("I-") and before[2:] != tag[2:]
        repaired.append(f"B-{tag[2:]}" if starts and f"B-{tag[2:]}" in known else tag)
        before = tag
    return tuple(repaired)


def allowed_transitions(tags: Sequence[str]) -> Array:
    """Whether a tag may follow another: I-X follows B-X and I-X alone; row −1 is the beginning. *Shape:* (K + 1, K)"""
    before = [*tags, "O"]
    allowed = [
        [not after.startswith("I-") or (tag[2:] == after[2:] and tag != "O") for after in tags] for tag in before
    ]
    return np.array(allowed, dtype=bool)


def best_tags(scores: Array, offsets: Array, tags: Sequence[str]) -> Array:
    """The most probable allowed tags of each sentence (Viterbi 1967 without transition weights). → (ΣW,)

    One step for the n-th words of all sentences together.

    Args:
        scores: log-probabilities of all words. *Shape:* (ΣW, K)
        offsets: sentence s has the words ``offsets[s]`` to ``offsets[s + 1]``.
    """
    allowed = np.where(allowed_transitions(tags), 0.0, -np.inf)
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")  # the sentences that still have an n-th word come first
    starts, sizes = offsets[:-1][order], lengths[order]
    found = np.zeros(len(scores), dtype=np.int64)
    if not len(scores):
        return found
    back = np.zeros(scores.shape, dtype=np.int64)  # best tag of the word before
    total = scores[starts[sizes > 0]].astype(np.float64) + allowed[-1]
    ends = np.zeros(len(sizes), dtype=np.int64)
    for place in range(1, int(sizes.max()) + 1):
        left = int((sizes > place).sum())
        ends[left : len(total)] = total[left:].argmax(1)
        if not left:
            break
        ways = total[:left, :, None] + allowed[:-1]
        words = starts[:left] + place
        back[words] = ways.argmax(1)
        total = ways.max(1) + scores[words]
    for place in range(int(sizes.max()) - 1, -1, -1):
        rows = np.flatnonzero(sizes > place)
        words = starts[rows] + place
        found[words] = ends[rows]
        ends[rows] = back[words, ends[rows]]
    return found


def best_spans(scores: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each text: score of its best span, score of no answer, first and last subword of that span; (S,) each.

    A span's score is the sum of its ends'; it has 1 to ``most`` subwords and does not begin at subword 0, which stands
    for no answer. Of equal ones the first by beginning, then by end. Without any the score is −∞.

    Args:
        scores: −∞ where spans may not begin or end. *Shape:* (S, T, 2)
    """
    begin, end = scores[:, 1:, 0], scores[:, 1:, 1]
    null = scores[:, 0, 0] + scores[:, 0, 1]
    count, width = begin.shape
    if width == 0:
        nowhere = torch.zeros(count, dtype=torch.long, device=scores.device)
        return torch.full_like(null, float("-inf")), null, nowhere, nowhere
    most = min(most, width)
    later = torch.cat([end, end.new_full((count, most - 1), float("-inf"))], 1).unfold(1, most, 1)  # (S, T - 1, most)
    best, place = (begin[:, :, None] + later).reshape(count, -1).max(1)
    first = place // most
    return best, null, first + 1, first + place % most + 1
