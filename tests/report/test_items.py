"""Test items on disk and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xrealign.errors import DataError
from xrealign.report.items import read_items, write_items
from xrealign.report.stats import Shares, paired_bootstrap


def test_items_come_back_and_give_the_same_replicates(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    items = {
        ("baseline", "deu_Latn"): rng.integers(0, 2, 30).astype(bool),
        ("realigned", "deu_Latn"): Shares(rng.random(30), np.full(30, 1.5)),
        ("realigned", "swh_Latn"): Shares(np.arange(30.0), np.arange(30.0) + 300),
    }
    write_items(items, tmp_path / "items.npz")
    back = read_items(tmp_path / "items.npz")
    assert list(back) == list(items)
    first, second = paired_bootstrap(items), paired_bootstrap(back)
    assert all(np.array_equal(first[tag].means, second[tag].means) for tag in first)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "items.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"items\.npz"):
        read_items(path)
