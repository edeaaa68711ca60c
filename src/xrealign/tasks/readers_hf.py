"""Hugging Face data sets: a local folder, or a name that the library finds in its cache or fetches.

No code of a data set is ever run: the library reads parquet, JSON, CSV and its own arrow files only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xrealign.errors import DataError, MissingExtra, did_you_mean
from xrealign.paths import cache_folder
from xrealign.tasks.faults import Faults
from xrealign.tasks.readers_json import make_examples
from xrealign.tasks.readers_spans import RawSentence
from xrealign.tasks.task import Example, Kind, PairExample, QuestionExample

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
    records = list(_records(data))
    examples = make_examples(records, kind, columns or {}, found)
    found.settle()
    return examples


def _load(name: str, config: str, split: str, role: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "hf", f"reading {name}") from None
    folder = Path(name)
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            loaded = datasets.load_from_disk(name)
        elif folder.is_file():
            loaded = datasets.Dataset.from_parquet(name, cache_dir=str(cache_folder() / "hf-datasets"))
        else:
            loaded = datasets.load_dataset(name, config or None, cache_dir=str(cache_folder() / "hf-datasets"))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        why = " ".join(str(error).split())[:300]
        if folder.exists():
            raise DataError(f"cannot be read as a data set: {why}", name) from None
        raise DataError(
            f"{name} is neither a folder here nor a data set that can be fetched ({type(error).__name__}: {why}). "
            f"Where there is a net, run: hf download --repo-type dataset {name} --local-dir FOLDER; then give FOLDER"
        ) from None
    if not isinstance(loaded, datasets.DatasetDict):
        return loaded
    for wanted in (split,) if split else SPLITS[role]:
        if wanted in loaded:
            return loaded[wanted]
    wanted = split or SPLITS[role][0]
    hint = did_you_mean(wanted, list(loaded))
    raise DataError(f"no split {wanted!r}{hint}; there are {', '.join(loaded)}: say which with {name}#SPLIT", name)


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
