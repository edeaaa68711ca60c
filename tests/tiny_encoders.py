"""Tiny random encoders of several architectures with a real tokenizer, for the tests and the fault suite."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

from xrealign.corpus.embedded import udhr_segments
from xrealign.language import parse_language

LANGUAGES = ("eng", "deu", "tur", "swh", "fin", "rus", "hin", "tam", "arb", "zho", "tha", "jpn")
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>",
           "cls_token": "<s>", "sep_token": "</s>"}  # fmt: skip
ARCHITECTURES = ("bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert")
WIDTH, BLOCKS, HEADS, POSITIONS = 32, 4, 4, 512


def udhr_lines() -> dict[str, list[str]]:
    """The first 20 segments of the Universal Declaration in a dozen languages and nine scripts, by tag."""
    languages = [parse_language(code) for code in LANGUAGES]
    return {language.tag: list(udhr_segments().of(language).values())[:20] for language in languages}


def _pieces(lines: list[str]) -> list[tuple[str, float]]:
    """A Unigram vocabulary counted by hand, as trainers promise no order: characters, beginnings and inner parts."""
    words = Counter(f"▁{word}" for line in lines for word in line.split())
    counts: Counter[str] = Counter()
    for word, count in sorted(words.items()):
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + 7) + 1):
                counts[word[start:end]] += count
    singles = sorted((p for p in counts if len(p) == 1), key=lambda p: (-counts[p], p))[:400]
    longer = sorted((p for p in counts if len(p) > 1), key=lambda p: (-counts[p] * len(p), p))[:400]
    total = sum(counts[piece] for piece in singles + longer)
    return [(piece, math.log(counts[piece] / total)) for piece in singles + longer]


def tiny_tokenizer(lines: dict[str, list[str]]):
    """A fast Unigram tokenizer of some 800 pieces, built as the starter's is."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    first = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [*first, *_pieces([line for several in lines.values() for line in several]), ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in sorted(set(SPECIAL.values()))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL,
    )


def _config(architecture: str, vocabulary: int):
    import transformers

    shared = {"vocab_size": vocabulary, "pad_token_id": 1, "initializer_range": 0.1}
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS}
    usual = {**shared, **sizes, "intermediate_size": 2 * WIDTH}
    if architecture == "bert":
        return transformers.BertConfig(**usual, max_position_embeddings=POSITIONS)
    if architecture == "distilbert":
        return transformers.DistilBertConfig(
            **shared, dim=WIDTH, n_layers=BLOCKS, n_heads=HEADS, hidden_dim=2 * WIDTH, max_position_embeddings=POSITIONS
        )
    if architecture == "xlm-roberta":
        return transformers.XLMRobertaConfig(**usual, max_position_embeddings=POSITIONS + 2, type_vocab_size=1)
    if architecture == "deberta-v2":
        return transformers.DebertaV2Config(
            **usual, max_position_embeddings=POSITIONS, relative_attention=True, position_buckets=16,
            norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
            conv_kernel_size=3, conv_act="gelu",
        )  # fmt: skip
    if architecture == "modernbert":
        return transformers.ModernBertConfig(
            **usual, max_position_embeddings=POSITIONS, local_attention=8, bos_token_id=0, eos_token_id=2,
            cls_token_id=0, sep_token_id=2,
        )  # fmt: skip
    raise ValueError(architecture)


def write_tiny_encoder(folder: Path, architecture: str, tokenizer) -> Path:
    """Writes a tiny random encoder into ``folder``, the same bits every time."""
    import torch
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(_config(architecture, len(tokenizer)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text("utf-8"))["model_type"] == architecture
    return folder
