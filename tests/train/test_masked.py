"""MLM and TLM: what is masked and how often, joined pairs as the tokenizer's own, the loss against transformers', the
head found, refused, tied and shrunk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.errors import ConfigError
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.model.words import encode_texts, make_batch
from xrealign.segment import spans_by_blanks
from xrealign.train.masked import (
    MaskedStream,
    MaskSettings,
    TranslationStream,
    join_pairs,
    mask_batch,
    masked_loss,
    pair_form,
    subwords_of,
)
from xrealign.train.masked_head import compact_masked, expand_masked, masked_model

WITH_HEAD = ("bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert")


@pytest.fixture(scope="session")
def masked_folders(tmp_path_factory, tiny_folders, tiny_tokenizer):
    """Folder of a tiny random masked language model by architecture."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    made = {}

    def folder_of(architecture):
        if architecture not in made:
            folder = tmp_path_factory.mktemp(f"masked-{architecture}")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(tiny_folders(architecture)))
                # A new head's bias is zero everywhere, which would hide a wrong row.
                torch.nn.init.normal_(model.get_output_embeddings().bias)
            model.save_pretrained(folder)
            tiny_tokenizer.save_pretrained(folder)
            made[architecture] = folder
        return made[architecture]

    return folder_of


def loaded(masked_folders, architecture):
    attention = "eager" if architecture == "deberta-v2" else "sdpa"
    encoder = load_encoder(str(masked_folders(architecture)), attention=attention)
    return encoder, masked_model(encoder)


@pytest.fixture(scope="session")
def encoded(tiny_tokenizer, udhr_lines):
    """English and Swahili articles with their words."""
    sides = [udhr_lines[tag][:12] for tag in ("eng_Latn", "swh_Latn")]
    return [encode_texts(tiny_tokenizer, lines, 64, [spans_by_blanks(line) for line in lines]) for lines in sides]


def test_shares_and_fates_are_as_asked(encoded, tiny_tokenizer):
    subwords = subwords_of(tiny_tokenizer)
    batch = make_batch([(encoded[0], np.arange(12)), (encoded[1], np.arange(12))], 1)
    before = batch.inputs["input_ids"].reshape(-1).numpy()
    chosen = masked = same = 0
    for step in range(60):
        made = mask_batch(batch, MaskSettings(), subwords, np.random.default_rng(step))
        now = made.inputs["input_ids"].reshape(-1).numpy()
        places = made.places.numpy()
        assert np.array_equal(made.labels.numpy(), before[places])
        assert np.array_equal(np.delete(now, places), np.delete(before, places))  # nothing else was touched
        assert not np.isin(before[places], subwords.special).any()
        assert (np.diff(places) > 0).all()
        chosen += len(places)
        masked += int((now[places] == subwords.mask).sum())
        same += int((now[places] == before[places]).sum())
    open_ = 60 * int((~np.isin(before[batch.positions.numpy()], subwords.special)).sum())
    # Five standard deviations of a binomial share.
    for count, out_of, share in ((chosen, open_, 0.15), (masked, chosen, 0.8), (same, chosen, 0.1)):
        assert abs(count / out_of - share) < 5 * (share * (1 - share) / out_of) ** 0.5 + 0.002
    assert "<unk>" in tiny_tokenizer.convert_ids_to_tokens(subwords.special.tolist())


def test_whole_words(encoded, tiny_tokenizer):
    batch = make_batch([(encoded[0], np.arange(12))], 1)
    subwords = subwords_of(tiny_tokenizer)
    asked = MaskSettings(whole_words=True, masked=1.0, random=0.0)
    made = mask_batch(batch, asked, subwords, np.random.default_rng(0))
    chosen = np.isin(batch.positions.numpy(), made.places.numpy())
    open_ = ~np.isin(batch.inputs["input_ids"].reshape(-1).numpy()[batch.positions.numpy()], subwords.special)
    by_word = [set(chosen[(batch.segments.numpy() == word) & open_]) for word in range(len(batch.sizes))]
    assert all(len(fates) <= 1 for fates in by_word)  # all subwords of a word, or none
    assert {True} in by_word
    assert {False} in by_word
    assert (made.inputs["input_ids"].reshape(-1)[made.places] == subwords.mask).all()


@settings(max_examples=20, deadline=None)
@given(share=st.floats(1e-6, 1.0), seed=st.integers(0, 1000), whole=st.booleans())
def test_at_least_one_place_and_all_when_asked(encoded, tiny_tokenizer, share, seed, whole):
    batch = make_batch([(encoded[0], np.array([seed % 12]))], 1)
    subwords = subwords_of(tiny_tokenizer)
    made = mask_batch(batch, MaskSettings(share=share, whole_words=whole), subwords, np.random.default_rng(seed))
    again = mask_batch(batch, MaskSettings(share=share, whole_words=whole), subwords, np.random.default_rng(seed))
    assert torch.equal(made.inputs["input_ids"], again.inputs["input_ids"])
    assert len(made.places) >= 1
    every = mask_batch(batch, MaskSettings(share=1.0), subwords, np.random.default_rng(seed))
    ids = batch.inputs["input_ids"].reshape(-1).numpy()[batch.positions.numpy()]
    assert len(every.places) == (~np.isin(ids, subwords.special)).sum()


def test_impossible_shares_are_refused():
    with pytest.raises(ConfigError, match="mask share 0"):
        MaskSettings(share=0)
    with pytest.raises(ConfigError, match="add up to 1"):
        MaskSettings(masked=0.9, random=0.2)


def test_streams_are_functions_of_seed_and_step(encoded, tiny_tokenizer):
    plan = np.arange(12).reshape(3, 4)
    subwords, form = subwords_of(tiny_tokenizer), pair_form(tiny_tokenizer)

    def streams(seed):
        return (
            MaskedStream(encoded, plan, 1, subwords, MaskSettings(), seed),
            TranslationStream(*encoded, plan, 1, form, subwords, MaskSettings(), seed),
        )

    for one, same, other in zip(streams(1), streams(1), streams(2), strict=True):
        late, first = one(2), one(0)
        assert torch.equal(same(0).inputs["input_ids"], first.inputs["input_ids"])
        assert torch.equal(same(2).places, late.places)
        assert not torch.equal(other(0).places, first.places)


def strip_case(tokenizer, src, tgt):
    return [tokenizer(a, b)["input_ids"] for a, b in zip(src, tgt, strict=True)]


@pytest.mark.parametrize("style", ["xlm-r", "bert"])
def test_joined_pairs_are_the_tokenizers_own(tiny_tokenizer, udhr_lines, style):
    import copy

    from tokenizers import processors

    tokenizer = copy.deepcopy(tiny_tokenizer)
    if style == "bert":
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
    src, tgt = udhr_lines["eng_Latn"][:6], udhr_lines["swh_Latn"][:6]
    spans = [[spans_by_blanks(line) for line in side] for side in (src, tgt)]
    one, other = (encode_texts(tokenizer, side, 512, span) for side, span in zip((src, tgt), spans, strict=True))
    form = pair_form(tokenizer)
    assert form.between.tolist() == ([2] if style == "xlm-r" else [])
    rows = np.arange(6)
    joined = join_pairs(one, rows, other, rows, form)
    for row, expected in enumerate(strip_case(tokenizer, src, tgt)):
        start, end = joined.offsets[row : row + 2]
        assert joined.ids[start:end].tolist() == expected
        words = joined.words[start:end]
        assert words.max() == len(spans[0][row]) + len(spans[1][row]) - 1
        # The words' subwords are those of the sentences, the second's numbered on.
        second = words[words >= len(spans[0][row])] - len(spans[0][row])
        own = other.words[other.offsets[row] : other.offsets[row + 1]]
        assert np.array_equal(second, own[own >= 0])
    crossed = join_pairs(one, np.array([2]), other, np.array([5]), form)
    assert crossed.ids.tolist() == tokenizer(src[2], tgt[5])["input_ids"]


def test_tlm_masks_one_side_of_each_copy(encoded, tiny_tokenizer):
    plan = np.arange(12).reshape(3, 4)
    stream = TranslationStream(
        *encoded, plan, 1, pair_form(tiny_tokenizer), subwords_of(tiny_tokenizer), MaskSettings(share=1.0, masked=1.0,
                                                                                               random=0.0), 0
    )  # fmt: skip
    mask, blank = tiny_tokenizer.convert_tokens_to_ids(["<mask>", "▁"])
    ids = stream(1).inputs["input_ids"]
    assert ids.shape[0] == 8
    for row in range(4):
        first, second = ids[row].tolist(), ids[row + 4].tolist()
        cut = first.index(2)  # the end of the first sentence
        assert second.index(2) == cut
        assert mask in first[:cut]
        assert mask not in first[cut:]
        assert mask not in second[:cut]
        assert mask in second[cut:]
        assert set(first[1:cut]) <= {mask, 3, blank}  # all masked but unknown ones and marks that are no word's
    both = TranslationStream(
        *encoded, plan, 1, pair_form(tiny_tokenizer), subwords_of(tiny_tokenizer), MaskSettings(), 0, apart=False
    )
    assert both(1).inputs["input_ids"].shape[0] == 4
    orders = {tuple(stream(step).inputs["input_ids"][:4, 0].tolist()) for step in range(3)}
    assert orders == {(0, 0, 0, 0)}


@pytest.mark.parametrize("architecture", WITH_HEAD)
def test_loss_is_transformers_own_on_all_scores(masked_folders, encoded, tiny_tokenizer, architecture):
    """Scores at the masked places alone, with the vocabulary whole and shrunk to all of it, against transformers'
    loss on (S, T, V) scores."""
    encoder, model = loaded(masked_folders, architecture)
    subwords = subwords_of(tiny_tokenizer)
    batch = mask_batch(make_batch([(encoded[0], np.arange(6))], 1), MaskSettings(), subwords, np.random.default_rng(0))
    labels = torch.full_like(batch.inputs["input_ids"], -100)
    labels.view(-1)[batch.places] = batch.labels
    expected = model(**batch.inputs, labels=labels).loss
    assert torch.allclose(masked_loss(model, batch), expected, rtol=1e-5)
    assert model.base_model is encoder.model
    everything = np.arange(len(tiny_tokenizer))
    compact_masked(model, [everything])
    assert torch.allclose(masked_loss(model, batch), expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", WITH_HEAD)
def test_shrunk_vocabulary_is_the_softmax_over_its_subwords(masked_folders, encoded, tiny_tokenizer, architecture):
    encoder, model = loaded(masked_folders, architecture)
    used = np.unique(np.concatenate([encoded[0].ids, subwords_of(tiny_tokenizer).special]))
    subwords = subwords_of(tiny_tokenizer, [encoded[0].ids])
    batch = mask_batch(make_batch([(encoded[0], np.arange(6))], 1), MaskSettings(), subwords, np.random.default_rng(0))
    scores = model(**batch.inputs).logits.reshape(-1, len(tiny_tokenizer))[batch.places]
    kept = torch.from_numpy(used.astype(np.int64))
    expected = (torch.logsumexp(scores[:, kept], 1) - scores.gather(1, batch.labels[:, None])[:, 0]).mean()
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    whole = {name: p.detach().clone() for name, p in model.named_parameters()}
    compact = compact_masked(model, [used])
    loss = masked_loss(model, batch)
    assert torch.allclose(loss, expected, rtol=1e-5)
    loss.backward()
    assert (model.get_output_embeddings().weight is compact.weight) == tied
    assert len(compact.weight) == len(used)
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p += 1.0
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    expand_masked(model)
    after = dict(model.named_parameters())
    assert after.keys() == whole.keys()
    embeddings = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    bias = id(model.get_output_embeddings().bias)
    for name, p in after.items():
        if id(p) in embeddings or id(p) == bias:
            expected_rows = whole[name].clone()
            expected_rows[kept] += 1.0
            assert torch.equal(p, expected_rows), name
        else:
            assert torch.equal(p, whole[name] + float(name in learnt)), name
    assert len(learnt) > 20
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    assert encoder.model.get_input_embeddings() is model.get_input_embeddings()


def test_gradients_with_all_rows_kept_are_those_of_the_whole_model(masked_folders, encoded, tiny_tokenizer):
    batch = mask_batch(
        make_batch([(encoded[0], np.arange(4))], 1), MaskSettings(), subwords_of(tiny_tokenizer),
        np.random.default_rng(0),
    )  # fmt: skip
    found = []
    for shrink in (False, True):
        _, model = loaded(masked_folders, "xlm-roberta")
        if shrink:
            compact_masked(model, [np.arange(len(tiny_tokenizer))])
        masked_loss(model, batch).backward()
        found.append(model.get_input_embeddings().weight.grad.clone())
    assert torch.allclose(found[0], found[1], atol=1e-7)


def test_no_place_at_all_gives_zero(masked_folders, encoded, tiny_tokenizer):
    _, model = loaded(masked_folders, "bert")
    batch = make_batch([(encoded[0], np.arange(2))], 1)
    none = np.zeros(len(batch.positions), dtype=bool)
    made = mask_batch(batch, MaskSettings(), subwords_of(tiny_tokenizer), np.random.default_rng(0), none)
    loss = masked_loss(model, made)
    loss.backward()
    assert loss.item() == 0.0


def test_training_lowers_the_loss_and_the_head_stays_out_of_the_encoder(masked_folders, encoded, tmp_path):
    encoder, model = loaded(masked_folders, "xlm-roberta")
    subwords = subwords_of(encoder.tokenizer)
    stream = MaskedStream([encoded[0]], np.tile(np.arange(4), (16, 1)), 1, subwords, MaskSettings(), 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(16):
        loss = masked_loss(model, stream(step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.5
    save_encoder(encoder, tmp_path / "out")
    again = load_encoder(str(tmp_path / "out"))
    trained = dict(encoder.model.named_parameters())
    assert {n for n, _ in again.model.named_parameters()} == trained.keys()
    assert all(torch.equal(p, trained[n]) for n, p in again.model.named_parameters())
    with pytest.raises(ConfigError, match="has none"):
        masked_model(again)


def test_encoders_without_a_head_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match="masked-language-model head") as error:
        masked_model(tiny_encoder)
    assert "xlm-roberta-base" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_starter_has_no_head(starter):
    with pytest.raises(ConfigError, match="has none"):
        masked_model(load_encoder(str(starter)))
