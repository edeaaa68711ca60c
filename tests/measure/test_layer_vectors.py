"""Vectors of all layers in one pass, against one sentence at a time and what transformers itself returns."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import load_encoder
from xrealign.model.layer_vectors import (
    is_decoder,
    load_model,
    neuron_layers,
    sentence_layers,
    word_layers,
    words_read,
)
from xrealign.segment import spans_by_blanks

TEXTS = ["Everyone has the right to life.", "Jeder", "Kila mtu ana haki ya kuishi, uhuru na usalama", "सभी मनुष्यों को"]


@pytest.fixture(params=["bert", "llama"])
def model(request, tiny_folders, tiny_decoders):
    return load_model(str(tiny_folders("bert") if request.param == "bert" else tiny_decoders[True]))


def states_of(encoder, text):
    """hidden_states of one sentence, (layers + 1, T, D)."""
    encoded = encoder.tokenizer(text, return_tensors="pt")
    inputs = {key: encoded[key] for key in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        return torch.stack(encoder.model(**inputs, output_hidden_states=True).hidden_states)[:, 0].numpy()


def test_sentences_at_every_layer(model):
    layers = range(model.layers + 1)
    found = {how: sentence_layers(model, TEXTS, layers, pooling=how) for how in ("mean", "weighted", "last")}
    for row, text in enumerate(TEXTS):
        states = states_of(model, text)
        place = np.arange(1, states.shape[1] + 1)
        wanted = {
            "mean": states.mean(axis=1),
            "weighted": (states * place[:, None]).sum(axis=1) / place.sum(),
            "last": states[:, -1],
        }
        for how, vectors in wanted.items():
            for layer in layers:
                np.testing.assert_allclose(found[how][layer][row], vectors[layer], atol=2e-5, err_msg=f"{how} {layer}")
    with pytest.raises(ConfigError, match="sentence pooling 'median' is unknown"):
        sentence_layers(model, TEXTS, [0], pooling="median")


def test_words_at_every_layer(model):
    spans = [spans_by_blanks(text) for text in TEXTS]
    wanted = np.array([[0, 1], [0, 6], [2, 0], [3, 2], [0, 3]])
    layers = [0, 2, model.layers]
    found, there = word_layers(model, TEXTS, spans, wanted, layers, subwords_per_batch=20)
    assert there.all()
    for row, (sentence, word) in enumerate(wanted.tolist()):
        start, end = spans[sentence][word]
        offsets = model.tokenizer(TEXTS[sentence], return_offsets_mapping=True)["offset_mapping"]
        inside = [n for n, (a, b) in enumerate(offsets) if b > a and start <= b - 1 < end]
        states = states_of(model, TEXTS[sentence])
        for layer in layers:
            np.testing.assert_allclose(found[layer][row], states[layer][inside].mean(axis=0), atol=2e-5)
    first, _ = word_layers(model, TEXTS, spans, wanted[:1], [0], pooling="first")
    assert not np.allclose(first[0], found[0][:1])


def test_words_that_truncation_cuts_off_are_told(model):
    spans = [spans_by_blanks(text) for text in TEXTS]
    wanted = np.array([[2, 0], [2, 8], [1, 0]])
    found, there = word_layers(model, TEXTS, spans, wanted, [1], max_length=8)
    assert there.tolist() == [True, False, True]
    assert not found[1][1].any()
    assert words_read(str(model.folder), TEXTS, spans, wanted, 8).tolist() == [True, False, True]
    assert words_read(str(model.folder), TEXTS, spans, wanted, 128).all()


def test_neurons_fire_where_their_input_is_above_zero(model):
    """SiLU and GELU keep the sign: a neuron fires where the linear layer before it is positive."""
    linears = {
        name: module
        for name, module in model.model.named_modules()
        if name.endswith(("intermediate.dense", "mlp.gate_proj"))
    }
    assert len(linears) == model.layers
    found = neuron_layers(model, TEXTS, range(model.layers + 1), subwords_per_batch=30)
    assert sorted(found) == list(range(1, model.layers + 1))
    for row, text in enumerate(TEXTS):
        seen = []

        def see(_module, _args, out, seen=seen):
            seen.append(out[0].numpy() > 0)

        hooks = [linear.register_forward_hook(see) for linear in linears.values()]
        states_of(model, text)
        for hook in hooks:
            hook.remove()
        for layer in found:
            assert found[layer].shape == (len(TEXTS), model.model.config.intermediate_size)
            np.testing.assert_allclose(found[layer][row], seen[layer - 1].mean(axis=0), atol=1e-6)


def test_every_architecture_has_neurons(any_tiny_encoder):
    found = neuron_layers(any_tiny_encoder, TEXTS[:2], [1, 4])
    for shares in found.values():
        assert shares.shape == (2, 64)
        assert 0 < shares.mean() < 1


def test_decoders_are_told_from_encoders(tiny_decoders, any_tiny_encoder):
    assert is_decoder(load_model(str(tiny_decoders[True])))
    assert not is_decoder(any_tiny_encoder)


def test_a_tokenizer_without_pad_is_padded_with_the_end(tiny_decoders):
    with pytest.raises(ArtifactError, match="no pad token"):
        load_encoder(str(tiny_decoders[False]))
    padded, bare = (sentence_layers(load_model(str(tiny_decoders[which])), TEXTS, [0, 3]) for which in (True, False))
    for layer in (0, 3):
        np.testing.assert_allclose(padded[layer], bare[layer], atol=1e-6)


def test_other_faults_are_still_errors(tmp_path):
    with pytest.raises(ArtifactError, match=r"config\.json"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("padded", [True, False])
def test_a_decoder_with_a_weight_that_is_no_number_is_refused(tiny_decoders, tmp_path, padded):
    folder = shutil.copytree(tiny_decoders[padded], tmp_path / "decoder")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"up_proj\.weight' has 1 of [\d,]+ values that are not finite"):
        load_model(str(folder))


def test_vectors_that_are_no_numbers_are_not_measured(model):
    """Weights that are numbers, and too large: what is made of them is not."""
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if ".1." in name and weight.dim() == 2:
                weight.fill_(3e38)
    spans, wanted = [spans_by_blanks(text) for text in TEXTS], np.array([[0, 1], [2, 0]])
    with pytest.raises(ArtifactError, match="vectors that are not finite of 4 of 4 texts, the first 'Everyone"):
        sentence_layers(model, TEXTS, [0, 3])
    with pytest.raises(ArtifactError, match=r"word vectors: .* not finite of 2 of 2 texts, the first 'Everyone"):
        word_layers(model, TEXTS, spans, wanted, [0, 3])
    with pytest.raises(ArtifactError, match=r"neurons: .* not finite of 4 of 4 texts"):
        neuron_layers(model, TEXTS, [3])
    assert sentence_layers(model, TEXTS, [1])[1].any()  # below the fault all is well


def test_longer_texts_than_the_encoder_reads_are_refused(tiny_folders):
    model, spans = load_model(str(tiny_folders("xlm-roberta"))), [spans_by_blanks(text) for text in TEXTS]
    for call in (
        lambda most: sentence_layers(model, TEXTS, [1], most),
        lambda most: word_layers(model, TEXTS, spans, np.array([[0, 1]]), [1], most),
        lambda most: neuron_layers(model, TEXTS, [1], most),
    ):
        call(512)
        with pytest.raises(ConfigError, match="max_length = 513: the encoder has 512 positions"):
            call(513)
