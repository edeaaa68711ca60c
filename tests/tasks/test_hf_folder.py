"""A data set's card leads nowhere but into its folder, and nothing that its columns name is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xrealign.errors import DataError
from xrealign.tasks.hf_folder import check_cards, check_saved, plain_columns
from xrealign.tasks.readers_hf import read_hf

OUTSIDE = ["../x.csv", "/etc/*.conf", "https://example.invalid/x.csv", "a/../../x.csv", "~/x.csv", "c:\\x.csv"]


@pytest.mark.parametrize("value", OUTSIDE)
@pytest.mark.parametrize("form", ["data_files: {}", "data_files: [{{split: train, path: {}}}]", "data_dir: {}"])
def test_a_card_that_leads_out(tmp_path: Path, form: str, value: str) -> None:
    text = "configs:\n- config_name: default\n  " + form.format(f"'{value}'")
    (tmp_path / "README.md").write_text(f"---\n{text}\n---\n# card\n", "utf-8")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        check_cards(tmp_path)


@pytest.mark.parametrize("lines", ["# ---", "x: ---", "--- !own", "# a\r# ---"])
def test_a_card_ends_where_the_library_ends_it(tmp_path: Path, lines: str) -> None:
    """Not at three dashes within a line."""
    text = f"---\n{lines}\nconfigs:\n- config_name: default\n  data_files: /etc/x.jsonl\n---\n"
    (tmp_path / "README.md").write_bytes(text.encode())
    with pytest.raises(DataError, match=r"leads out of the data set's folder|is no card of a data set"):
        check_cards(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '---\npretty_name: "A --- B"\n---\n',
        "# no card at all\n",
        "---\nlicense: mit\n---\n",
        "---\nconfigs:\n- config_name: de\n  data_files:\n  - split: train\n    path: de/train-*.parquet\n---\n",
        "---\nhomepage: https://example.invalid/..\n---\ndata_files: ../x\n",
        "",
    ],
)
def test_cards_that_may_stay(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text, "utf-8")
    check_cards(tmp_path)


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.system [x]", "a: [", "a: !own x", "a: 2020-99-99"])
def test_a_card_with_tags_or_faults(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(f"---\n{text}\n---\n", "utf-8")
    with pytest.raises(DataError, match="is no card of a data set"):
        check_cards(tmp_path)


def test_columns_that_would_be_opened_are_left_out() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["a", "b"]),
            "words": datasets.List(datasets.Value("string")),
            "spans": {"start": datasets.List(datasets.Value("int64"))},
            "picture": datasets.Image(),
            "pictures": datasets.List(datasets.Image()),
            "held": {"sound": datasets.Audio()},
        }
    )
    empty = datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    assert plain_columns(empty).column_names == ["text", "label", "words", "spans"]


def test_a_card_cannot_have_a_file_outside_read(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "secret.jsonl").write_text('{"text": "kept", "label": "a"}\n', "utf-8")
    (tmp_path / "ds").mkdir()
    card = f"---\n# ---\nconfigs:\n- config_name: default\n  data_files: {tmp_path / 'secret.jsonl'}\n---\n"
    (tmp_path / "ds" / "README.md").write_text(card, "utf-8")
    with pytest.raises(DataError, match=r"README\.md: its data_files '.*' leads out of the data set's folder"):
        read_hf(f"{tmp_path / 'ds'}#train", "class", "train")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder that `save_to_disk` wrote, beside another of which nothing may be read."""
    datasets = pytest.importorskip("datasets")
    for name in ("secret", "ds"):
        data = datasets.Dataset.from_dict({"text": [name], "label": ["a"]})
        datasets.DatasetDict({"train": data}).save_to_disk(tmp_path / name)
    return tmp_path / "ds"


def test_a_saved_folder_that_leads_out(saved: Path) -> None:
    check_saved(saved)
    assert [example.text for example in read_hf(saved, "class", "train")] == ["ds"]
    state = saved / "train" / "state.json"
    whole = json.loads(state.read_text("utf-8"))
    outside = f"../../secret/train/{whole['_data_files'][0]['filename']}"
    state.write_text(json.dumps(whole | {"_data_files": [{"filename": outside}]}), "utf-8")
    with pytest.raises(
        DataError, match=r"state\.json: its file '\.\./\.\./secret.*' leads out of the data set's folder"
    ):
        read_hf(saved, "class", "train")
    with pytest.raises(DataError, match=r"state\.json: its file '.*' leads out of the data set's folder"):
        read_hf(saved / "train", "class", "train")
    state.write_text(json.dumps(whole), "utf-8")
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "../secret/train"]}), "utf-8")
    with pytest.raises(DataError, match=r"dataset_dict\.json: its file '\.\./secret/train' leads out"):
        read_hf(saved, "class", "train")


@pytest.mark.parametrize("split", ["..", ".", "", "/etc", "a\\b", "x::memory:", ["a"], 1])
def test_names_of_splits_that_lead_out(tmp_path: Path, split: object) -> None:
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": [split]}), "utf-8")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        check_saved(tmp_path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", "{}", '{"splits": 1}', '{"splits": null}'])
def test_saved_folders_whose_lists_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_dict.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"dataset_dict\.json: cannot be read as a data set"):
        check_saved(tmp_path)
