"""What xrealign saves and reads again: caches, models, checkpoints, manifests, results; any of them may be another's.

Where a digest guards a file, it is made anew for the damaged one: what lies behind the check is fuzzed, too.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fuzz_target import Target
from targets_tasks import each

from xrealign.align.statistical_model import MODEL, SETTINGS, load_model, read_settings
from xrealign.align.supervised import SETTINGS as SUPERVISED
from xrealign.align.supervised import read_settings as read_supervised
from xrealign.corpus.fetch import LOCK, read_lock
from xrealign.errors import DataError
from xrealign.model.encoder import _check_folder
from xrealign.model.transforms import FACTS, FOLDER, WEIGHTS, load_transforms
from xrealign.report.items import read_items
from xrealign.report.run_scores import read_score_sets
from xrealign.report.scores import read_scores, write_scores
from xrealign.scoring import read_scores as read_run_scores
from xrealign.select.matrices import read_matrix
from xrealign.store import MANIFEST, file_digest, read_manifest, seal, verify
from xrealign.tasks.task import task_from_json
from xrealign.textio import read_lines
from xrealign.train.adapters import ADAPTER, read_adapter
from xrealign.train.checkpoint import load_checkpoint
from xrealign.train.front_store import FILES, FrontStore
from xrealign.train.heads import HEAD_FILES, load_head
from xrealign.types import Score

EMPTY = bytes(8)


def emptied(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def sealed(data: bytes, **facts: object) -> bytes:
    """A manifest with these facts and the seal it would have, if it is one at all."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(content, dict):
        return data
    try:
        return seal({name: value for name, value in content.items() if name != "seal"} | facts).encode()
    except UnicodeEncodeError:  # half a character in it
        return data


def statistical(path: Path) -> None:
    """Settings and arrays of a statistical aligner; the digest in the settings is that of the arrays."""
    folder = emptied(path.parent / "model")
    with zipfile.ZipFile(folder / MODEL, "w") as archive:
        for part in STATISTICAL[1:]:
            archive.writestr(part, (path.parent / part).read_bytes())
    try:
        settings = json.loads(path.read_bytes())
        settings["sha256"] = file_digest(folder / MODEL)
        (folder / SETTINGS).write_text(json.dumps(settings), "utf-8")
    except (ValueError, TypeError, RecursionError):
        (folder / SETTINGS).write_bytes(path.read_bytes())
    load_model(folder, read_settings(folder))


STATISTICAL = (
    "settings.json",
    *(
        f"{name}.npy"
        for k in "01"
        for name in (f"seen{k}", f"unseen{k}", f"null{k}", f"jumps{k}", f"tension{k}", f"words{k}", f"ends{k}")
    ),
    "keys.npy",
)


def zipped(names: tuple[str, ...], reader: Callable[[Path], object]) -> Callable[[Path], object]:
    """The parts as the arrays of an npz."""

    def read(path: Path) -> None:
        target = path.with_name("made.npz")
        with zipfile.ZipFile(target, "w") as archive:
            for name in names:
                archive.writestr(name, path.with_name(name).read_bytes())
        reader(target)

    return read


def front_cache(path: Path) -> None:
    table = emptied(path.parent / "cache") / "key" / "table-0000"
    table.mkdir(parents=True)
    for name in FILES:
        (table / name).write_bytes((path.parent / name).read_bytes())
    try:
        manifest = json.loads(path.read_bytes())
        manifest["sha256"] = {name: file_digest(table / name) for name in FILES}
        (table / "table.json").write_text(json.dumps(manifest), "utf-8")
    except (ValueError, TypeError, RecursionError):
        (table / "table.json").write_bytes(path.read_bytes())
    store = FrontStore(path.parent / "cache", "key", 2, np.dtype("float32"))
    for at, start in store.places.values():
        assert 0 <= start <= len(store.tables[at]), "a sentence whose states are not there"


def checkpoint(path: Path) -> None:
    folder = emptied(path.parent / "training")
    step = folder / "step-00000001"
    step.mkdir()
    (step / "state.safetensors").write_bytes(path.with_name("state.safetensors").read_bytes())
    digest = file_digest(step / "state.safetensors")
    (step / "checkpoint.json").write_bytes(sealed(path.read_bytes(), sha256=digest))
    model = torch.nn.Linear(2, 1)
    load_checkpoint(folder, model, torch.optim.AdamW(model.parameters()))


def manifest(path: Path) -> None:
    folder = emptied(path.parent / "result")
    (folder / MANIFEST).write_bytes(sealed(path.read_bytes()))
    (folder / "a.txt").write_bytes(b"x")
    read_manifest(folder)
    verify(folder)


def transforms(path: Path) -> None:
    place = emptied(path.parent / "encoder" / FOLDER)
    (place / FACTS).write_bytes(path.read_bytes())
    (place / WEIGHTS).write_bytes(path.with_name(WEIGHTS).read_bytes())
    load_transforms(path.parent / "encoder")


def head(path: Path) -> None:
    folder = emptied(path.parent / "head")
    for name in HEAD_FILES:
        (folder / name).write_bytes(path.with_name(name).read_bytes())
    load_head(folder)


def scores_of_run(path: Path) -> None:
    folder = emptied(path.parent / "stage")
    (folder / "scores.json").write_bytes(path.read_bytes())
    read_run_scores(folder)


def finished_run(path: Path) -> None:
    folder = emptied(path.parent / "runs" / "mine")
    for name in ("report-input.json", "sweep.json"):
        if data := path.with_name(name).read_bytes():
            (folder / name).write_bytes(data)
    write_scores(ONE_SCORE, folder / "scores.parquet")
    read_score_sets(str(folder), path.parent / "runs")


def lock(path: Path) -> None:
    path.write_bytes(sealed(path.read_bytes()))
    read_lock(path.parent)


def saved_task(path: Path) -> None:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise DataError("no text") from None  # the stage reads it as text first
    task_from_json(text)


def supervised(path: Path) -> None:
    read_supervised(path.parent)


def model_folder(path: Path) -> None:
    (path.parent / "model.safetensors").write_bytes(EMPTY)
    (path.parent / "tokenizer.json").write_bytes(b"{}")
    _check_folder(path.parent, "x")


def compressed(path: Path) -> None:
    """A file under every ending: as it is, and packed so that it is text again."""
    data = path.read_bytes()
    refused = None
    for ending, pack in ((".gz", gzip.compress), (".xz", lzma.compress)):
        for raw in (data, pack(data), pack(data)[:-3]):
            packed = path.with_name(f"x.txt{ending}")
            packed.write_bytes(raw)
            try:
                list(read_lines(packed))
            except DataError as error:
                refused = error
    (packed := path.with_name("x.txt.zst")).write_bytes(data)
    list(read_lines(packed))
    if refused:
        raise refused


def npy(*values: object, dtype: str = "float32") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(values[0] if len(values) == 1 else list(values), dtype=dtype))
    return buffer.getvalue()


NPY = (
    b"\x93NUMPY\x01\x00",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }",
    b"'<f8'",
    b"'|u1'",
    b"'|O'",
    b"'<i8'",
    b"(1000000000000,)",
    b"(0,)",
    b"()",
    b"True",
    b"'<U3'",
    b"'>c16'",
)
TENSORS = (
    b'{"__metadata__":{"a":"b"}}',
    b'"dtype":"F32"',
    b'"shape":[2,1]',
    b'"data_offsets":[0,8]',
    b'"BF16"',
    b'"I64"',
    b"model.weight",
    b"adam.step.weight",
)
JSON = (
    b'{"',
    b'"}',
    b'": "',
    b'", "',
    b"[",
    b"]",
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"true",
    b'"format": 1',
    b"[[[[[[[[",
    b"\\ud800",
    b"9" * 30,
    b'"sha256"',
    b'"files"',
    b'"bytes"',
    b'"step"',
    b'"history"',
)
ONE_SCORE = [Score("mine", "realigned", "task", "swh_Latn", "accuracy", 0.5, 2, 17, None, "", None, "")]


def heads(*names: str) -> tuple[bytes, ...]:
    return tuple(b"%%%% " + name.encode() + b"\n" for name in names)


CHECKPOINT = ("checkpoint.json", "state.safetensors")
FRONT = ("table.json", *FILES)
TRANSFORMS = (FACTS, WEIGHTS)
RUN = ("report-input.json", "sweep.json")

TARGETS: dict[str, Target] = {
    "statistical-model": Target("settings.json", statistical, (*JSON, *NPY, *heads(*STATISTICAL)), STATISTICAL),
    "front-cache": Target("table.json", front_cache, (*JSON, *NPY, *heads(*FRONT)), FRONT),
    "checkpoint": Target("checkpoint.json", checkpoint, (*JSON, *TENSORS, *heads(*CHECKPOINT)), CHECKPOINT),
    "manifest": Target("manifest.json", manifest, (*JSON, b"a.txt", b"../")),
    "transforms": Target(FACTS, transforms, (*JSON, *TENSORS, *heads(*TRANSFORMS)), TRANSFORMS),
    "head": Target(HEAD_FILES[0], head, (*JSON, *TENSORS, *heads(*HEAD_FILES)), tuple(HEAD_FILES)),
    "adapter": Target(ADAPTER, lambda path: read_adapter(path), TENSORS),
    "matrix-npz": Target(
        "languages.npy",
        zipped(("languages.npy", "matrix.npy"), lambda path: read_matrix(path)),
        (*NPY, *heads("languages.npy", "matrix.npy")),
        ("languages.npy", "matrix.npy"),
    ),
    "items": Target(
        "a.npy",
        zipped(("a b parts.npy", "a b wholes.npy"), read_items),
        (*NPY, *heads("a b parts.npy", "a b wholes.npy")),
        ("a b parts.npy", "a b wholes.npy"),
    ),
    "npz": Target("x.npz", each(read_matrix, read_items), (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", *NPY)),
    "parquet": Target("scores.parquet", read_scores, (b"PAR1",)),
    "run-scores": Target("scores.json", scores_of_run, (*JSON, b'"run"', b'"value"')),
    "run": Target(
        "report-input.json",
        finished_run,
        (*JSON, *heads(*RUN), b'"groups"', b'"context"', b'"cells"', b'"labels"'),
        RUN,
    ),
    "lock": Target(LOCK, lock, JSON),
    "saved-task": Target("task.json", saved_task, (*JSON, b'"kind"', b'"source"', b'"tests"', b'"train"', b'"eng"')),
    "supervised": Target(SUPERVISED, supervised, JSON),
    "model-folder": Target("config.json", model_folder, (*JSON, b'"auto_map"')),
    "compressed": Target(
        "x.txt", compressed, (b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\n", b"\xef\xbb\xbf")
    ),
}
