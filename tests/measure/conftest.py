"""A tiny random decoder of the Llama kind, saved as a causal language model."""

from __future__ import annotations

import copy

import pytest


@pytest.fixture(scope="session")
def tiny_decoders(tmp_path_factory, tiny_tokenizer):
    """Folders of one decoder, with a pad subword (True) and without (False)."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, initializer_range=0.1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    folders = {}
    for padded in (True, False):
        folders[padded] = tmp_path_factory.mktemp("tiny-llama")
        model.save_pretrained(folders[padded])
        tokenizer = copy.deepcopy(tiny_tokenizer)
        if not padded:
            tokenizer.pad_token = None
        tokenizer.save_pretrained(folders[padded])
    return folders
