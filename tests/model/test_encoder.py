"""Encoders on disk: what is loaded, what is refused, and that what is saved is what others load."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, CLIPConfig, ViTConfig

from xrealign.errors import ArtifactError, ConfigError
from xrealign.model.encoder import (
    embeddings_name,
    encoder_digest,
    folder_digest,
    load_encoder,
    save_encoder,
)
from xrealign.model.folder import INDEX, SHARDS
from xrealign.model.resolve import resolve_encoder
from xrealign.model.vectors import sentence_vectors

TEXTS = ["Everyone has the right to life.", "सभी मनुष्यों को", "人人生而自由", ""]


@pytest.fixture
def copy(tiny_encoder_folder, tmp_path):
    """A folder of one's own to break."""
    return shutil.copytree(tiny_encoder_folder, tmp_path / "copy")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read once, on import


def states(model, tokenizer):
    inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        state = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    return state[inputs["attention_mask"].bool()]


def changed(folder, file="config.json", **entries):
    content = json.loads((folder / file).read_text("utf-8"))
    (folder / file).write_text(json.dumps(content | entries), "utf-8")


def test_saved_encoders_are_what_others_load(any_tiny_encoder, tmp_path):
    encoder = any_tiny_encoder
    save_encoder(encoder, tmp_path / "saved")
    attention = {"attn_implementation": encoder.model.config._attn_implementation}
    model, info = AutoModel.from_pretrained(tmp_path / "saved", output_loading_info=True, **attention)
    assert not any(info.values())
    assert model.dtype == torch.float32
    assert model.config.architectures == [type(model).__name__]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert tokenizer.is_fast
    assert tokenizer(TEXTS)["input_ids"] == encoder.tokenizer(TEXTS)["input_ids"]
    ours, theirs = encoder.model.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(states(model.eval(), tokenizer), states(encoder.model, encoder.tokenizer))


def test_loading_is_exact_in_eval_mode_and_float32(any_tiny_encoder):
    weights = load_file(any_tiny_encoder.folder / "model.safetensors")
    ours = any_tiny_encoder.model.state_dict()
    assert {n: tuple(t.shape) for n, t in weights.items()} == {n: tuple(t.shape) for n, t in ours.items()}
    assert all(torch.equal(weights[name], ours[name]) for name in ours)
    assert not any_tiny_encoder.model.training
    assert {p.dtype for p in any_tiny_encoder.model.parameters()} == {torch.float32}
    assert (any_tiny_encoder.layers, any_tiny_encoder.width) == (4, 32)
    assert any_tiny_encoder.device.type == "cpu"


def test_unchanged_embeddings_are_linked_not_written(tiny_encoder, tmp_path):
    save_encoder(tiny_encoder, tmp_path / "first")
    first = load_encoder(str(tmp_path / "first"))
    with torch.no_grad():
        first.model.encoder.layer[3].output.dense.weight.add_(1)
    save_encoder(first, tmp_path / "second", base=first.folder)
    one, two = tmp_path / "first" / SHARDS[0], tmp_path / "second" / SHARDS[0]
    assert one.stat().st_ino == two.stat().st_ino
    assert list(load_file(one)) == [embeddings_name(first.model)]
    second = load_encoder(str(tmp_path / "second"))
    assert torch.equal(states(second.model, second.tokenizer), states(first.model, first.tokenizer))
    assert folder_digest(tmp_path / "first") != folder_digest(tmp_path / "second")
    with torch.no_grad():
        second.model.get_input_embeddings().weight[7, 3] += 1
    save_encoder(second, tmp_path / "third", base=second.folder)
    assert (tmp_path / "third" / SHARDS[0]).stat().st_ino != two.stat().st_ino
    third = load_encoder(str(tmp_path / "third"))
    assert torch.equal(third.model.get_input_embeddings().weight, second.model.get_input_embeddings().weight)
    assert one.stat().st_nlink == 2
    # the first folder is still what it was
    again = load_encoder(str(tmp_path / "first"))
    assert torch.equal(again.model.get_input_embeddings().weight, tiny_encoder.model.get_input_embeddings().weight)


def test_without_a_shard_of_its_own_nothing_is_linked(tiny_encoder, tmp_path):
    """A foreign folder has one file for all weights."""
    save_encoder(tiny_encoder, tmp_path / "saved", base=tiny_encoder.folder)
    assert (tmp_path / "saved" / SHARDS[0]).stat().st_nlink == 1
    assert (tmp_path / "saved" / INDEX).is_file()


def test_half_precision_checkpoints_are_loaded_in_float32(copy):
    weights = {name: tensor.half() for name, tensor in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    changed(copy, dtype="float16")
    encoder = load_encoder(str(copy))
    assert {p.dtype for p in encoder.model.parameters()} == {torch.float32}
    assert all(torch.equal(t.float(), encoder.model.state_dict()[n]) for n, t in weights.items())


def test_a_missing_pooler_is_left_out_not_drawn(copy, tmp_path):
    weights = load_file(copy / "model.safetensors")
    rest = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    save_file(rest, copy / "model.safetensors", metadata={"format": "pt"})
    encoder = load_encoder(str(copy))
    assert encoder.model.pooler is None
    save_encoder(encoder, tmp_path / "saved")
    again = load_encoder(str(tmp_path / "saved"))
    assert again.model.state_dict().keys() == rest.keys()
    assert torch.equal(states(again.model, again.tokenizer), states(encoder.model, encoder.tokenizer))


def test_a_checkpoint_with_a_task_head_is_its_encoder(copy, tmp_path):
    """Masked-language-model checkpoints prefix the encoder's names and add a head; the name saved is the encoder's."""
    weights = load_file(copy / "model.safetensors")
    masked = {f"bert.{name}": t for name, t in weights.items()} | {"cls.predictions.bias": torch.zeros(len(weights))}
    save_file(masked, copy / "model.safetensors", metadata={"format": "pt"})
    changed(copy, architectures=["BertForMaskedLM"])
    encoder = load_encoder(str(copy))
    assert all(torch.equal(tensor, encoder.model.state_dict()[name]) for name, tensor in weights.items())
    save_encoder(encoder, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))["architectures"] == ["BertModel"]


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def foreign_tokenizer(folder):
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    save_file(weights | {name: weights[name][:700].clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    changed(folder, vocab_size=700)


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lacking_weights(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.2.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def other_shapes(folder):
    changed(folder, intermediate_size=48)


BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json; expected a Hugging Face model folder"),
    "damaged config": (lambda f: (f / "config.json").write_text("{"), r"config\.json is damaged"),
    "unknown architecture": (lambda f: changed(f, model_type="nonsense"), "model type `nonsense`"),
    "code to run": (lambda f: changed(f, auto_map={"AutoModel": "evil.Model"}), "names code to run"),
    "no weights": (no_weights, r"has no \.safetensors weights$"),
    "a pickle": (pickled, r"pytorch_model\.bin is a pickle, which is never opened"),
    "cut weights": (cut_weights, "cannot be loaded as an encoder"),
    "lacking weights": (lacking_weights, r"lacks weights of its own architecture: encoder\.layer\.2\.output"),
    "other shapes": (other_shapes, "its weights do not have the shapes its config.json says"),
    "no tokenizer": (no_tokenizer, "has no tokenizer; expected tokenizer.json"),
    "another's tokenizer": (foreign_tokenizer, "has 805 subwords for 700 embeddings"),
    "damaged tokenizer": (lambda f: (f / "tokenizer.json").write_text('{"version'), "its tokenizer .* cannot be read"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_folders_that_are_refused(copy, case):
    breaks, told = BROKEN[case]
    breaks(copy)
    with pytest.raises(ArtifactError, match=told) as raised:
        load_encoder(str(copy))
    assert "\n" not in str(raised.value)
    assert str(copy) in str(raised.value)


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SEEING = SMALL | {"image_size": 8, "patch_size": 4}


@pytest.mark.parametrize(
    "config",
    [ViTConfig(**SEEING), CLIPConfig(text_config=SMALL | {"vocab_size": 99}, vision_config=SEEING, projection_dim=8)],
    ids=lambda config: config.model_type,
)
def test_models_of_pictures_are_no_encoders_of_text(config, copy):
    (copy / "model.safetensors").unlink()
    AutoModel.from_config(config).save_pretrained(copy)
    with pytest.raises(ArtifactError, match=r"a (ViT|CLIP)Model reads no subwords; expected a text encoder$"):
        load_encoder(str(copy))


def test_code_beside_a_tokenizer_is_not_run(copy, tmp_path):
    (copy / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass T: pass\n", "utf-8")
    changed(copy, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]}, tokenizer_class="T")
    with pytest.raises(
        ArtifactError, match=r"tokenizer_config.json names code to run \(auto_map\), which is never done"
    ):
        load_encoder(str(copy))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["nobody/nothing", "xlm-roberta-base", "./no/such/folder", "a b"])
def test_unknown_names_are_told_in_one_line(name):
    with pytest.raises(ArtifactError, match="neither 'starter', nor a folder here") as raised:
        resolve_encoder(name)
    assert repr(name) in str(raised.value)
    assert f"hf download {name}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_attention_is_from_a_list(tiny_encoder_folder, tiny_folders):
    with pytest.raises(ConfigError, match="'paged' is unknown; expected one of sdpa, eager, flash_attention_2"):
        load_encoder(str(tiny_encoder_folder), attention="paged")
    with pytest.raises(ConfigError, match=r'encoder\.attention = "sdpa" does not work for .*; use "eager"'):
        load_encoder(str(tiny_folders("deberta-v2")))
    eager, sdpa = (load_encoder(str(tiny_encoder_folder), attention=kind) for kind in ("eager", "sdpa"))
    assert eager.model.config._attn_implementation == "eager"
    torch.testing.assert_close(
        states(eager.model, eager.tokenizer), states(sdpa.model, sdpa.tokenizer), rtol=0, atol=1e-5
    )


def test_loading_draws_nothing_and_says_nothing(tiny_encoder_folder, capfd):
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    load_encoder(str(tiny_encoder_folder))
    assert torch.equal(torch.rand(3), wanted)
    assert capfd.readouterr() == ("", "")


def test_the_digest_is_of_contents(copy, tiny_encoder_folder):
    whole = folder_digest(copy)
    assert whole == folder_digest(tiny_encoder_folder) == encoder_digest(str(copy))
    (copy / "README.md").write_text("a model card", "utf-8")
    (copy / "xrealign.json").write_text("{}", "utf-8")
    assert folder_digest(copy) == whole
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        old = (copy / name).read_bytes()
        (copy / name).write_bytes(old[:-1] + bytes([old[-1] ^ 1]))
        assert folder_digest(copy) != whole, name
        (copy / name).write_bytes(old)
    assert folder_digest(copy) == whole
    (copy / "config.json").rename(copy / "other.json")
    assert folder_digest(copy) != whole


def test_sentence_vectors_are_means_of_one_sentence_at_a_time(any_tiny_encoder, udhr_lines):
    encoder = any_tiny_encoder
    texts = [line for lines in udhr_lines.values() for line in lines[:4]]
    for layer in (0, 2, 4):
        vectors = sentence_vectors(encoder, texts, layer, max_length=64, subwords_per_batch=500)
        assert (vectors.shape, vectors.dtype) == ((len(texts), 32), "float32")
        for text, vector in zip(texts[::5], vectors[::5], strict=True):
            inputs = encoder.tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            with torch.inference_mode():
                wanted = encoder.model(
                    input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], output_hidden_states=True
                ).hidden_states[layer][0]
            assert abs(vector - wanted.mean(0).numpy()).max() < 1e-5
