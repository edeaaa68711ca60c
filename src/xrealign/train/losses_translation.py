"""Representation translation: from the states of one sentence a small head predicts the words of the other (DAP).

Li et al. 2023, arXiv 2305.09148, section 3.2, eq. 4 and 6. The head is a stack of K = 2 transformer blocks, begun as
copies of the encoder's last ones, under a layer that predicts subwords. It reads the states of the target sentence
but its first ([CLS], which is the ranking objective's) and as many masks as the source sentence has subwords, at
whose places it predicts them: always from the other language to the source language.

Departures: the masks come first and the states after them, so that the position of what is predicted does not depend
on how long the other sentence is padded; the prediction layer begins as the encoder's word embeddings, over the
subwords that the source side uses (the authors' program shrinks it to the English ones), without the masked language
model's transformation before it; the mask is one vector that learns, begun as the encoder's.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xrealign.errors import ConfigError
from xrealign.model.layers import find_blocks
from xrealign.train.losses_contrastive import exact, full_precision, nothing


class TranslationHead(nn.Module):
    """K blocks and a prediction layer over V subwords.

    Args:
        encoder: a Hugging Face encoder, whose last blocks and word embeddings are copied.
        vocabulary: ids that can be predicted, sorted, each once. *Shape:* (V,)
        mask_id: id of the mask.
        blocks: K.

    Raises:
        ConfigError: there is nothing to predict, or the encoder has fewer blocks than K.
    """

    vocabulary: Tensor

    def __init__(self, encoder: Any, vocabulary: np.ndarray[Any, Any], mask_id: int, blocks: int = 2) -> None:
        super().__init__()
        if not len(vocabulary):
            raise ConfigError("objective 'dap' predicts the words of the source side, which has none")
        embeddings = encoder.get_input_embeddings()
        device = embeddings.weight.device
        self.blocks = last_blocks(encoder, blocks)
        self.register_buffer("vocabulary", torch.from_numpy(vocabulary.astype(np.int64)).to(device))
        with torch.no_grad():
            self.mask = nn.Parameter(embeddings(torch.tensor([mask_id], device=device))[0].clone())
            self.predict = nn.Linear(len(self.mask), len(vocabulary), device=device)
            self.predict.weight.copy_(embeddings(self.vocabulary))
            self.predict.bias.zero_()

    def forward(self, states: Tensor, states_mask: Tensor, wanted_mask: Tensor) -> Tensor:
        """Scores of the V subwords at every wanted place. *Shape:* (B, T, D), (B, T), (B, U) → (B, U, V)"""
        # Read by position: the first state is that of [CLS], which is kept from the head.
        seen = torch.cat([torch.zeros_like(states_mask[:, :1]), states_mask[:, 1:]], dim=1)
        masks = self.mask.to(states.dtype).expand(*wanted_mask.shape, -1)
        inputs = torch.cat([masks, states], dim=1)
        made = self.blocks(inputs_embeds=inputs, attention_mask=torch.cat([wanted_mask, seen], dim=1))
        scores: Tensor = self.predict(made.last_hidden_state[:, : wanted_mask.shape[1]])
        return scores

    def places(self, ids: Tensor) -> Tensor:
        """Each id's place in the vocabulary, -1 for none. Same shape."""
        place = torch.searchsorted(self.vocabulary, ids).clamp(max=len(self.vocabulary) - 1)
        return torch.where(self.vocabulary[place] == ids, place, -1)


def translation_loss(head: TranslationHead, states: Tensor, states_mask: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of the source sentence's subwords given the states of its translation, eq. 6.

    Departure: the mean is over the subwords of the batch, not first within each sentence. The first subword of each
    sentence, the same in all, is not predicted.

    Args:
        states: of the target sentences. *Shape:* (B, T, D)
        states_mask: their attention mask. *Shape:* (B, T)
        ids: of the source sentences. *Shape:* (B, U)
        mask: their attention mask. *Shape:* (B, U)
    """
    scores = head(states, states_mask, mask)
    real = mask.bool() & (torch.arange(ids.shape[1], device=ids.device) > 0)
    goal = torch.where(real, head.places(ids), -1)
    with exact(states):
        summed = F.cross_entropy(full_precision(scores).flatten(0, 1), goal.flatten(), ignore_index=-1, reduction="sum")
        return summed / (goal >= 0).sum().clamp(min=1) + nothing(states)


def last_blocks(encoder: Any, count: int) -> nn.Module:
    """A copy of an encoder that has only the last ``count`` blocks and no word embeddings: it takes vectors.

    Raises:
        ConfigError: the encoder has fewer blocks.
    """
    blocks = find_blocks(encoder)
    if len(blocks) < count:
        raise ConfigError(f"objective 'dap' copies the last {count} blocks of the encoder, which has {len(blocks)}")
    # What the memo holds is taken instead of being copied: the embeddings, most of an encoder, are not wanted.
    copied = copy.deepcopy(encoder, {id(encoder.get_input_embeddings()): nn.Identity()})
    own = find_blocks(copied)
    (held,) = (m for m in copied.modules() if isinstance(m, nn.ModuleList) and list(m) == own)
    del held[: len(own) - count]
    copied.config.num_hidden_layers = count
    if getattr(copied, "pooler", None) is not None:
        copied.pooler = None
    made: nn.Module = copied.requires_grad_(True)
    return made
