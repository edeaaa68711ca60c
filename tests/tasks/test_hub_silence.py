"""A hub that does not answer: asked once, the cache read if it has the data set, else told in one line at once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import huggingface_hub.constants
import pytest

from xrealign.errors import DataError
from xrealign.tasks import readers_hf
from xrealign.tasks.readers_hf import read_hf

NAME = "nobody/no-such-data"


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody listens at the hub's address; returns the folder that data sets are cached in."""
    monkeypatch.setenv("XREALIGN_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hf-datasets"


@pytest.mark.usefixtures("silent_hub")
def test_what_is_not_here_is_told_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(
        DataError, match=f"the hub does not answer: .*hf download --repo-type dataset {NAME} "
    ) as raised:
        read_hf(f"{NAME}#train", "class", "train")
    assert time.monotonic() - start < 10  # the library by itself tries six times, in half a minute
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("silent_hub")
def test_offline_by_choice_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set, and it is not in the cache here"):
        read_hf(NAME, "class", "train")


def test_what_the_cache_has_is_read(silent_hub: Path, tmp_path: Path) -> None:
    import datasets

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "good", "label": "yes"}\n{"text": "bad", "label": "no"}\n', "utf-8")
    datasets.load_dataset("json", data_files={"train": str(rows)}, cache_dir=str(tmp_path / "made"))
    (made,) = (path for path in (tmp_path / "made" / "json").glob("*/*/*") if path.is_dir())
    cached = silent_hub / NAME.replace("/", "___") / "default" / "0.0.0" / made.name
    shutil.copytree(made, cached)
    (cached / "json-train.arrow").rename(cached / f"{NAME.partition('/')[2]}-train.arrow")
    examples = read_hf(f"{NAME}#train", "class", "train")
    assert [(one.text, one.label) for one in examples] == [("good", "yes"), ("bad", "no")]  # type: ignore[union-attr]
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False  # as it was


def test_a_local_path_asks_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(readers_hf, "_hub_silence", lambda name: pytest.fail(f"the hub was asked for {name}"))
    (tmp_path / "some.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read as a data set"):
        read_hf(tmp_path / "some.parquet", "class", "train")
