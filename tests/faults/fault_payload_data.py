"""Data that would run code: object arrays, scripts and pickles in data sets, cards and columns that lead elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from canary import Canary, Control, code, controls, pickled, torch_pickled, tries
from fault_payloads import EXEC_YAML, JINJA, TRUSTING
from harness import Call, Fault, cli

Lay = Callable[[Path, Path], None]
SELECT = cli("select", "--candidates", "swh,tur", "--fixed", "eng", "-k", "1", "--distance", "own.npz")
CHECK = cli("tasks", "check", "data#train", "--task", "class", "--as", "hf")
CHECK_FILE = cli("tasks", "check", "data.parquet", "--task", "class")
STATISTICAL = cli("align", "pairs", "pairs.tsv", "-o", "out.txt", "--aligner", "ibm1", "--model", "own")
checked = partial(Canary, call=CHECK, start="data: ")
LANGUAGES = np.array(["eng_Latn", "swh_Latn", "tur_Latn"])
ROWS = "text,label\n" + "one,a\ntwo,b\n" * 3


@dataclass
class _Opens:
    """Pickles to a call that makes the canary file."""

    canary: str

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (self.canary, "w")


def objects(canary: Path) -> np.ndarray[Any, Any]:
    """An array of objects, which only a pickle can hold on disk."""
    found = np.empty(1, dtype=object)
    found[0] = _Opens(str(canary))
    return found


def told(read: Callable[[], object]) -> Call:
    """``read`` as the command line calls it: an error of ours is a line and exit code 2."""

    def call() -> int:
        from xrealign.errors import XrealignError

        try:
            read()
        except XrealignError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    return call


def file(name: str, content: Callable[[Path], bytes | str]) -> Lay:
    """Writes a file; its content may hold the canary."""

    def lay(place: Path, canary: Path) -> None:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content(canary)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return lay


def several(*parts: Lay) -> Lay:
    """One after the other."""

    def lay(place: Path, canary: Path) -> None:
        for part in parts:
            part(place, canary)

    return lay


def npz(name: str, **arrays: Any) -> Lay:
    """An npz in which ``None`` stands for an array of objects."""

    def lay(place: Path, canary: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        held = {key: objects(canary) if value is None else value for key, value in arrays.items()}
        np.savez(place / name, **held)

    return lay


def npy(canary: Path) -> bytes:
    """An array of objects as ``numpy.save`` writes it."""
    held = BytesIO()
    np.save(held, objects(canary), allow_pickle=True)
    return held.getvalue()


def _read_items() -> object:
    from xrealign.report.items import read_items

    return read_items(Path("items.npz"))


def _statistical(place: Path, canary: Path) -> None:
    """A trained statistical aligner whose arrays are objects, under the digest that they have."""
    import hashlib

    from xrealign.align.statistical_model import FORMAT, MODEL, SETTINGS

    npz(f"own/{MODEL}", **dict.fromkeys(("seen0", "unseen0", "null0", "words0", "ends0", "keys")))(place, canary)
    digest = hashlib.sha256((place / "own" / MODEL).read_bytes()).hexdigest()
    record = {"format": FORMAT, "stages": [["ibm1", 1]], "null": 0.1, "sha256": digest, "model": "ibm1"}
    record |= {"lowercase": True, "training": {}, "symmetrization": "intersection", "threshold": 0.5}
    (place / "own" / SETTINGS).write_text(json.dumps(record), "utf-8")
    (place / "pairs.tsv").write_text("one two\tmoja mbili\n", "utf-8")


def _front_cache() -> object:
    """A table of the front cache, of objects, under the digests that it has: dropped, never opened."""
    from xrealign.store import file_digest
    from xrealign.train.front_store import FILES, FORMAT, _fault

    digests = {name: file_digest(Path("table-0") / name) for name in FILES}
    (Path("table-0") / "table.json").write_text(json.dumps({"format": FORMAT, "sha256": digests}), "utf-8")
    return 0 if _fault(Path("table-0"), 4, np.dtype(np.float16)) else 3


def _kept_links() -> object:
    from xrealign.align.external import _open_kept

    return _open_kept(Path("kept"))


def _parquet(metadata: Callable[[Path], dict[bytes, bytes]], field: Callable[[Path], dict[bytes, bytes]]) -> Lay:
    def lay(place: Path, canary: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [pa.field("text", pa.string(), metadata=field(canary)), pa.field("label", pa.string())]
        address = "https://example.invalid/picture.png"
        table = pa.table([[address, address], ["a", "b"]], schema=pa.schema(fields, metadata=metadata(canary)))
        pq.write_table(table, place / "data.parquet")

    return lay


def _extension(canary: Path) -> dict[bytes, bytes]:
    return {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled(canary)}


def _features(feature: dict[str, Any]) -> Callable[[Path], dict[bytes, bytes]]:
    features = {"text": {"dtype": "string", "_type": "Value"} | feature, "label": {"dtype": "string", "_type": "Value"}}
    return lambda _canary: {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def _media(kind: str, column: str, listed: bool = False) -> Lay:
    """A column of pictures or the like that lie at an address, beside texts and labels."""

    def lay(place: Path, _canary: Path) -> None:
        import datasets
        import pyarrow as pa
        import pyarrow.parquet as pq

        feature = getattr(datasets, kind)()
        feature = datasets.List(feature) if listed else feature
        held = {"bytes": None, "path": "https://example.invalid/one"}
        columns = {"text": ["one", "two"], "label": ["a", "b"]} | {column: [[held] if listed else held] * 2}
        features = datasets.Features(dict.fromkeys(columns, datasets.Value("string")) | {column: feature})
        pq.write_table(pa.table(columns, schema=features.arrow_schema), place / "data.parquet")

    return lay


def _tar(place: Path, canary: Path) -> None:
    (place / "data").mkdir()
    with tarfile.open(place / "data" / "train.tar", "w") as archive:
        for name, data in (
            ("0.pyd", pickled(canary)),
            ("0.pickle", pickled(canary)),
            ("0.txt", b"one"),
            ("0.cls", b"1"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, BytesIO(data))


def _torch_file(place: Path, canary: Path) -> None:
    (place / "data").mkdir()
    torch_pickled(canary, place / "data" / "train.pt")


def card(*lines: str) -> Lay:
    """A data set's card."""
    return file("data/README.md", lambda canary: "\n".join(["---", *lines, "---", ""]).replace("CANARY", str(canary)))


def saved(place: Path, canary: Path) -> None:
    """A data set as `save_to_disk` writes it, that claims to have been made by a script."""
    import datasets

    made = datasets.Dataset.from_dict({"text": ["one", "two"], "label": ["a", "b"]})
    made.save_to_disk(place / "data")
    path = place / "data" / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"builder_name": "own", "script": "data.py"}))
    (place / "data" / "data.py").write_text(code(canary), "utf-8")


CARD_TAG = "license: !!python/object/apply:os.system ['touch CANARY']"
_CSV = file("data/train.csv", lambda _canary: ROWS)
_SCRIPT = file("data/data.py", code)
_nothing = lambda _canary: {}  # noqa: E731 - a metadata of nothing

DATA = (
    Canary("objects as a matrix of distances", npz("own.npz", languages=LANGUAGES, matrix=None), SELECT, ["own.npz"]),
    Canary(
        "objects as names of languages", npz("own.npz", languages=None, matrix=np.zeros((1, 1))), SELECT, ["own.npz"]
    ),
    Canary("a pickle as a matrix", file("own.npz", pickled), SELECT, ["own.npz"]),
    Canary("an npy of objects as a matrix", file("own.npz", npy), SELECT, ["own.npz"]),
    Canary(
        "objects as test items",
        npz("items.npz", **{"baseline eng parts": None, "baseline eng wholes": None}),
        told(_read_items),
        ["items.npz"],
    ),
    Canary("a pickle as test items", file("items.npz", pickled), told(_read_items), ["items.npz"]),
    Canary("a statistical aligner of objects", _statistical, STATISTICAL, ["own", "damaged"]),
    Canary(
        "links kept as objects",
        several(file("kept/digests.npy", npy), file("kept/order.npy", npy)),
        told(_kept_links),
        ["damaged"],
    ),
    Canary(
        "states in the cache as objects",
        several(*(file(f"table-0/{name}.npy", npy) for name in ("keys", "lengths", "states"))),
        _front_cache,
    ),
    checked("a script beside a data set's files", several(_CSV, _SCRIPT), words=["data.py"], env=TRUSTING),
    checked("a script in place of a data set", _SCRIPT, words=["data.py"], env=TRUSTING),
    checked("a pickle in place of a data set", file("data/train.pkl", pickled), words=["data"], env=TRUSTING),
    checked("a torch archive in place of a data set", _torch_file, words=["data"], env=TRUSTING),
    checked("an archive of samples with pickles", _tar, words=["pickle"], start="data#train:1: "),
    checked("a saved data set that names a script", saved, env=TRUSTING),
    checked(
        "YAML tags in a data set's card",
        several(_CSV, card(CARD_TAG)),
        words=["README.md", "tags"],
        start="data/",
    ),
    checked(
        "a card that leads to an address",
        several(_CSV, card("configs:", "- config_name: default", "  data_files: https://example.invalid/train.csv")),
        words=["README.md", "example.invalid", "folder"],
        start="data/",
    ),
    checked(
        "a card that leads to an address, by split",
        several(
            _CSV,
            card(
                "configs:",
                "- config_name: default",
                "  data_files:",
                "  - split: train",
                "    path: ['https://example.invalid/train.csv']",
            ),
        ),
        words=["README.md", "example.invalid", "folder"],
        start="data/",
    ),
    checked(
        "a card that leads out of the folder",
        several(
            file("secret.csv", lambda _c: ROWS),
            _CSV,
            card("configs:", "- config_name: default", "  data_files: ../secret.csv"),
        ),
        words=["secret.csv", "folder"],
        start="data/",
    ),
    checked(
        "a card that names an absolute path",
        several(_CSV, card("configs:", "- config_name: default", "  data_files: /etc/*.conf")),
        words=["/etc/*.conf"],
        start="data/",
    ),
    checked(
        "a card beside the card that leads out",
        several(_CSV, file("data/.huggingface.yaml", lambda _c: "configs: [{config_name: default, data_dir: ../..}]")),
        words=["../.."],
        start="data/",
    ),
    checked(
        "a card with settings of the reader",
        several(
            _CSV,
            card(
                "configs:",
                "- config_name: default",
                "  data_files: train.csv",
                "  converters: os.system",
                "  date_parser: CANARY",
            ),
        ),
        words=["data"],
    ),
    Canary("parquet with a pickled extension type", _parquet(_nothing, _extension), CHECK_FILE),
    Canary(
        "parquet whose texts are pictures elsewhere",
        _media("Image", "text"),
        CHECK_FILE,
        ["no key 'text'"],
        start="data.parquet",
    ),
    Canary(
        "parquet whose texts are sounds elsewhere",
        _media("Audio", "text"),
        CHECK_FILE,
        ["no key 'text'"],
        start="data.parquet",
    ),
    Canary("parquet with a picture elsewhere beside", _media("Image", "beside"), CHECK_FILE),
    Canary("parquet with documents elsewhere, in lists", _media("Pdf", "beside", True), CHECK_FILE),
    Canary(
        "parquet of a type that is code",
        _parquet(_features({"_type": "os.system"}), _nothing),
        CHECK_FILE,
        ["os.system"],
        start="data.parquet",
    ),
)


def _yaml(text: str) -> Control:
    """A card's tags, before a loader that obeys them."""

    def call() -> None:
        import yaml

        yaml.unsafe_load(Path("own.yaml").read_text("utf-8").split("---")[1])

    lay = file("own.yaml", lambda canary: text.replace("CANARY", str(canary)))
    return Control(f"YAML: {text[4:40]!r}", lay, call, "os.system")


def _template() -> object:
    from jinja2 import Template

    return Template(Path("own.jinja").read_text("utf-8")).render()


def _torch_load() -> object:
    import torch

    return torch.load("own.pt", weights_only=False)


def _import() -> object:
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module("own_module_of_a_canary")


def _unpickle() -> object:
    return pickle.loads(Path("own").read_bytes())  # noqa: S301 - to see what it does


def _connect() -> None:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


_PY = "own_module_of_a_canary.py"
CONTROLS = (
    Control("a pickle opened, and its function looked up", file("own", pickled), _unpickle, "pickle.find_class"),
    Control("a pickle opened, and its program started", file("own", pickled), _unpickle, "os.system"),
    Control("a torch archive", lambda place, canary: torch_pickled(canary, place / "own.pt"), _torch_load, "os.system"),
    Control("an npy of objects", file("own.npy", npy), lambda: np.load("own.npy", allow_pickle=True),
            "pickle.find_class"),
    Control("an npz of objects", npz("own.npz", a=None), lambda: np.load("own.npz", allow_pickle=True)["a"],
            "pickle.find_class"),
    Control("code that is run", file(_PY, code),
            lambda: exec(compile(Path(_PY).read_text("utf-8"), Path.cwd() / _PY, "exec")), "exec "),
    Control("code that is imported", file(_PY, code), _import, "exec "),
    _yaml(EXEC_YAML),
    _yaml(f"---\n{CARD_TAG}\n---\n"),
    Control("a chat template", file("own.jinja", lambda canary: JINJA.replace("CANARY", str(canary))), _template,
            "os.system"),
    Control("a program", several(), lambda: subprocess.run(["true"], check=True), "subprocess.Popen", sings=False),
    Control("the network", several(), _connect, "socket.", sings=False),
)  # fmt: skip
FAULTS = (
    Fault("code in data", "never executed; the message says what to do", partial(tries, DATA, 6)),
    Fault("the canaries themselves", "they sing, and both watches find them out", partial(controls, CONTROLS)),
)
