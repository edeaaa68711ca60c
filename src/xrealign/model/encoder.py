"""A multilingual encoder with its tokenizer, from the starter, a local folder or the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xrealign.errors import ArtifactError, ConfigError, XrealignError
from xrealign.model.finite import check_finite
from xrealign.model.folder import INDEX, SHARDS, write_shards
from xrealign.model.harmless import TOKENIZER
from xrealign.model.layers import find_blocks
from xrealign.model.prompt import NAME, load_prompt, save_prompt
from xrealign.model.recorded import RECORD
from xrealign.model.resolve import WANTED, resolve_encoder
from xrealign.model.starter import CONVERTER_VERSION, FILE_SHA256
from xrealign.refusals import telling
from xrealign.store import MANIFEST, digest_of
from xrealign.writing import write_atomic

ATTENTIONS = ("sdpa", "eager", "flash_attention_2")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")


@dataclass
class Encoder:
    """Model, tokenizer and the folder they came from."""

    model: Any
    tokenizer: Any
    folder: Path

    @property
    def layers(self) -> int:
        """Number of blocks; valid layers are 0 to this."""
        return len(find_blocks(self.model))

    @property
    def width(self) -> int:
        """D, the size of a vector."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device


def load_encoder(
    name: str, revision: str | None = None, attention: str = "sdpa", pad_with_eos: bool = False
) -> Encoder:
    """Loads an encoder in float32, from safetensors only, running no code that comes with it; with its prompt, if it
    has one (`xrealign.model.prompt`).

    Args:
        pad_with_eos: where the tokenizer has no pad subword, as a decoder's, the end-of-text one pads, masked.

    Raises:
        ArtifactError: the folder is not a Hugging Face encoder with safetensors weights and a fast tokenizer, or a
            weight is not a number.
        ConfigError: ``attention`` is not one of the implementations allowed, or not to be had for this encoder.
    """
    if attention not in ATTENTIONS:
        raise ConfigError(f"encoder.attention = {attention!r} is unknown; expected one of {', '.join(ATTENTIONS)}")
    folder = resolve_encoder(name, revision)  # before what takes a second to import
    from transformers import AutoModel
    from transformers.utils import logging

    _check_folder(folder, name)
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # a part missing from the folder is drawn the same way every time
            model, info = AutoModel.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation=attention,
                dtype=torch.float32,
                output_loading_info=True,
            )
        tokenizer = load_tokenizer(folder)
    except XrealignError:
        raise
    except Exception as error:  # noqa: BLE001 - other people's code on other people's files: anything may come out
        raise _not_loaded(folder, attention, error) from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    if not tokenizer.is_fast:
        raise ArtifactError(f"{folder}: its tokenizer is not a fast one (tokenizer.json), which word vectors need")
    missing = sorted(info["missing_keys"])
    if missing and all(key.startswith("pooler.") for key in missing):
        model.pooler = None  # not in the checkpoint: a random one would be saved as if it meant something
    elif missing:
        raise ArtifactError(f"{folder} lacks weights of its own architecture: {', '.join(missing[:3])} …")
    if pad_with_eos and tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise ArtifactError(f"{folder}: its tokenizer has neither a pad nor an end-of-text subword to pad with")
        tokenizer.pad_token = tokenizer.eos_token
    check_subwords(model, tokenizer, folder)
    check_finite(model.named_parameters(), folder)
    load_prompt(model, folder)
    model.eval()
    return Encoder(model, tokenizer, folder)


def check_subwords(model: Any, tokenizer: Any, folder: Path) -> None:
    """Passes when a model has an embedding for each of its tokenizer's subwords, one of which pads.

    Raises:
        ArtifactError: it has not, or reads something else than subwords.
    """
    try:
        rows = model.get_input_embeddings().weight.shape[0]
    except (NotImplementedError, AttributeError):  # of models of pictures or sound, or of several of these
        raise ArtifactError(f"{folder}: a {type(model).__name__} reads no subwords; expected a text encoder") from None
    if tokenizer.pad_token_id is None or len(tokenizer) > rows:
        fault = (
            f"has {len(tokenizer)} subwords for {rows} embeddings"
            if tokenizer.pad_token_id is not None
            else "has no pad token"
        )
        raise ArtifactError(f"{folder}: its tokenizer {fault}; expected the tokenizer the encoder was trained with")


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder that `resolve_encoder` gave; no code that comes with it is run.

    Raises:
        ArtifactError: its files are not a tokenizer's.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises nothing narrower for a damaged file
        files = sorted({p.name for pattern in (*_VOCABULARIES, TOKENIZER) for p in folder.glob(pattern)})
        raise ArtifactError(
            f"{folder}: its tokenizer ({', '.join(files)}) cannot be read: {_first_line(error)}; expected the "
            "tokenizer.json that the encoder was trained with"
        ) from None


def _first_line(error: Exception) -> str:
    """What an error says, on one line and no longer than a line may be."""
    return next(iter(str(error).strip().splitlines()), "")[:300] or type(error).__name__


def _not_loaded(folder: Path, attention: str, error: Exception) -> XrealignError:
    first = _first_line(error)
    if attention != "eager" and isinstance(error, (ValueError, ImportError)) and "attention" in first.lower():
        return ConfigError(f'encoder.attention = "{attention}" does not work for {folder}; use "eager" ({first})')
    if isinstance(error, RuntimeError) and not isinstance(
        error, RecursionError
    ):  # transformers only says to read its report, which is a table
        first = "its weights do not have the shapes its config.json says"
    return ArtifactError(f"{folder} cannot be loaded as an encoder: {first}")


def _check_folder(folder: Path, name: str) -> None:
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"encoder {name!r}: {folder} has no config.json; expected a Hugging Face model folder")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.glob("*.bin"))
        hint = f"; {pickled[0]} is a pickle, which is never opened: convert it to safetensors first" if pickled else ""
        raise ArtifactError(f"encoder {name!r}: {folder} has no .safetensors weights{hint}")
    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        # transformers would make up an empty tokenizer to which every word is unknown
        raise ArtifactError(f"encoder {name!r}: {folder} has no tokenizer; expected tokenizer.json")


def encoder_digest(name: str, revision: str | None = None) -> str:
    """What identifies an encoder's weights, config and tokenizer, without loading it.

    Raises:
        ArtifactError: there is no such encoder.
    """
    if name == "starter":
        return f"starter converter {CONVERTER_VERSION}, {FILE_SHA256}"
    return folder_digest(resolve_encoder(name, revision))


_ABOUT_IT = ("xrealign.json", MANIFEST, RECORD)  # what was written of the folder, times too


def folder_digest(folder: Path) -> str:
    """sha256 over names and contents of config, weights and tokenizer files, in order of name."""
    total = hashlib.sha256()
    for path in sorted(p for pattern in WANTED for p in folder.glob(pattern)):
        if path.name not in _ABOUT_IT:
            total.update(f"{path.name}\0{digest_of(path)}\n".encode())
    return total.hexdigest()


def embeddings_name(model: Any) -> str:
    """Name of the word embedding matrix in the model's state."""
    matrix = model.get_input_embeddings().weight
    return next(str(name) for name, parameter in model.named_parameters() if parameter is matrix)


def save_encoder(encoder: Encoder, folder: Path, base: Path | None = None) -> None:
    """Writes a folder that ``AutoModel`` and ``AutoTokenizer.from_pretrained`` load; a prompt goes into a file of
    its own, which only `load_encoder` reads.

    Args:
        base: the folder the encoder was loaded from; its embeddings shard is linked when the matrix is unchanged.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: p for name, p in encoder.model.state_dict().items() if not name.startswith(f"{NAME}.")}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    apart = embeddings_name(encoder.model)
    shared = base / SHARDS[0] if base is not None and _same_embeddings(base, apart, weights[apart]) else None
    encoder.model.config.dtype = torch.float32
    encoder.model.config.architectures = [type(encoder.model).__name__]
    with telling(folder):
        encoder.model.config.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
    write_shards(folder, weights, apart, save_file, shared)
    save_prompt(encoder.model, folder)
    write_atomic(folder / "xrealign.json", json.dumps({"saved_by": "xrealign"}) + "\n")


def _same_embeddings(base: Path, name: str, matrix: torch.Tensor) -> bool:
    from safetensors import safe_open

    shard = base / SHARDS[0]
    if not (shard.is_file() and (base / INDEX).is_file()):
        return False
    with safe_open(shard, framework="pt") as file:
        if list(file.keys()) != [name]:
            return False
        return bool(torch.equal(file.get_tensor(name).to(matrix.dtype), matrix))
