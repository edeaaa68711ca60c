"""A learned prompt in front of every text that an encoder reads (prompt tuning, Lester et al. 2021, arXiv 2104.08691).

    add_prompt(encoder.model, vectors)      # of the size of word embeddings
    encoder.model(**inputs)                 # reads the prompt, then the text; gives the states of the text alone

The prompt's P vectors stand before the first special subword, where word embeddings would: positions, norms and dropout
of the embeddings are put on them, and the text has the positions P, P + 1 …, as if the prompt were subwords of it (PEFT
does the same). They are seen by every subword; batches, word positions and pooling do not know of them. The prompt is
part of the model (``prompt_embeddings.vectors``) and lies beside it on disk, in a file that transformers does not read.

*Shapes:* S sentences, T subwords, P vectors of the prompt, D dims of word embeddings.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.folder import save_tensors
from xrealign.model.positions import positions_of

NAME, FILE = "prompt_embeddings", "prompt.safetensors"
VECTORS = f"{NAME}.vectors"


class Prompt(nn.Module):
    """Holds the vectors. *Shape:* (P, D)"""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors.detach().clone())


def add_prompt(model: nn.Module, vectors: Tensor) -> None:
    """Puts a prompt before everything that ``model`` reads from now on.

    Args:
        vectors: its first values. *Shape:* (P, D)

    Raises:
        ConfigError: the encoder has a prompt already, or does not take embeddings in the place of subwords.
    """
    if prompt_length(model):
        raise ConfigError("the encoder has a prompt already; give the encoder that it was learned on")
    if "inputs_embeds" not in inspect.signature(model.forward).parameters:
        raise ConfigError(
            f"{type(model).__name__} takes no embeddings in the place of subwords: it cannot have a prompt"
        )
    model.add_module(NAME, Prompt(vectors))
    model.register_forward_pre_hook(_put_before, with_kwargs=True)
    model.register_forward_hook(_take_away)


def prompt_length(model: nn.Module) -> int:
    """P, 0 for a model without a prompt."""
    prompt = getattr(model, NAME, None)
    return 0 if prompt is None else len(prompt.vectors)


def of_the_text(model: nn.Module, states: Tensor) -> Tensor:
    """States inside the model without those of its prompt. *Shape:* (S, P + T, D) → (S, T, D)"""
    return states[:, prompt_length(model) :]


def check_room(model: nn.Module, width: int) -> None:
    """Looks whether texts of ``width`` subwords fit into the encoder's positions, after its prompt if it has one.

    Raises:
        ConfigError: they do not.
    """
    length, most = prompt_length(model), positions_of(model.config)
    if most is None or length + width <= most:
        return
    if not length:
        raise ConfigError(f"max_length = {width}: the encoder has {most} positions")
    raise ConfigError(
        f"a prompt of {length} vectors before texts of {width} subwords is more than the {most} positions of "
        f"{type(model).__name__}: max_length may be {max(0, most - length)} at most"
    )


def save_prompt(model: nn.Module, folder: Path) -> None:
    """Writes ``prompt.safetensors`` if the model has a prompt."""
    from safetensors.torch import save_file

    prompt: Any = getattr(model, NAME, None)
    if prompt is not None:
        save_tensors({"vectors": prompt.vectors.detach().float().cpu().contiguous()}, folder / FILE, save_file)


def load_prompt(model: Any, folder: Path) -> None:
    """Puts the prompt of a folder before what ``model`` reads, if there is one.

    Raises:
        ArtifactError: the file is damaged, or of another encoder.
        ConfigError: see `add_prompt`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / FILE
    if not file.is_file():
        return
    try:
        vectors = load_file(file)["vectors"]
    except (SafetensorError, KeyError, OSError) as error:
        raise ArtifactError(f"{file} is no prompt saved by xrealign ({error}); fine-tune again") from None
    if not vectors.is_floating_point():
        raise ArtifactError(f"{file} is no prompt saved by xrealign (it is of {vectors.dtype}); fine-tune again")
    vectors = vectors.float()  # which it is saved in; of half a byte each, nothing can be asked
    width = model.get_input_embeddings().weight.shape[1]
    if vectors.dim() != 2 or vectors.shape[1] != width or not bool(torch.isfinite(vectors).all()):
        raise ArtifactError(f"{file}: vectors of shape {tuple(vectors.shape)}; expected finite ones, (any, {width})")
    add_prompt(model, vectors)


def _put_before(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the model is called with, with the prompt in front of embeddings, mask and kinds of segments."""
    given = dict(zip(inspect.signature(model.forward).parameters, args, strict=False)) | kwargs
    given = {name: value for name, value in given.items() if value is not None}
    texts = given.pop("inputs_embeds") if "inputs_embeds" in given else model.get_input_embeddings()(given["input_ids"])
    given.pop("input_ids", None)
    count, width = texts.shape[:2]
    mask = given.get("attention_mask")
    if "position_ids" in given or (mask is not None and (isinstance(mask, dict) or mask.dim() != 2)):
        raise ConfigError("an encoder with a prompt counts positions itself, and wants a mask of each place, (S, T)")
    check_room(model, width)
    prompt = model.get_submodule(NAME).vectors
    given["inputs_embeds"] = torch.cat([prompt.to(texts.dtype)[None].expand(count, -1, -1), texts], dim=1)
    seen = texts.new_ones((count, width), dtype=torch.long) if mask is None else mask
    given["attention_mask"] = torch.cat([seen.new_ones((count, len(prompt))), seen], dim=1)
    if "token_type_ids" in given:
        kinds = given["token_type_ids"]
        given["token_type_ids"] = torch.cat([kinds.new_zeros((count, len(prompt))), kinds], dim=1)
    return (), given


def _take_away(model: Any, _args: tuple[Any, ...], output: Any) -> Any:
    """States of the text alone; a pooler reads the first subword's again."""
    if isinstance(output, tuple):
        raise ConfigError("an encoder with a prompt gives its output by names alone: leave out return_dict = False")
    output.last_hidden_state = of_the_text(model, output.last_hidden_state)
    if output.get("hidden_states") is not None:
        output.hidden_states = tuple(of_the_text(model, states) for states in output.hidden_states)
    if output.get("pooler_output") is not None:
        output.pooler_output = model.pooler(output.last_hidden_state)
    return output
