"""A data set's card leads nowhere but into its folder, and nothing that its columns name is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.errors import DataError
from xrealign.tasks.hf_folder import check_cards, plain_columns

OUTSIDE = ["../x.csv", "/etc/*.conf", "https://example.invalid/x.csv", "a/../../x.csv", "~/x.csv", "c:\\x.csv"]


@pytest.mark.parametrize("value", OUTSIDE)
@pytest.mark.parametrize("form", ["data_files: {}", "data_files: [{{split: train, path: {}}}]", "data_dir: {}"])
def test_a_card_that_leads_out(tmp_path: Path, form: str, value: str) -> None:
    text = "configs:\n- config_name: default\n  " + form.format(f"'{value}'")
    (tmp_path / "README.md").write_text(f"---\n{text}\n---\n# card\n", "utf-8")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        check_cards(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
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


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.system [x]", "a: [", "a: !own x"])
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
