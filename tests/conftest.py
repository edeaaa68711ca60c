"""Tiny encoders of several architectures with a real tokenizer, a cache of the session's own, the data pack."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from xrealign.corpus.embedded import udhr_segments
from xrealign.language import parse_language

# The default run draws the same examples every time, so that it fails for a reason only; HYPOTHESIS_PROFILE=explore
# draws new ones, as `make test-slow` does.
settings.register_profile("steady", derandomize=True)
settings.register_profile("explore", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

LANGUAGES = ("eng", "deu", "tur", "swh", "fin", "rus", "hin", "tam", "arb", "zho", "tha", "jpn")
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>",
           "cls_token": "<s>", "sep_token": "</s>"}  # fmt: skip
ARCHITECTURES = ("bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert")
WIDTH, BLOCKS, HEADS, POSITIONS = 32, 4, 4, 512


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """The starter is converted once for all workers, unless the environment names a cache that may have it."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("XREALIGN_CACHE"):
            base = tmp_path_factory.getbasetemp()
            cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
            cache.mkdir(exist_ok=True)
            patch.setenv("XREALIGN_CACHE", str(cache))
        yield Path(os.environ["XREALIGN_CACHE"])


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The data pack's folder, or a skip."""
    chosen = os.environ.get("XREALIGN_DATA")
    if not chosen:
        pytest.skip("needs the data pack: set XREALIGN_DATA to its folder")
    return Path(chosen)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def tiny_tokenizer(udhr_lines):
    """A fast Unigram tokenizer of some 800 pieces, built as the starter's is."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    first = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [*first, *_pieces([line for lines in udhr_lines.values() for line in lines]), ("<mask>", 0.0)]
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


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory, tiny_tokenizer):
    """Folder of a tiny random encoder by architecture, made when first asked for, the same bits every time."""
    import torch
    from transformers import AutoModel

    made: dict[str, Path] = {}

    def folder_of(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(f"tiny-{architecture}")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = AutoModel.from_config(_config(architecture, len(tiny_tokenizer)))
            model.save_pretrained(folder)
            tiny_tokenizer.save_pretrained(folder)
            assert json.loads((folder / "config.json").read_text("utf-8"))["model_type"] == architecture
            made[architecture] = folder
        return made[architecture]

    return folder_of


@pytest.fixture(scope="session")
def tiny_encoder_folder(tiny_folders) -> Path:
    """A tiny random BERT: 4 blocks, 32 wide, 4 heads, some 800 subwords."""
    return tiny_folders("bert")


def _load(folder_of, architecture: str):
    from xrealign.model.encoder import load_encoder

    attention = "eager" if architecture == "deberta-v2" else "sdpa"  # transformers has no other for DeBERTa
    return load_encoder(str(folder_of(architecture)), attention=attention)


@pytest.fixture
def tiny_encoder(request, tiny_folders):
    """A tiny encoder freshly loaded; a BERT unless parametrised indirectly with another architecture."""
    return _load(tiny_folders, getattr(request, "param", "bert"))


@pytest.fixture(params=ARCHITECTURES)
def any_tiny_encoder(request, tiny_folders):
    """A tiny encoder of each architecture in turn, freshly loaded."""
    return _load(tiny_folders, request.param)


@pytest.fixture(scope="session")
def starter(session_cache) -> Path:
    """The starter encoder's folder."""
    from xrealign.model.starter import starter_folder

    return starter_folder()
