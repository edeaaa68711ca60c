"""The head of a masked language model: found beside an encoder, joined to it, and shrunk with its vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import Encoder
from xrealign.train.compaction import CompactRows, compact_embeddings, expand_embeddings

WITH_HEAD = "xlm-roberta-base, bert-base-multilingual-cased and distilbert-base-multilingual-cased"


def masked_model(encoder: Encoder) -> Any:
    """The masked language model in the folder that ``encoder`` came from, on ``encoder``'s own parameters.

    The base model inside it *is* ``encoder.model``; where its output weights are tied to the embeddings, they are tied
    to those of ``encoder``. Saving the encoder leaves the head out.

    Raises:
        ConfigError: the encoder comes without the weights of a head.
        ArtifactError: the folder cannot be read any more.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            model, info = AutoModelForMaskedLM.from_pretrained(
                encoder.folder,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation=encoder.model.config._attn_implementation,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise ArtifactError(f"{encoder.folder} cannot be loaded: {str(error).strip().splitlines()[0]}") from None
    except ValueError:  # an architecture without masked language models
        raise _no_head(encoder, "its architecture has none") from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    missing = sorted(info["missing_keys"])
    if missing:
        raise _no_head(encoder, f"{missing[0]} is missing")
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    setattr(model, model.base_model_prefix, encoder.model)
    if tied:
        model.get_output_embeddings().weight = encoder.model.get_input_embeddings().weight
    model.eval()
    return model


def _no_head(encoder: Encoder, why: str) -> ConfigError:
    return ConfigError(
        f"MLM and TLM need an encoder with a masked-language-model head; {encoder.folder} has none ({why}); "
        f"encoders that have one: {WITH_HEAD}"
    )


class CompactOutput(nn.Module):
    """Stands in for the output layer over the rows of `CompactRows`: scores of the kept subwords, *Shape:* (…, D) →
    (…, kept). Their softmax runs over the kept subwords alone: others could never be the answer."""

    def __init__(self, full: nn.Linear, compact: CompactRows) -> None:
        super().__init__()
        self.tied = full.weight is compact.full[0].weight
        kept = compact.kept
        self.weight = compact.weight if self.tied else nn.Parameter(full.weight.detach()[kept].clone())
        self.bias = None if full.bias is None else nn.Parameter(full.bias.detach()[kept].clone())
        self.register_buffer("place", compact.place, persistent=False)
        self.kept = kept
        self.full = [full]  # in a list: neither trained, moved nor saved

    def forward(self, states: Tensor) -> Tensor:
        return F.linear(states, self.weight, self.bias)

    def rows_of(self, ids: Tensor) -> Tensor:
        """Which score belongs to each subword id; −1 for one that was not kept, which cross-entropy refuses."""
        place: Tensor = self.place  # type: ignore[assignment]
        return place[ids]


def compact_masked(model: Any, used: Any) -> CompactRows:
    """`compact_embeddings` for a masked language model: its output layer keeps the same rows, tied if it was."""
    output = model.get_output_embeddings()
    compact = compact_embeddings(model.base_model, used)
    model.set_output_embeddings(CompactOutput(output, compact))
    return compact


def expand_masked(model: Any, unused_factor: float = 1.0) -> None:
    """Undoes `compact_masked`; what was trained is in its rows. ``unused_factor``: of `expand_embeddings`."""
    output: CompactOutput = model.get_output_embeddings()
    full = output.full[0]
    expand_embeddings(model.base_model, unused_factor)
    with torch.no_grad():
        if not output.tied:
            full.to(output.weight.device)
            full.weight.mul_(unused_factor)[output.kept] = output.weight.detach()
        else:
            full.weight = model.base_model.get_input_embeddings().weight
        if output.bias is not None:
            full.bias.data = full.bias.data.to(output.bias.device).mul_(unused_factor)
            full.bias.data[output.kept] = output.bias.detach()
    model.set_output_embeddings(full)
