"""Hugging Face data sets: a local folder, or a name that the library finds in its cache or fetches.

No code of a data set is ever run: the library reads parquet, JSON, CSV and its own arrow files only, those of a folder
from that folder only (`xrealign.tasks.hf_folder`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from xrealign.errors import DataError, did_you_mean
from xrealign.paths import cache_folder
from xrealign.requirements import check_extra, optional
from xrealign.tasks.faults import Faults
from xrealign.tasks.hf_folder import check_cards, check_saved, is_saved, plain_columns
from xrealign.tasks.readers_json import make_examples
from xrealign.tasks.readers_spans import RawSentence
from xrealign.tasks.task import Example, Kind, PairExample, QuestionExample

# What the library lets out of damaged files: they go through pyarrow, pandas, JSON and its own tables of features.
_BROKEN = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, ImportError)
SPLITS = {"train": ("train",), "dev": ("validation", "dev", "valid"), "test": ("test",)}


def read_hf(
    path: str | Path, kind: Kind, role: str, columns: Mapping[str, str] | None = None, faults: Faults | None = None
) -> list[Example | PairExample | QuestionExample | RawSentence]:
    """One split of a data set. Numbered labels (ClassLabel) become the names that the data set gives them.

    Args:
        path: a parquet file; or ``FOLDER`` or ``NAME``, then ``#SPLIT`` or ``#CONFIG/SPLIT``; without a split it goes
            by the role. Examples: ``data/wikiann#validation``, ``xnli#de/test``.
        kind: decides the fields.
        role: ``train``, ``dev`` or ``test``.
        columns: field to column, where they have not the usual names.
        faults: where to note what is wrong; None raises.

    Raises:
        MissingExtra: the library ``datasets`` is not installed.
        DataError: there is no such data set (offline it says what to fetch), split or column; rows with faults, with
            their number in place of a line.
    """
    name, _, fragment = str(path).partition("#")
    config, _, split = fragment.rpartition("/")
    found = faults or Faults(Path(path))
    data = _load(name, config, split, role)
    try:
        records = list(_records(plain_columns(data)))
    except _BROKEN as error:
        raise DataError(f"cannot be read as a data set: {_why(error)}", name) from None
    examples = make_examples(records, kind, columns or {}, found)
    found.settle()
    return examples


def _load(name: str, config: str, split: str, role: str) -> Any:
    folder, cache = Path(name), cache_folder() / "hf-datasets"
    check_extra("hf", f"reading {name}")
    check_cards(folder)
    check_saved(folder)
    silent = "" if folder.exists() else _hub_silence(name)
    if silent and not any(cache.glob(f"{name.partition('/')[0]}___*")):
        raise _not_here(name, silent)
    with optional("hf", f"reading {name}"):
        import datasets
    try:
        if is_saved(folder):
            loaded = datasets.load_from_disk(name)
        elif folder.is_file():
            loaded = datasets.Dataset.from_parquet(name, cache_dir=str(cache))
        else:
            with _offline() if silent else nullcontext():
                loaded = datasets.load_dataset(name, config or None, cache_dir=str(cache))
    except (*_BROKEN, datasets.exceptions.DatasetsError) as error:
        why = _why(error)
        if folder.exists():
            raise DataError(f"cannot be read as a data set: {why}", name) from None
        raise _not_here(name, silent or f"{type(error).__name__}: {why}") from None
    if not isinstance(loaded, datasets.DatasetDict):
        return loaded
    for wanted in (split,) if split else SPLITS[role]:
        if wanted in loaded:
            return loaded[wanted]
    wanted = split or SPLITS[role][0]
    hint = did_you_mean(wanted, list(loaded))
    raise DataError(f"no split {wanted!r}{hint}; there are {', '.join(loaded)}: say which with {name}#SPLIT", name)


def _not_here(name: str, why: str) -> DataError:
    return DataError(
        f"{name} is neither a folder here nor a data set that can be fetched ({why}). "
        f"Where there is a net, run: hf download --repo-type dataset {name} --local-dir FOLDER; then give FOLDER"
    )


def _hub_silence(name: str) -> str:
    """Why the hub does not answer, or "" where it does: asked once, since the library itself tries for 25 seconds."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        HfApi().dataset_info(name)
    except (HfHubHTTPError, HFValidationError):  # an answer, or no name of the hub: the library tells which
        return ""
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set, and it is not in the cache here"
    except Exception as error:  # noqa: BLE001 - errors of the network are other classes in every version of the hub
        return f"the hub does not answer: {next(iter(str(error).splitlines()), type(error).__name__)[:200]}"
    return ""


@contextmanager
def _offline() -> Iterator[None]:
    """The hub's client takes no try at the network."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _records(data: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows with their number from 1; labels by name."""
    names = {column: _names(feature) for column, feature in data.features.items()}
    for number, row in enumerate(data, 1):
        yield number, {column: _named(value, names[column]) for column, value in row.items()}


def _names(feature: Any) -> list[str] | None:
    inner = getattr(feature, "feature", feature)
    if isinstance(inner, dict):
        return None
    names = getattr(inner, "names", None)
    return list(names) if names is not None else None


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(part, names) for part in value]
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if known else ""  # -1 is "no label" there: an empty label is a fault
