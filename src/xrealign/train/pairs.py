"""Sentence pairs as a realignment reads them: tokenised, planned by step, with what was drawn of each language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from xrealign.align.aligned import AlignedTexts
from xrealign.align.transliterated import romanised_pairs
from xrealign.errors import TrainingError
from xrealign.model.encoder import Encoder
from xrealign.model.prompt import check_room
from xrealign.model.words import EncodedTexts, encode_texts
from xrealign.train.mixture import drawn_counts, mixture_shares
from xrealign.train.realign_settings import RealignSettings
from xrealign.train.streams import PairStream, padding_efficiency, plan_steps
from xrealign.train.switching import switch_sources

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pairs:
    """Pairs ready for training.

    Attributes:
        links: of each pair, (N, 2).
        plan: pairs of every step. *Shape:* (steps, batch)
        ids, languages: of each pair.
        dropped: pairs left out, by reason.
        switched: of code-switching, counts of `xrealign.train.codeswitch.switch_sentences`.
    """

    src: EncodedTexts
    tgt: EncodedTexts
    links: Sequence[Array]
    plan: Array
    ids: Sequence[str]
    languages: Sequence[str]
    dropped: Counter[str] = field(default_factory=Counter)
    switched: Counter[str] = field(default_factory=Counter)

    def stream(self, pad: int) -> PairStream:
        """Their batches."""
        return PairStream(self.src, self.tgt, self.links, self.plan, pad)

    def padding_efficiency(self) -> float:
        """Share of the subwords computed on that are not padding; a GPU runs batches as a whole."""
        in_parts = not torch.cuda.is_available()
        return padding_efficiency(self.src.lengths, self.tgt.lengths, self.plan, in_parts)

    def facts(self) -> dict[str, Any]:
        """For a manifest; ``drawn`` has distinct and repeated pairs of each language."""
        found: dict[str, Any] = {
            "pairs": len(self.ids),
            "distinct_pairs_used": len(np.unique(self.plan)),
            "pairs_drawn": int(self.plan.size),
            "drawn": drawn_counts(self.plan, self.languages),
            "links": int(sum(len(part) for part in self.links)),
            "cut_words": self.src.cut_words + self.tgt.cut_words,
            "padding_efficiency": round(self.padding_efficiency(), 3),
        }
        found |= {"left_out": dict(self.dropped)} if self.dropped else {}
        return found | ({"switched": dict(self.switched)} if self.switched else {})


def encode_pairs(
    encoder: Encoder, aligned: AlignedTexts, settings: RealignSettings, steps: int, seed: int, control: bool = False
) -> Pairs:
    """Tokenises and plans.

    Args:
        control: each source sentence paired with itself, with the words that have links linked to themselves: the
            same words are anchors as with parallel data, so that only the translation differs.

    Raises:
        ConfigError: the mixture does not fit the languages.
        TrainingError: there are no pairs.
    """
    switched: Counter[str] = Counter()
    if settings.code_switch and not control:  # the control must not see a word of the other language
        by, lexicon = settings.code_switch_by, settings.lexicon
        aligned, switched = switch_sources(aligned, settings.code_switch, seed, by, lexicon)
    check_room(encoder.model, settings.max_length)
    src = encode_texts(encoder.tokenizer, aligned.src, settings.max_length, aligned.src_spans)
    links = list(aligned.links)
    if control:
        tgt, links = src, [np.repeat(part[:, :1], 2, axis=1) for part in links]
    else:
        tgt = encode_texts(encoder.tokenizer, aligned.tgt, settings.max_length, aligned.tgt_spans)
    # The plan reads real lengths in the control too: the same source sentences at the same step.
    real = tgt if not control else encode_texts(encoder.tokenizer, aligned.tgt, settings.max_length, None)
    if not len(aligned):
        raise TrainingError("there is not one sentence pair to realign on")
    names, groups, counts = np.unique(aligned.languages, return_inverse=True, return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    shares = mixture_shares(settings.mixture, sizes, settings.mixture_temperature, settings.mixture_weights)
    plan = plan_steps(
        groups.tolist(),
        np.maximum(src.lengths, real.lengths),
        steps,
        settings.batch_size,
        seed,
        "realign",
        None if settings.mixture == "uniform" else [shares[name] for name in names.tolist()],
    )
    return Pairs(src, tgt, links, plan, aligned.ids, aligned.languages, switched=switched)


def romanise_pairs(
    encoder: Encoder, aligned: AlignedTexts, settings: RealignSettings, steps: int, seed: int, control: bool = False
) -> Pairs:
    """`encode_pairs` of the target sentences and their romanisations.

    Raises:
        MissingExtra: uroman is not installed.
        TrainingError: all sentences are in Latin letters already.
    """
    romanised, dropped = romanised_pairs(aligned)
    if not len(romanised):
        raise TrainingError("objective 'transliteration' needs languages in other than Latin letters; there are none")
    pairs = encode_pairs(encoder, romanised, replace(settings, code_switch=0.0), steps, seed, control)
    return replace(pairs, dropped=dropped)
