"""Every verb that writes something, with arguments small enough to try it many times."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tiny
from harness import cli, fork, last_line


@dataclass(frozen=True)
class Verb:
    """A command that writes.

    Attributes:
        arguments: with ``{data}`` for the folder of a finished experiment, ``{out}`` for the output.
        output: its name; a folder when it has no ending.
        keeps: beginnings of the names of hidden folders in which a stopped command keeps what it goes on from.
    """

    name: str
    arguments: str
    output: str
    keeps: str = ""


TEXT = "{data}/words.tsv"
ENCODER = "--encoder {data}/encoder"
MODELS = "{data}/runs/tiny/models"
SCORES = "{data}/runs/tiny/scores.parquet"
VERBS = (
    Verb("align", f"align {TEXT} -o {{out}} {ENCODER} --layer 2", "links.txt"),
    Verb("align --words-out", f"align {TEXT} -o /dev/null --words-out {{out}} {ENCODER} --layer 2", "words.tsv"),
    Verb("align train", f"align train {TEXT} -o {{out}} --aligner ibm1 --iterations 1", "model"),
    Verb("align train-supervised", f"align train-supervised {{data}}/gold.tsv -o {{out}} {ENCODER} --steps 2",
         "aligner", ".aligner.training"),
    Verb("align tune", f"align tune {TEXT} -o {{out}} {ENCODER} --layer 2 --steps 2 --batch-size 4", "tuned",
         ".tuned.tuning"),
    Verb("average", f"average {MODELS}/baseline {MODELS}/control -o {{out}}", "mean"),
    Verb("transform", f"transform swh -o {{out}} {ENCODER} --pairs swh={{data}}/eng-swh.tsv", "mapped"),
    Verb("evaluate", f"evaluate --model {MODELS}/baseline --task class --data swh={{data}}/swh.tsv -o {{out}}",
         "predictions.jsonl"),
    Verb("measure", f"measure {ENCODER} --link-encoder {{data}}/encoder --link-layer 2 --bitext {{data}}/eng-swh.tsv "
         "--langs eng-swh --measures sentence-retrieval --layers 2 --resamples 100 -o {out}", "measures.parquet"),
    Verb("measure --similarity-folder", f"measure {ENCODER} --bitext {{data}}/eng-swh.tsv --langs eng-swh --measures "
         "similarity --layers 2 --resamples 100 --similarity-folder {out}", "similarity"),
    Verb("distances", f"distances eng,deu,swh -o {{out}} {ENCODER} --kind overlap", "matrix.tsv"),
    Verb("select --plots", "select --candidates deu,fra,swh,tur -k 2 --plots {out}", "pictures"),
    Verb("report languages", f"report languages -o {{out}} --languages eng,deu,swh {ENCODER}", "languages.tsv"),
    Verb("report table", f"report table {SCORES} -o {{out}}", "table.md"),
    Verb("report stats", f"report stats {SCORES} -o {{out}}", "stats.md"),
    Verb("report import-published", "report import-published {data}/published -o {out}", "scores.csv"),
    Verb("compare", f"compare {SCORES} -o {{out}}", "compared.md"),
    Verb("compare --format html", f"compare {SCORES} --format html -o {{out}}", "compared.html"),
)  # fmt: skip


def arguments(verb: Verb, data: Path, out: Path | str) -> list[str]:
    """The command line of a verb."""
    return [part.format(data=data, out=out) for part in verb.arguments.split()]


@functools.cache
def finished(folder: Path, figures: Sequence[str] = ()) -> Path:
    """A folder with a finished experiment in ``runs/tiny`` and the inputs of `VERBS`; made once.

    Raises:
        RuntimeError: the experiment did not come through.
    """
    if not (folder / "runs" / "tiny" / "run.json").is_file():  # another module of this process may have made it
        _make(folder, figures)
    return folder


def _make(folder: Path, figures: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tiny.config(folder, figures=figures)
    rows = (folder / "eng-swh.tsv").read_text("utf-8").splitlines()
    (folder / "words.tsv").write_text("\n".join(rows[:8]) + "\n", "utf-8")
    (folder / "gold.tsv").write_text("".join(f"{row}\t0-0 1-1\n" for row in rows[:8]), "utf-8")
    (folder / "published").mkdir(exist_ok=True)
    table = "model,method,seed,eval_same_accuracy,eval_deu_accuracy\nxlmr,baseline,1,0.9,0.8\n"
    (folder / "published" / "xlmr__xnli__xnli.csv").write_text(table, "utf-8")
    ended = fork(cli("run", "tiny.toml"), folder=folder, limit=600)
    if ended.code:
        raise RuntimeError(f"the experiment itself failed: {last_line(ended)}")


def without_kept(verb: Verb, files: dict[str, str]) -> dict[str, str]:
    """Without what the command may keep to go on from."""
    return {name: digest for name, digest in files.items() if not (verb.keeps and name.startswith(verb.keeps))}
