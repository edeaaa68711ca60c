"""What a setting such as ``freeze = "front"`` means, as data; `xrealign.model.layers` finds the parameters.

none                     everything learns
front, back              the embeddings and the lower half of the blocks stay; the upper half stays
embeddings               they stay
blocks 1-6,8             these blocks stay; block k is the one whose output is layer k, so the first is 1
attention, feed-forward  these sublayers stay in every block, their norms apart
norms, biases            these parameters stay, wherever they are
embeddings+blocks 1-3    any of the above together
only blocks 7            nothing else learns; so with every word above, alone or joined by +
all                      the whole encoder stays: only what was put on top of it learns
gradual 100              the top block learns first, the one below joins after 100 steps and so on, at last the
                         embeddings
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xrealign.errors import ConfigError, did_you_mean

PARTS = ("embeddings", "attention", "feed-forward", "norms", "biases")
_WORDS = ("none", "all", "front", "back", *PARTS, "blocks 1-3", "only blocks 3", "gradual 100")


@dataclass(frozen=True, slots=True)
class Freeze:
    """A parsed freeze.

    Attributes:
        blocks: numbers of the blocks it names, 1 to n.
        parts: those of `PARTS` it names.
        only: what is named learns and all else stays; otherwise what is named stays and all else learns.
        every: of gradual unfreezing: steps after which the next block joins; None for all others.
    """

    blocks: frozenset[int] = frozenset()
    parts: frozenset[str] = frozenset()
    only: bool = False
    every: int | None = None


def parse_freeze(text: str, blocks: int) -> Freeze:
    """The freeze that ``text`` stands for in an encoder of so many blocks, in the grammar above.

    ``front`` is half of the blocks rounded down, as in AlignFreeze (Bakos et al. 2025, arXiv 2502.12959), whose
    code leaves the embeddings trainable (``blocks 1-6`` of 12): here they stay with the blocks that read them, so that
    the state at layer n // 2 stays what it was. ``only norms`` is LNFit, ``only biases`` BitFit (Ben Zaken et al.
    2022, arXiv 2106.10199), gradual unfreezing is Howard & Ruder's (2018, arXiv 1801.06146, section 3.3).

    Raises:
        ConfigError: a word or a block that does not exist, or one that cannot be joined to others.
    """
    words = " ".join(text.split())
    if words == "none":
        return Freeze()
    if words == "all":
        return Freeze(only=True)
    if gradual := re.fullmatch(r"gradual (\S+)", words):
        if not (gradual[1].isdecimal() and int(gradual[1]) > 0):
            raise _wrong(text, f"{gradual[1]!r} is no number of steps; write gradual 100")
        return Freeze(every=int(gradual[1]))
    only = words.startswith("only ")
    named: set[int] = set()
    parts: set[str] = set()
    for word in (part.strip() for part in words.removeprefix("only ").split("+")):
        half = blocks // 2
        if word == "front":
            named.update(range(1, half + 1))
            parts.add("embeddings")
        elif word == "back":
            named.update(range(half + 1, blocks + 1))
        elif word in PARTS:
            parts.add(word)
        elif re.match(r"blocks?\b", word):
            named.update(_block_numbers(text, re.sub(r"^blocks?", "", word), blocks))
        elif word in ("none", "all") or word.startswith("gradual"):
            raise _wrong(text, f"{word!r} stands alone, without 'only' and '+'")
        else:
            raise _wrong(text, f"{word!r} is unknown; expected {', '.join(_WORDS)}{did_you_mean(word, _WORDS)}")
    return Freeze(frozenset(named), frozenset(parts), only)


def blocks_text(numbers: Iterable[int]) -> str:
    """Block numbers in the grammar of `parse_freeze`: 1, 2, 3, 5 → ``blocks 1-3,5``."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return "blocks " + ",".join(f"{a}-{b}" if b > a else str(a) for a, b in spans)


def _block_numbers(text: str, spans: str, blocks: int) -> set[int]:
    numbers: set[int] = set()
    for span in spans.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+))?\s*", span)
        if match is None:
            raise _wrong(text, f"{span.strip()!r} is no block number or span of them; write blocks 1-3,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if first == 0:
            raise _wrong(text, "blocks are counted from 1, block k's output being layer k; layer 0 is 'embeddings'")
        if last > blocks:
            raise _wrong(text, f"there is no block {last}: the encoder has blocks 1 to {blocks}")
        if last < first:
            raise _wrong(text, f"{span.strip()!r} runs backwards; write blocks {last}-{first}")
        numbers.update(range(first, last + 1))
    return numbers


def _wrong(text: str, what: str) -> ConfigError:
    return ConfigError(f"freeze = {text!r}: {what}")
