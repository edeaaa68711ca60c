"""What each test item got, kept beside a report's scores, so that intervals can be made again from the files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.arrays import read_npz
from xrealign.errors import DataError
from xrealign.report.stats import Items, Shares
from xrealign.writing import write_atomic

FILE = "items.npz"


def write_items(items: Items, path: Path) -> None:
    """Writes items of one run, (n,) each, as a compressed npz without pickles; whole numbers in as few bytes as do."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for (method, language), values in items.items():
        shares = values if isinstance(values, Shares) else Shares(*_ones(np.asarray(values, dtype=np.float64)))
        arrays[f"{method} {language} parts"] = _smallest(shares.parts)
        arrays[f"{method} {language} wholes"] = _smallest(shares.wholes)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    write_atomic(path, packed.getvalue())


def read_items(path: Path) -> dict[tuple[str, str], Shares]:
    """Reads what `write_items` wrote, by (method, language).

    Raises:
        DataError: it is no such file.
    """
    try:
        arrays = read_npz(path)
        pairs = dict.fromkeys(tuple(key.split(" ")[:2]) for key in arrays)
        return {
            (method, language): Shares(
                arrays[f"{method} {language} parts"].astype(np.float64),
                arrays[f"{method} {language} wholes"].astype(np.float64),
            )
            for method, language in pairs
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"not a file of test items ({error}); run the experiment's command again", path) from None


def _ones(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return values, np.ones_like(values)


def _smallest(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        return values.astype(np.float64)
    return whole.astype(np.min_scalar_type(int(whole.max(initial=0))))
