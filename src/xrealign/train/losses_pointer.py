"""Denoising word alignment: a masked word points at its translation, both sentences read as one text (XLM-Align).

Chi et al. 2021, arXiv 2106.06381, section 3: links are labelled by the encoder itself with optimal transport (3.1),
words are masked, and a pointer network finds the translation of each masked word (3.2, eq. 7 to 9). Departures: what
is masked, linked and pointed at are words, not subwords; links are mutual argmaxes of the transport plan, without the
paper's further rounds; costs are 1 − cosine, scaled for each pair; each sentence keeps the special subwords the
tokenizer gives it; the pointer begins as the identity, so that a word points at what is like it (the authors' program
begins at random, or has no projection at all).

*Shapes:* B pairs, S = 2B sentences, T subwords, W words of the batch, I and J words of a side, padded, D dims.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from xrealign.align.extract import mutual
from xrealign.align.transport import relative_cost, transport
from xrealign.model.words import TextBatch
from xrealign.train.losses_contrastive import exact, full_precision, unit
from xrealign.train.streams import PairBatch


class Pointer(nn.Module):
    """Scores of each word as the translation of another: (W_q q)ᵀ(W_k k) / √D, eq. 8.

    Attributes:
        mask_id, pad_id: of the tokenizer, for `mask_words` and `join_pairs`.
    """

    def __init__(self, width: int, mask_id: int, pad_id: int) -> None:
        super().__init__()
        self.mask_id, self.pad_id = mask_id, pad_id
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        for linear in (self.query, self.key):
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, asked: Tensor, others: Tensor) -> Tensor:
        """*Shape:* (B, I, D), (B, J, D) → (B, I, J), float32"""
        query, key = self.query(asked), self.key(others)
        with exact(asked):
            scores: Tensor = torch.bmm(full_precision(query), full_precision(key).transpose(1, 2))
            return scores / float(asked.shape[-1] ** 0.5)


def pointer_loss(scores: Tensor, links: Tensor, asked: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Σ −log softmax(scores) at the links of the words asked for, and how many words that were.

    A word with several links shares itself out among them; one without is not asked.

    Args:
        scores: *Shape:* (B, I, J)
        links: bool. *Shape:* (B, I, J)
        asked: which words are asked for, bool. *Shape:* (B, I)
        candidates: which places are words, bool. *Shape:* (B, J)
    """
    # Not −inf: a sentence without words would give NaN, which no later mask takes out of the gradient.
    masked = full_precision(scores).masked_fill(~candidates[:, None, :], torch.finfo(torch.float32).min / 2)
    target = (links & candidates[:, None, :] & asked[:, :, None]).float()
    count = target.sum(2, keepdim=True)
    share = target / count.clamp(min=1)
    return -(share * masked.log_softmax(2)).sum(), (count > 0).sum()


def self_labelled(src: Tensor, tgt: Tensor, src_mask: Tensor, tgt_mask: Tensor, epsilon: float = 0.05) -> Tensor:
    """Links of each pair by optimal transport, bool (B, I, J), of word vectors (B, I, D) and (B, J, D); no gradient."""
    with torch.no_grad(), exact(src):
        both = src_mask[:, :, None] & tgt_mask[:, None, :]
        cosine = torch.bmm(unit(src), unit(tgt).transpose(1, 2))
        return mutual(transport(relative_cost(cosine, both), both, "balanced", epsilon), both)


def given_links(batch: PairBatch) -> Tensor:
    """The links that came with the batch, bool (B, T, T), by place of the word within its sentence."""
    place, width = word_places(batch.texts), batch.texts.inputs["input_ids"].shape[1]
    i, j = batch.links[:, 0], batch.links[:, 1] + batch.src_words
    pair = batch.texts.sentence.index_select(0, i)
    flat = (pair * width + place.index_select(0, i)) * width + place.index_select(0, j)
    links = torch.zeros(batch.pairs * width * width, dtype=torch.bool, device=flat.device)
    return links.index_fill(0, flat, True).view(batch.pairs, width, width)


def word_places(texts: TextBatch) -> Tensor:
    """How many words of its sentence come before each word. *Shape:* (W,)"""
    starts = torch.searchsorted(texts.sentence, torch.arange(len(texts.inputs["input_ids"]), device=texts.word.device))
    return torch.arange(len(texts.sentence), device=texts.word.device) - starts.index_select(0, texts.sentence)


def spread_words(values: Tensor, texts: TextBatch) -> Tensor:
    """Values of the words, (W, …), by sentence and place of the word, (S, T, …), zeros where there is none.

    There are at most as many words as subwords, so T is wide enough and the host need not ask how many there are.
    """
    sentences, width = texts.inputs["input_ids"].shape
    flat = texts.sentence * width + word_places(texts)
    spread = values.new_zeros(sentences * width, *values.shape[1:]).index_copy(0, flat, values)
    return spread.view(sentences, width, *values.shape[1:])


def mask_words(texts: TextBatch, chosen: Tensor, mask_id: int) -> TextBatch:
    """The batch with every subword of the chosen words, bool (W,), replaced by the mask."""
    ids = texts.inputs["input_ids"]
    hidden = torch.zeros(ids.numel(), dtype=torch.bool, device=ids.device)
    hidden = hidden.index_copy(0, texts.positions, chosen.index_select(0, texts.segments)).view_as(ids)
    return replace(texts, inputs={**texts.inputs, "input_ids": torch.where(hidden, mask_id, ids)})


def join_pairs(texts: TextBatch, pad_id: int) -> TextBatch:
    """Each source sentence followed by its translation, as one text: inputs (S, T) → (S/2, 2T), same words.

    The places of the words are those in the joined texts, so that pooling gives the same W words in the same order.
    ``sentence`` and ``word`` stay as they were.
    """
    ids, mask = texts.inputs["input_ids"], texts.inputs["attention_mask"]
    sentences, width = ids.shape
    pairs, lengths = sentences // 2, mask.sum(1)
    row = torch.arange(sentences, device=ids.device) % pairs
    start = row * 2 * width + torch.cat([torch.zeros_like(lengths[:pairs]), lengths[:pairs]])
    place = start[:, None] + torch.arange(width, device=ids.device)  # of each subword, in the flattened (B·2T) batch
    # Padding goes to one more place at the end, which is cut off: between the sentences there is none.
    goal = torch.where(mask.bool(), place, pairs * 2 * width).flatten()
    joined = ids.new_full((pairs * 2 * width + 1,), pad_id).index_copy(0, goal, ids.flatten())[:-1]
    total = lengths[:pairs] + lengths[pairs:]
    inputs = {
        "input_ids": joined.view(pairs, 2 * width),
        "attention_mask": (torch.arange(2 * width, device=ids.device) < total[:, None]).to(mask.dtype),
    }
    flat = place.flatten()
    positions, firsts = flat.index_select(0, texts.positions), flat.index_select(0, texts.firsts)
    return replace(texts, inputs=inputs, positions=positions, firsts=firsts)
