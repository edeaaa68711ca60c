"""Fine-tuned models with a head of transformers' own (``AutoModelFor…``), as its Trainer saves them.

| architecture ends in | kinds | what is read of it |
|---|---|---|
| ForTokenClassification | pos, ner | a word's tag is that of its first subword |
| ForSequenceClassification | class, pair | one label a text |
| ForQuestionAnswering | qa | scores of each subword to begin and to end the answer |

The whole model is called, its own pooling and layers included; nothing of it is rebuilt. Names of labels are those of
``id2label`` in config.json.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import Encoder, check_subwords, load_tokenizer
from xrealign.model.finite import check_finite
from xrealign.model.harmless import read_json
from xrealign.model.resolve import resolve_encoder
from xrealign.tasks.task import Kind
from xrealign.train.task_streams import TaskBatch

HEADS: dict[str, tuple[Kind, ...]] = {
    "ForTokenClassification": ("pos", "ner"),
    "ForSequenceClassification": ("class", "pair"),
    "ForQuestionAnswering": ("qa",),
}
"""What an architecture's name ends in, and the kinds of task it may be for."""
_LETTERS = {"B": "B", "I": "I", "E": "I", "S": "B", "L": "I", "U": "B", "M": "I"}  # BIOES, BILOU, BMES as BIO
_BLANKS = ("▁", "Ġ")  # of SentencePiece and of byte-level BPE
_NO_NAME = re.compile(r"LABEL_\d+")


class HubHead(nn.Module):
    """A whole model in the place of a head: `xrealign.train.predict` asks it for scores of a batch.

    Attributes:
        impossible: of kind qa: whether it may say that there is no answer.
        blanks: ids of subwords that are nothing but the blank before a word.
    """

    blanks: Tensor

    def __init__(self, model: Any, kind: Kind, impossible: bool, blanks: Sequence[int]) -> None:
        super().__init__()
        self.model, self.kind, self.impossible = model, kind, impossible
        self.register_buffer("blanks", torch.tensor(list(blanks), dtype=torch.long), persistent=False)

    def raw(self, batch: TaskBatch) -> Tensor:
        """What the model makes of a batch, before softmax: (S, labels), (S, T, tags) or (S, T, 2)"""
        found = self.model(**batch.texts.inputs)
        if self.kind == "qa":
            return torch.stack([found.start_logits, found.end_logits], dim=-1)
        logits: Tensor = found.logits
        return logits

    def scores(self, raw: Tensor, batch: TaskBatch) -> Tensor:
        """The same as the heads of `xrealign.train.heads` make it: tags of words, (W, tags).

        To a model trained on words that were given one by one, a subword that is only the blank before a word is the
        word's first; here it belongs to none.
        """
        if self.kind not in ("pos", "ner"):
            return raw
        ids, firsts = batch.texts.inputs["input_ids"], batch.texts.firsts
        before = ids.flatten().index_select(0, (firsts - 1).clamp(min=0))
        alone = torch.isin(before, self.blanks) & (firsts % ids.shape[1] > 0)
        return raw.flatten(0, 1).index_select(0, firsts - alone.long())


def hub_kinds(folder: Path) -> tuple[Kind, ...]:
    """The kinds of task that a folder's model may be for; none if it has no head that is read here."""
    if not (folder / "config.json").is_file():
        return ()
    config = read_json(folder / "config.json")
    architectures = config.get("architectures") if isinstance(config, dict) else None
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    return next((kinds for end, kinds in HEADS.items() if name.endswith(end)), ())


def load_hub_model(
    folder: Path, kind: Kind, names: Sequence[str] | None = None, impossible: bool = False
) -> tuple[Encoder, HubHead, Kind, tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]]:
    """The fields of a `xrealign.train.fine_tuned.FineTuned`, from a folder of safetensors; none of its code is run.

    Args:
        kind: one of `hub_kinds`.
        names: of its outputs, in the order of their numbers, in the place of those in config.json.
        impossible: of kind qa: whether it was trained on questions without an answer.

    Raises:
        ArtifactError: the folder is not such a model, or lacks weights of its head.
        ConfigError: it has no names for its labels, or not as many as outputs, or it scores something else.
    """
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification
    from transformers import AutoModelForTokenClassification as AutoModelForTags
    from transformers.utils import logging

    folder = resolve_encoder(str(folder))
    if not any(folder.glob("*.safetensors")):
        raise ArtifactError(f"{folder} has no .safetensors weights; a pickle is never opened: convert it first")
    auto = {"qa": AutoModelForQuestionAnswering, "pos": AutoModelForTags, "ner": AutoModelForTags}
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = auto.get(kind, AutoModelForSequenceClassification).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # noqa: BLE001 - other people's code on other people's files: anything may come out
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
        raise ArtifactError(f"{folder} cannot be loaded as a fine-tuned model: {said}") from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    if missing := sorted(info["missing_keys"]):
        raise ArtifactError(
            f"{folder} lacks weights of its head or body: {', '.join(missing[:3])} …; expected a fine-tuned model"
        )
    check_finite(model.named_parameters(), folder)
    found = () if kind == "qa" else _names(folder, model.config, names)
    tags = tuple(_tag(name, folder) for name in found) if kind == "ner" else found
    tokenizer = load_tokenizer(folder)
    if not tokenizer.is_fast:
        raise ArtifactError(f"{folder}: its tokenizer is not a fast one (tokenizer.json)")
    check_subwords(model, tokenizer, folder)
    encoder = Encoder(model.base_model.eval(), tokenizer, folder)
    blanks = [number for mark in _BLANKS if (number := tokenizer.get_vocab().get(mark)) is not None]
    head, unique = HubHead(model, kind, impossible, blanks).eval(), tuple(dict.fromkeys(tags))
    if kind in ("class", "pair"):
        return encoder, head, kind, unique, (), (tags, ())
    return encoder, head, kind, (), unique, ((), tags)


def _names(folder: Path, config: Any, given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the outputs.

    Raises:
        ConfigError: there are none, one twice, or not as many as outputs; or the outputs are no labels to choose from.
    """
    count = int(config.num_labels)
    if count < 2 or getattr(config, "problem_type", None) in ("regression", "multi_label_classification"):
        what = getattr(config, "problem_type", None) or "regression"
        raise ConfigError(f"{folder}: its head has {count} outputs for {what}; expected one label of several")
    if not given and set(config.id2label) != set(range(count)):
        raise ConfigError(
            f"{folder / 'config.json'}: id2label names the outputs {', '.join(map(str, config.id2label))}; expected "
            f"0 to {count - 1}; or tell what they mean, in the order of their numbers: --labels NAME,NAME,… ({count})"
        )
    names = tuple(given) if given else tuple(str(config.id2label[number]) for number in range(count))
    if len(names) != count or len(set(names)) != count:
        raise ConfigError(
            f"--labels {','.join(names)}: the model has {count} outputs; expected {count} different names"
        )
    if unnamed := [name for name in names if _NO_NAME.fullmatch(name)]:
        raise ConfigError(
            f"{folder / 'config.json'}: {len(unnamed)} of {count} labels have no name ({unnamed[0]}); tell what they "
            f"mean, in the order of their numbers: --labels NAME,NAME,… ({count})"
        )
    return names


def _tag(name: str, folder: Path) -> str:
    """A tag as BIO has it.

    Raises:
        ConfigError: it is none.
    """
    letter, mark, kind = name.partition("-")
    if name == "O":
        return name
    if not mark or not kind or letter not in _LETTERS:
        raise ConfigError(
            f"{folder / 'config.json'}: label {name!r} is no tag of a span; expected O, B-PER, I-PER … (or BIOES); "
            "name them with --labels"
        )
    return f"{_LETTERS[letter]}-{kind}"
