from __future__ import annotations

import csv
from pathlib import Path

import pytest

from xrealign.errors import DataError
from xrealign.report.pivot import pivot
from xrealign.report.pivot_formats import percentage, write_pivot
from xrealign.report.published_results import import_published

HEADER = "seed,model,task,method,steps,eval_de_accuracy,eval_qu_accuracy,eval_avg_accuracy,eval_same_accuracy"
ROW = "17,tiny-base,udpos,baseline,100,0.8,0.6,0.7,0.9"


def write(folder: Path, text: str, name: str = "tiny-base__opus100__udpos.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


# METHODS.md §2: baseline / full / front / back by the dictionary aligner, in percent.
MODELS = {
    "xlm-roberta-base": {
        "udpos": ("80.90", "81.35", "81.69", "80.94"),
        "xnli": ("73.94", "73.21", "73.57", "72.95"),
        "wikiann": ("67.35", "67.68", "67.13", "67.33"),
        "xquad": ("61.2", "59.4", "59.1", "58.0"),
    },
    "bert-base-multilingual-cased": {
        "udpos": ("76.99", "79.63", "79.18", "79.29"),
        "xnli": ("66.30", "67.43", "67.72", "67.53"),
        "wikiann": ("68.88", "68.08", "68.87", "68.58"),
        "xquad": ("57.1", "52.9", "55.3", "53.7"),
    },
    "distilbert-base-multilingual-cased": {
        "udpos": ("73.85", "77.68", "77.29", "77.47"),
        "xnli": ("60.12", "61.60", "61.61", "61.88"),
        "wikiann": ("62.15", "63.76", "63.33", "63.32"),
        "xquad": ("38.1", "39.3", "37.4", "39.1"),
    },
}
METHODS = ("baseline", "before_dico", "freeze_realign_unfreeze_dico", "freeze_realign_unfreeze_last_half_dico")


@pytest.mark.data
def test_the_published_table_digit_for_digit(data_pack: Path) -> None:
    found = import_published(data_pack / "published" / "alignfreeze")
    assert found.dropped == {}
    assert len([note for note in found.notes if "the rows count, not the file's name" in note]) == 2
    table = pivot(found.scores, ["method"], ["model", "task"], baseline="baseline")
    lines = list(csv.DictReader(write_pivot(table, "csv").splitlines()))
    cells = {(line["method"], column): line[column] for line in lines for column in line if column != "method"}
    checked = 0
    for model, tasks in MODELS.items():
        for task, numbers in tasks.items():
            methods = list(METHODS)
            if (model, task) == ("xlm-roberta-base", "udpos"):  # its files name the back half otherwise
                methods[3] = "freeze_realign_unfreeze_last_6_dico"
            assert [cells[method, f"{model} / {task}"] for method in methods] == list(numbers)
            checked += 4
    assert checked == 48
    assert set(table.metrics.items()) == {
        ("udpos", "accuracy"),
        ("xnli", "accuracy"),
        ("wikiann", "f1"),
        ("xquad", "f1"),
    }
    assert {cell.seeds for cell in table.cells.values()} == {5}
    sizes = {column[1]: cell.languages for (_, column), cell in table.cells.items()}
    assert sizes == {"udpos": 34, "xnli": 12, "wikiann": 34, "xquad": 11}


@pytest.mark.data
def test_the_published_counts(data_pack: Path) -> None:
    """METHODS.md §2, XLM-R POS: better / worse by more than one standard deviation: full 9/1, front 17/0, back 5/6."""
    found = import_published(data_pack / "published" / "alignfreeze" / "xlm-roberta-base__opus100__udpos.csv")
    table = pivot(found.scores, ["method"], ["task"], baseline="baseline")
    counts = {row[0]: cell.counts for (row, _), cell in table.cells.items() if cell.counts}
    names = ("before_dico", "freeze_realign_unfreeze_dico", "freeze_realign_unfreeze_last_6_dico")
    assert [(counts[name].above, counts[name].below) for name in names] == [(9, 1), (17, 0), (5, 6)]
    assert all(found.win + found.tie + found.loss == 34 for found in counts.values())
    shown = write_pivot(table, "md", baseline="baseline")
    assert "| before_dico | 9/1 |" in shown
    line = next(csv.DictReader(write_pivot(table, "csv", baseline="baseline").splitlines()))
    assert (line["udpos"], line["udpos / better"]) == ("80.90", "")


def test_another_set_of_the_same_shape(tmp_path: Path) -> None:
    """Other models, tasks, strategies, seeds, languages, metrics with underscores, shares and percentages, CRLF."""
    folder = write(
        tmp_path / "set",
        "seed,model,task,method,notes,eval_bam_exact_match,eval_zh_Hans_exact_match,eval_bam_f1,eval_zh_Hans_f1,"
        "eval_avg_exact_match,eval_avg_f1,eval_same_exact_match,eval_same_f1,eval_loss\r\n"
        '3,org/glot500,kinqa,"realign, middle",x,20,40,30.5,50.5,30,40.5,70,80,1.5\r\n'
        "4,org/glot500,kinqa,baseline,x,22,42,31.5,,32,,71,81,1.5",
        "glot500__nllb__kinqa.csv",
    )
    found = import_published(folder)
    by_key = {(s.method, s.language, s.metric): s for s in found.scores}
    score = by_key["realign, middle", "zho_Hans", "f1"]
    assert (score.model, score.task, score.run, score.seed) == ("org/glot500", "kinqa", "nllb", 3)
    assert score.value == pytest.approx(0.505, abs=1e-12)
    assert by_key["baseline", "bam_Latn", "exact_match"].value == pytest.approx(0.22)
    assert by_key["baseline", "eng_Latn", "f1"].value == pytest.approx(0.81)
    assert found.dropped == {"no value": 1}
    assert any("taken as percent" in note for note in found.notes)
    assert len(found.scores) == 11
    table = pivot([s for s in found.scores if s.seed == 3], ["method"], ["model", "task"])
    assert write_pivot(table, "csv").splitlines() == ["method,org/glot500 / kinqa", '"realign, middle",40.5']


def test_files_without_columns_of_names_are_read_by_their_own_names(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", "seed,method,eval_sw_accuracy\n1,full,0.5\n", "afro-xlmr__a__b__masakhapos.csv")
    (score,) = import_published(folder).scores
    assert (score.model, score.task, score.run, score.language) == ("afro-xlmr", "masakhapos", "a__b", "swh_Latn")


def test_the_metric_is_found_without_averages_too(tmp_path: Path) -> None:
    text = "seed,model,task,method,eval_sr_Latn_macro_f1,eval_de_f1,eval_samples_per_second\n1,m,t,b,.5,.5,9\n"
    found = import_published(write(tmp_path / "set", text, "x.csv"))
    assert [(s.language, s.metric) for s in found.scores] == [("srp_Latn", "macro_f1"), ("deu_Latn", "f1")]
    assert any("eval_samples_per_second" in note for note in found.notes)


def test_codes_nobody_knows_and_codes_of_one_language_stay_apart(tmp_path: Path) -> None:
    head = "seed,model,task,method,eval_xx9_accuracy,eval_sw_accuracy,eval_swh_accuracy,eval_avg_accuracy"
    found = import_published(write(tmp_path / "set", f"{head}\n1,m,t,b,.1,.2,.3,.2\n"))
    assert {s.language: s.value for s in found.scores} == {"xx9": 0.1, "swh_Latn": 0.2, "swh": 0.3}
    assert len([note for note in found.notes if "its code" in note or "this code" in note]) == 2


def test_final_and_last_evaluation(tmp_path: Path) -> None:
    head = "seed,model,task,method,eval_de_accuracy,final_eval_de_accuracy"
    folder = write(tmp_path / "set", f"{head}\n1,m,t,b,0.5,0.6\n")
    found = import_published(folder)
    assert [s.value for s in found.scores] == [0.5]
    assert any("differ in 1 value" in note for note in found.notes)
    assert [s.value for s in import_published(folder, prefix="final_eval").scores] == [0.6]


def test_a_wrong_average_is_told(tmp_path: Path) -> None:
    found = import_published(write(tmp_path / "set", f"{HEADER}\n{ROW.replace('0.7', '0.75')}\n"))
    assert any("is not the mean of its 2 languages in 1 row (line 2 first)" in note for note in found.notes)
    assert import_published(write(tmp_path / "set", f"{HEADER}\n{ROW}\n")).notes == ()


def test_rows_that_stand_there_twice(tmp_path: Path) -> None:
    found = import_published(write(tmp_path / "set", f"{HEADER}\n{ROW}\n\n{ROW}\n"))
    assert found.dropped == {"the same value again": 3}
    other = ROW.replace("0.6,0.7", "0.4,0.6")
    with pytest.raises(DataError, match=r"qu\w*_Latn at .*:2 and 0\.4 at .*:3; .*--method-column"):
        import_published(write(tmp_path / "set", f"{HEADER}\n{ROW}\n{other}\n"))
    apart = f"{HEADER},subset\n{ROW},uriel\n{other},random\n"
    found = import_published(write(tmp_path / "set", apart), method_columns=["method", "subset"])
    assert {s.method for s in found.scores} == {"baseline uriel", "baseline random"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER}\n{ROW},1\n", [":2:", "10 values, expected 9"]),
        (f"{HEADER}\n{ROW}\n{ROW.replace('0.6', 'high')}", [":3:", "'high' is no number"]),
        (f"{HEADER}\n{ROW.replace('0.6', 'inf')}\n", [":2:", "finite"]),
        (f"{HEADER}\n{ROW.replace('0.6', '-0.6')}\n", [":2:", "-0.6", "a share or a percentage"]),
        (f"{HEADER}\n{ROW.replace('0.6', '160')}\n", [":2:", "160"]),
        (f"{HEADER}\n{ROW.replace('17', '17.5')}\n", [":2:", "seed is '17.5'"]),
        (f"{HEADER}\n{ROW.replace('baseline', '')}\n", [":2:", "method is not said"]),
        (f"{HEADER.replace('seed', 'sead')}\n{ROW}\n", [":1:", "no column 'seed'", "did you mean 'sead'"]),
        (f"{HEADER.replace('method', 'strategy')}\n{ROW}\n", [":1:", "no column 'method'", "strategy"]),
        (f"{HEADER.replace('eval_qu', 'eval_de')}\n{ROW}\n", [":1:", "stands there twice"]),
        (f'{HEADER}\n"{ROW}', ["is not CSV"]),
        ("a,b\n1,2\n", ["no file has results"]),
        ("", ["no file has results"]),
    ],
)
def test_broken_files_say_what_and_where(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        import_published(write(tmp_path / "set", text))
    assert all(word in str(error.value) for word in words), error.value


def test_no_files_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.csv files"):
        import_published(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        import_published(tmp_path / "none.csv")


def test_percentages_are_rounded_as_they_are_printed() -> None:
    assert [percentage(0.80902, 2), percentage(1.0, 1), percentage(0.0, 2)] == ["80.90", "100.0", "0.00"]
