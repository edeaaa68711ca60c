"""What does not fit: pairs longer than the encoder reads, and steps that are begun again with a queue behind them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, BertConfig, CamembertConfig, XLMRobertaConfig

import xrealign.train.loop as loop
import xrealign.train.step_gradients as gradients
from xrealign.align.aligned import AlignedTexts
from xrealign.errors import ArtifactError
from xrealign.model.encoder import load_encoder
from xrealign.model.positions import positions_in, positions_of
from xrealign.segment import spans_by_blanks
from xrealign.train.realign import RealignSettings, realign
from xrealign.train.realign_settings import cut_to_fit

SETTINGS = RealignSettings(steps=2, batch_size=4, learning_rate=1e-3, freeze="none", watch="off")


@pytest.fixture(scope="module")
def long_pairs(udhr_lines):
    """Segments of 20 subwords and more in English and Swahili."""
    src, tgt = udhr_lines["eng_Latn"][:8], udhr_lines["swh_Latn"][:8]
    spans = [[spans_by_blanks(text) for text in side] for side in (src, tgt)]
    links = [np.array([[0, 0], [1, 1]], dtype=np.int32)] * 8
    return AlignedTexts([str(n) for n in range(8)], ["swh_Latn"] * 8, src, tgt, *spans, links)


@pytest.fixture(scope="module")
def short_sighted(tiny_folders, tmp_path_factory):
    """An encoder with its head that reads 40 subwords."""
    folder = tmp_path_factory.mktemp("short")
    tiny = load_encoder(str(tiny_folders("bert")))
    config = BertConfig.from_pretrained(tiny.folder, max_position_embeddings=40)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("name", "most"), [("dap", 20), ("xlm_align", 20), ("tlm", 19)])
def test_pairs_that_are_read_as_one_text_are_cut_and_counted(short_sighted, long_pairs, tmp_path, capsys, name, most):
    settings = dataclasses.replace(SETTINGS, objective=name, max_length=38, settings={"label_layer": 2})
    facts = realign(load_encoder(str(short_sighted)), long_pairs, settings, tmp_path / "a", 3)
    assert facts["max_length"] == most
    assert np.isfinite(facts["history"][-1][name])
    assert f"each is cut at {most} subwords, not at max_length = 38" in capsys.readouterr().err
    alone = dataclasses.replace(settings, objective="sentence")
    told = realign(load_encoder(str(short_sighted)), long_pairs, alone, tmp_path / "b", 3)
    assert told["max_length"] == 38
    assert facts["cut_words"] > told["cut_words"]


def test_how_much_an_encoder_reads():
    assert positions_of(BertConfig(max_position_embeddings=512)) == 512
    assert positions_of(XLMRobertaConfig(max_position_embeddings=514, pad_token_id=1)) == 512
    assert positions_of(CamembertConfig(max_position_embeddings=514, pad_token_id=1)) == 512
    settings = dataclasses.replace(SETTINGS, objective="dap", max_length=256)
    assert cut_to_fit(settings, 512) is settings
    assert cut_to_fit(settings, None) is settings
    assert cut_to_fit(dataclasses.replace(settings, objective={"dap": 1.0, "tlm": 1.0}), 512).max_length == 255
    assert cut_to_fit(dataclasses.replace(settings, objective="word"), 40).max_length == 256


def test_how_much_a_folder_reads_is_what_its_model_reads(any_tiny_encoder, tmp_path):
    folder, most = any_tiny_encoder.folder, positions_of(any_tiny_encoder.model.config)
    assert positions_in(folder) == most == 512
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for key, wanted in (("max_position_embeddings", positions_of(type(any_tiny_encoder.model.config)())),
                        ("pad_token_id", most)):  # fmt: skip
        left = {name: value for name, value in config.items() if name != key}
        (tmp_path / "config.json").write_text(json.dumps(left), "utf-8")
        assert positions_in(tmp_path) == wanted, key
    (tmp_path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": "many"}), "utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json"):
        positions_in(tmp_path)


@pytest.mark.parametrize("beside", [{}, {"sentence": 1.0}])
def test_a_step_begun_again_is_queued_once(tiny_encoder_folder, aligned, tmp_path, monkeypatch, beside):
    """The memory runs out after the loss of the second step, when its keys are there already."""

    def trained(out, fails):
        encoder, count = load_encoder(str(tiny_encoder_folder)), [0]
        for module in encoder.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for block in encoder.model.encoder.layer:
            block.attention.self.dropout.p = 0.0
        place = "_shared_gradient" if beside else "_gradient"
        real = getattr(gradients, place)

        def too_large(*args):
            count[0] += 1
            found = real(*args)
            if count[0] == 2 and fails:
                raise torch.OutOfMemoryError
            return found

        monkeypatch.setattr(gradients, place, too_large)
        told = {"steps": 3, "layer": 3, "checkpoint_every": 2, "settings": {"queue": 100, "momentum": 0.9}}
        settings = dataclasses.replace(SETTINGS, objective={"infoxlm": 1.0} | beside, **told)
        facts = realign(encoder, aligned, settings, out, 3)
        monkeypatch.setattr(gradients, place, real)
        assert ("parts" in facts["history"][-1]) == fails
        return load_file(out / "step-00000002" / "state.safetensors")

    smooth, again = trained(tmp_path / "a", False), trained(tmp_path / "b", True)
    queue, slow = "buffer.heads.infoxlm.queue.", "buffer.heads.infoxlm.slow."
    assert int(smooth[queue + "filled"]) == int(again[queue + "filled"]) == 16  # two steps, four pairs, both sides
    for name, tensor in smooth.items():
        if name.startswith((queue, slow)) and "key/bias" not in name:
            torch.testing.assert_close(again[name], tensor, rtol=1e-4, atol=1e-5)
    assert sum(name.startswith(slow) for name in smooth) > 10


def test_a_step_that_is_left_out_leaves_queue_and_copy_alone(tiny_encoder_folder, aligned, tmp_path, monkeypatch):
    """All that a checkpoint holds is after the second step, whose loss is no number, what it was after the first."""
    real = gradients._gradient

    def spoilt(model, phase, objective, step, *rest):
        found = real(model, phase, objective, step, *rest)
        if step == 1:
            objective.remember.__self__.heads["queue"].pending.fill_(float("nan"))
            return found * float("nan")
        return found

    states, save = [], loop.save_checkpoint

    def kept(folder, step, *rest):
        save(folder, step, *rest)
        states.append(load_file(max(folder.glob("step-*")) / "state.safetensors"))

    monkeypatch.setattr(gradients, "_gradient", spoilt)
    monkeypatch.setattr(loop, "save_checkpoint", kept)
    told = {"steps": 3, "layer": 3, "checkpoint_every": 1, "settings": {"queue": 100, "momentum": 0.9}}
    settings = dataclasses.replace(SETTINGS, objective="infoxlm", **told)
    realign(load_encoder(str(tiny_encoder_folder)), aligned, settings, tmp_path, 3)
    first, second = states
    assert any(name.startswith("buffer.heads.infoxlm.queue.") for name in first)
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []
