"""A prompt in five architectures: against subwords put in front by hand, against PEFT, and through a folder."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.model.layers import find_blocks, hidden_state, hidden_states, states_above, trainable_names
from xrealign.model.parts import parts_of
from xrealign.model.prompt import FILE, VECTORS, add_prompt, prompt_length
from xrealign.model.vectors import sentence_vectors

TEXTS = ["Everyone has the right to life.", "Jeder hat das Recht auf Leben", "", "सभी मनुष्यों को गौरव और अधिकारों"]
# DistilBERT says them in words that PEFT does not know.
SIZES = {"token_dim": 32, "num_layers": 4, "num_attention_heads": 4}
SUBWORDS = torch.tensor([40, 7, 300, 40, 12])


def inputs_of(encoder):
    encoded = encoder.tokenizer(TEXTS, padding=True, return_tensors="pt")
    return {key: encoded[key] for key in ("input_ids", "attention_mask")}


def with_subwords(inputs):
    """The same texts with the subwords in front."""
    count = len(TEXTS)
    ids = torch.cat([SUBWORDS.expand(count, -1), inputs["input_ids"]], dim=1)
    mask = torch.cat([torch.ones(count, len(SUBWORDS), dtype=torch.long), inputs["attention_mask"]], dim=1)
    return {"input_ids": ids, "attention_mask": mask}


def prompt_of(encoder):
    return encoder.model.get_input_embeddings().weight[SUBWORDS].detach()


def test_embeddings_of_subwords_are_a_prompt_like_the_subwords(any_tiny_encoder):
    """At every layer, whichever way it is read; and the prompt leaves nothing behind in the blocks."""
    encoder = any_tiny_encoder
    inputs = inputs_of(encoder)
    mask = inputs["attention_mask"].bool()
    with torch.inference_mode():
        long = encoder.model(**with_subwords(inputs), output_hidden_states=True)
        plain = hidden_state(encoder.model, 4, inputs)
        wanted = [state[:, len(SUBWORDS) :] for state in long.hidden_states]
        add_prompt(encoder.model, prompt_of(encoder))
        assert prompt_length(encoder.model) == 5
        given = encoder.model(**inputs, output_hidden_states=True)
        assert given.last_hidden_state.shape == plain.shape
        together = hidden_states(encoder.model, range(5), inputs)
        for layer, state in enumerate(wanted):
            for ours in (hidden_state(encoder.model, layer, inputs), together[layer], given.hidden_states[layer]):
                torch.testing.assert_close(ours[mask], state[mask], rtol=0, atol=2e-6, msg=f"layer {layer}")
        torch.testing.assert_close(given.last_hidden_state[mask], wanted[-1][mask], rtol=0, atol=2e-6)
        assert (given.last_hidden_state - plain)[mask].abs().max() > 1e-3
    for block in find_blocks(encoder.model):
        assert not block._forward_pre_hooks, "a hook was left behind"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # PEFT's own
def test_it_is_what_peft_makes_of_it(any_tiny_encoder):
    peft = pytest.importorskip("peft")
    encoder = any_tiny_encoder
    inputs = inputs_of(encoder)
    mask = inputs["attention_mask"].bool()
    vectors = torch.randn(6, 32, generator=torch.Generator().manual_seed(5))
    config = peft.PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=6, **SIZES)
    theirs = peft.PeftModelForFeatureExtraction(copy.deepcopy(encoder.model), config).eval()
    with torch.inference_mode():
        theirs.prompt_encoder["default"].embedding.weight.copy_(vectors)
        wanted = theirs(**inputs).last_hidden_state[:, 6:]
        add_prompt(encoder.model, vectors)
        ours = encoder.model(**inputs).last_hidden_state
    torch.testing.assert_close(ours[mask], wanted[mask], rtol=0, atol=2e-6)


def test_padding_and_neighbours_change_nothing(any_tiny_encoder):
    encoder = any_tiny_encoder
    add_prompt(encoder.model, prompt_of(encoder))
    together = sentence_vectors(encoder, TEXTS, 4)
    for text, vector in zip(TEXTS, together, strict=True):
        assert abs(sentence_vectors(encoder, [text], 4)[0] - vector).max() < 5e-6


def test_a_training_batch_in_parts_is_the_whole_batch(tiny_encoder):
    add_prompt(tiny_encoder.model, prompt_of(tiny_encoder))
    inputs = {name: part.repeat(8, 1) for name, part in inputs_of(tiny_encoder).items()}
    mask = inputs["attention_mask"].bool()
    whole = hidden_state(tiny_encoder.model, 4, inputs)
    tiny_encoder.model.train()
    for module in tiny_encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert parts_of(tiny_encoder.model, inputs)
    parts = hidden_states(tiny_encoder.model, [4], inputs)[4]
    torch.testing.assert_close(parts[mask], whole[mask], rtol=0, atol=5e-6)


@pytest.mark.parametrize("tiny_encoder", ["bert", "xlm-roberta"], indirect=True)
def test_segments_and_the_pooler_are_those_of_the_text(tiny_encoder):
    inputs = inputs_of(tiny_encoder)
    kinds = torch.zeros_like(inputs["input_ids"])
    if tiny_encoder.model.config.type_vocab_size > 1:
        kinds[:, 3:] = 1
    long_kinds = torch.cat([torch.zeros(len(TEXTS), 5, dtype=torch.long), kinds], dim=1)
    with torch.inference_mode():
        long = tiny_encoder.model(**with_subwords(inputs), token_type_ids=long_kinds).last_hidden_state[:, 5:]
        add_prompt(tiny_encoder.model, prompt_of(tiny_encoder))
        given = tiny_encoder.model(inputs["input_ids"], inputs["attention_mask"], token_type_ids=kinds)
        mask = inputs["attention_mask"].bool()
        torch.testing.assert_close(given.last_hidden_state[mask], long[mask], rtol=0, atol=2e-6)
        pooler = tiny_encoder.model.pooler
        assert torch.equal(given.pooler_output, torch.tanh(pooler.dense(given.last_hidden_state[:, 0])))


def test_a_folder_keeps_it_beside_the_encoder(any_tiny_encoder, tmp_path):
    encoder = any_tiny_encoder
    attention = encoder.model.config._attn_implementation
    inputs = inputs_of(encoder)
    with torch.inference_mode():
        plain = encoder.model(**inputs).last_hidden_state
        add_prompt(encoder.model, prompt_of(encoder) * 3)
        wanted = encoder.model(**inputs).last_hidden_state
        save_encoder(encoder, tmp_path / "saved", base=encoder.folder)
        again = load_encoder(str(tmp_path / "saved"), attention=attention)
        assert torch.equal(again.model.prompt_embeddings.vectors, prompt_of(encoder) * 3)
        assert torch.equal(again.model(**inputs).last_hidden_state, wanted)
        own = AutoModel.from_pretrained(tmp_path / "saved", attn_implementation=attention)
        assert torch.equal(own(**inputs).last_hidden_state, plain)
    assert {n for n, _ in again.model.named_parameters()} - {n for n, _ in own.named_parameters()} == {VECTORS}
    assert VECTORS not in trainable_names(again.model, "front")
    assert VECTORS in trainable_names(again.model, "none")


def test_what_cannot_be_is_refused(tiny_encoder, tmp_path):
    model, inputs = tiny_encoder.model, inputs_of(tiny_encoder)
    add_prompt(model, torch.zeros(500, 32))
    with pytest.raises(ConfigError, match="has a prompt already"):
        add_prompt(model, torch.zeros(2, 32))
    with pytest.raises(ConfigError, match=r"texts of 13 subwords .* 512 positions"):
        sentence_vectors(tiny_encoder, TEXTS, 1, max_length=13)
    with pytest.raises(ConfigError, match=r"500 vectors before texts of \d+ .* 512 positions .*: max_length may be 12"):
        model(**inputs)
    save_encoder(tiny_encoder, tmp_path / "saved")
    assert prompt_length(load_encoder(str(tmp_path / "saved")).model) == 500
    for tensors, told in (({"vectors": torch.zeros(3, 31)}, r"shape \(3, 31\); expected finite ones, \(any, 32\)"),
                          ({"vectors": torch.full((3, 32), torch.nan)}, "expected finite ones"),
                          ({"vectors": torch.zeros(3, 32, dtype=torch.int64)}, r"is no prompt .*torch\.int64"),
                          ({"vectors": torch.full((3, 32), torch.nan).to(torch.float8_e5m2)}, "expected finite ones"),
                          ({"x": torch.zeros(3, 32)}, "is no prompt saved by xrealign")):  # fmt: skip
        save_file(tensors, tmp_path / "saved" / FILE)
        with pytest.raises(ArtifactError, match=told):
            load_encoder(str(tmp_path / "saved"))
    (tmp_path / "saved" / FILE).write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match=r"is no prompt saved by xrealign|is not safetensors"):
        load_encoder(str(tmp_path / "saved"))


def test_positions_and_fronts_are_its_own(tiny_encoder):
    model, inputs = tiny_encoder.model, inputs_of(tiny_encoder)
    add_prompt(model, torch.zeros(2, 32))
    with pytest.raises(ConfigError, match="counts positions itself"):
        model(**inputs, position_ids=torch.arange(inputs["input_ids"].shape[1])[None])
    with pytest.raises(ConfigError, match="by names alone"):
        model(**inputs, return_dict=False)
    with pytest.raises(ConfigError, match="leave out front_cache"):
        states_above(model, 2, hidden_state(model, 2, inputs), inputs, [4])


def test_an_encoder_that_takes_no_embeddings_has_none():
    class Plain(torch.nn.Module):
        def forward(self, input_ids, attention_mask=None):
            return input_ids

    with pytest.raises(ConfigError, match="Plain takes no embeddings in the place of subwords"):
        add_prompt(Plain(), torch.zeros(2, 4))
