"""The verb: numbers are those of the library, formats agree, before and after, odd input."""

from __future__ import annotations

import csv
import io
import json
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from xrealign.errors import ArtifactError, ConfigError, DataError
from xrealign.measure.correlation import correlate
from xrealign.measure.retrieval import centre, retrieval_hits
from xrealign.measure.show import TABLES, show_results
from xrealign.measure_command import app
from xrealign.model.encoder import load_encoder
from xrealign.model.vectors import sentence_vectors
from xrealign.report.scores import read_scores, write_scores
from xrealign.types import Score


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def bitexts(tmp_path_factory, udhr_lines):
    folder = tmp_path_factory.mktemp("bitexts")
    for name in ("deu_Latn", "swh_Latn", "rus_Cyrl"):
        rows = [f"{a}\t{b}" for a, b in zip(udhr_lines["eng_Latn"], udhr_lines[name], strict=True)]
        (folder / f"{name}.tsv").write_text("\n".join(dict.fromkeys(rows)) + "\n", "utf-8")
    return folder


@pytest.fixture
def base(bitexts, tiny_encoder_folder):
    """Options that every call here shares: a bitext, links by the tiny encoder."""
    return [
        "--bitext", bitexts / "deu_Latn.tsv", "--langs", "eng-deu", "--link-encoder", tiny_encoder_folder,
        "--link-layer", 2, "--resamples", 100,
    ]  # fmt: skip


def test_numbers_are_those_of_the_library(base, bitexts, tiny_encoder_folder):
    out = json.loads(call("--encoder", tiny_encoder_folder, *base, "--layers", "0,3,-1", "--format", "json"))
    assert sorted({r["layer"] for r in out["results"]}) == [0, 3, 4]
    rows = [line.split("\t") for line in (bitexts / "deu_Latn.tsv").read_text("utf-8").splitlines()]
    encoder = load_encoder(str(tiny_encoder_folder))
    assert out["bitexts"][0]["counts"]["sentences"] == len(rows)
    for layer in (0, 3, 4):
        src, tgt = (sentence_vectors(encoder, [row[side] for row in rows], layer) for side in (0, 1))
        for variant, (a, b) in {"raw": (src, tgt), "centred": (centre(src), centre(tgt))}.items():
            found = {
                r["metric"]: r["value"]
                for r in out["results"]
                if (r["measure"], r["layer"], r["variant"]) == ("sentence-retrieval", layer, variant)
            }
            assert found["weak_src_to_tgt"] == pytest.approx(retrieval_hits(a, b).mean())
            assert found["weak_tgt_to_src"] == pytest.approx(retrieval_hits(b, a).mean())
            assert found["weak"] == pytest.approx((retrieval_hits(a, b).mean() + retrieval_hits(b, a).mean()) / 2)
            assert found["strong"] <= found["weak"]
    words = [r for r in out["results"] if r["measure"] == "word-retrieval"]
    assert {r["n"] for r in words} == {out["bitexts"][0]["counts"]["word pairs"]}
    assert words[0]["n"] > 20
    assert out["differences"] == out["left_out"] == []


def test_word_retrieval_by_hand(base, bitexts, tiny_encoder_folder, tmp_path):
    """Links given: the first word with the first; the vectors are the pooled states, weak and strong by hand."""
    from xrealign.model.layer_vectors import word_layers
    from xrealign.segment import spans_by_blanks

    rows = [line.split("\t") for line in (bitexts / "deu_Latn.tsv").read_text("utf-8").splitlines()]
    links = tmp_path / "l.pharaoh"
    links.write_text("0-0\n" * len(rows), "utf-8")
    arguments = [
        "--links",
        links,
        "--words",
        "split",
        "--layers",
        2,
        "--measures",
        "word-retrieval",
        "--format",
        "json",
    ]
    out = json.loads(call("--encoder", tiny_encoder_folder, *base, *arguments))
    encoder = load_encoder(str(tiny_encoder_folder))
    different = [n for n, (a, b) in enumerate(rows) if a.split(" ")[0].casefold() != b.split(" ")[0].casefold()]
    wanted = np.array([[n, 0] for n in different])
    sides = []
    for side in (0, 1):
        texts = [row[side] for row in rows]
        first = [text.split(" ")[0] for text in texts]
        spans = [np.array([[0, len(word)]]) for word in first]
        assert spans_by_blanks("a b").shape == (2, 2)
        sides.append(word_layers(encoder, texts, spans, wanted, [2])[0][2].astype(np.float64))
    src, tgt = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    across, inside = src @ tgt.T, src @ src.T
    np.fill_diagonal(inside, -np.inf)
    own = np.diagonal(across).copy()
    np.fill_diagonal(across, -np.inf)
    found = {r["metric"]: r for r in out["results"] if r["variant"] == "raw"}
    assert found["weak_src_to_tgt"]["n"] == len(different)
    assert found["weak_src_to_tgt"]["value"] == pytest.approx((own > across.max(axis=1) + 1e-6).mean())
    strong = (own > np.maximum(across.max(axis=1), inside.max(axis=1)) + 1e-6).mean()
    assert found["strong_src_to_tgt"]["value"] == pytest.approx(strong)


def test_every_measure_over_three_languages(bitexts, base, tiny_encoder_folder, tmp_path):
    more = []
    for name in ("swh", "rus"):
        path = next(bitexts.glob(f"{name}_*.tsv"))
        more += ["--bitext", path, "--langs", f"eng-{name}"]
    folder = tmp_path / "similar"
    out = json.loads(
        call("--encoder", tiny_encoder_folder, *base, *more, "--measures", "all", "--layers", "1,4", "--format", "json",
             "--similarity-folder", folder)
    )  # fmt: skip
    assert {r["measure"] for r in out["results"]} == {
        "word-retrieval", "word-cosine", "word-cka", "sentence-retrieval", "sentence-cosine", "sentence-cka",
        "anisotropy", "mining", "mexa", "neurons", "pool", "identity",
    }  # fmt: skip
    assert out["identity_majority"] == 0.25
    pool = [r for r in out["results"] if r["measure"] == "pool"]
    assert {r["tgt"] for r in pool} == {"eng_Latn", "deu_Latn", "swh_Latn", "rus_Cyrl"}
    for matrix in out["similarity"]:
        assert matrix["languages"] == ["eng_Latn", "deu_Latn", "swh_Latn", "rus_Cyrl"]
    by_name = {path.name for path in folder.iterdir()}
    stem = f"{tiny_encoder_folder.name}-layer04-centred"
    assert len(by_name) == 8
    assert f"{stem}.png" in by_name
    assert (folder / f"{stem}.png").read_bytes()[:4] == b"\x89PNG"
    table = [line.split("\t") for line in (folder / f"{stem}.tsv").read_text("utf-8").splitlines()]
    matrix = next(m for m in out["similarity"] if (m["layer"], m["variant"]) == (4, "centred"))["matrix"]
    assert [[float(cell) for cell in row[1:]] for row in table[1:]] == matrix


@pytest.fixture(scope="module")
def moved_encoder(tmp_path_factory, tiny_encoder_folder):
    """The tiny encoder with the weights of its last block jittered."""
    import torch

    from xrealign.model.encoder import save_encoder
    from xrealign.model.layers import find_blocks

    encoder = load_encoder(str(tiny_encoder_folder))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in find_blocks(encoder.model)[-1].parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    folder = tmp_path_factory.mktemp("moved") / "after"
    save_encoder(encoder, folder)
    return folder


def test_before_and_after(base, tiny_encoder_folder, moved_encoder):
    names = ["--encoder", f"before={tiny_encoder_folder}", "--encoder", f"after={moved_encoder}"]
    out = json.loads(call(*names, *base, "--layers", "3,4", "--format", "json"))
    values = {(r["encoder"], r["measure"], r["metric"], r["layer"], r["variant"]): r["value"] for r in out["results"]}
    assert len(out["differences"]) * 2 == len(out["results"])
    moved = 0
    for d in out["differences"]:
        before, after = (values[n, d["measure"], d["metric"], d["layer"], d["variant"]] for n in ("before", "after"))
        assert d["difference"] == pytest.approx(after - before, abs=1e-12)
        assert (d["before"], d["after"]) == ("before", "after")
        assert d["low"] <= d["difference"] + 1e-9
        assert d["difference"] <= d["high"] + 1e-9
        if d["layer"] == 3:
            assert d["difference"] == d["low"] == d["high"] == 0  # the last block alone was changed
        moved += d["difference"] != 0
    assert moved > 10
    text = call(*names, *base, "--layers", "4", "--measures", "sentence-cosine")
    assert "after − before, raw" in text
    assert text.splitlines()[0] == "sentence-cosine, eng_Latn-deu_Latn, raw / centred"


def test_the_mean_over_languages_has_an_interval_too(bitexts, base, tiny_encoder_folder, moved_encoder):
    more = ["--bitext", bitexts / "swh_Latn.tsv", "--langs", "eng-swh", "--measures", "sentence-cosine", "--layers", 4]
    names = ["--encoder", f"a={tiny_encoder_folder}", "--encoder", f"b={moved_encoder}"]
    out = json.loads(call(*names, *base, *more, "--format", "json"))
    rows = {(d["metric"], d["variant"], d["tgt"]): d for d in out["differences"]}
    for metric in ("translations", "margin"):
        parts = [rows[metric, "raw", tag] for tag in ("deu_Latn", "swh_Latn")]
        mean = rows[metric, "raw", "mean"]
        assert mean["difference"] == pytest.approx(np.mean([p["difference"] for p in parts]))
        assert mean["n"] == sum(p["n"] for p in parts)
        width = [row["high"] - row["low"] for row in (mean, *parts)]
        assert 0 < width[0] < max(width[1:])
    text = call(*names, *base, *more, "--format", "md")
    assert "| layer | encoder | eng_Latn-deu_Latn | eng_Latn-swh_Latn | mean |" in text


def test_formats_hold_the_same_numbers(base, tiny_encoder_folder, tmp_path):
    arguments = ["--encoder", f"tiny={tiny_encoder_folder}", *base, "--layers", "2", "--measures", "sentence-retrieval"]
    records = json.loads(call(*arguments, "--format", "json"))["results"]
    table = list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv", "-o", tmp_path / "m.parquet"))))
    assert [float(row["value"]) for row in table] == [r["value"] for r in records]
    assert {row["method"] for row in table} == {"tiny"}
    scores = read_scores(tmp_path / "m.parquet")
    assert [s.value for s in scores] == [r["value"] for r in records]
    assert {(s.task, s.language, s.layer) for s in scores} == {("sentence-retrieval", "deu_Latn", 2)}
    weak = next(r for r in records if r["metric"] == "weak" and r["variant"] == "raw")["value"]
    assert f"{weak:.3f} / " in call(*arguments)
    assert f"{weak:.3f} / " in call(*arguments, "--format", "md")


def test_without_languages_the_file_lends_its_name(bitexts, tiny_encoder_folder):
    out = json.loads(
        call("--encoder", tiny_encoder_folder, "--bitext", bitexts / "swh_Latn.tsv", "--link-encoder",
             tiny_encoder_folder, "--link-layer", -1, "--layers", 1, "--format", "json")
    )  # fmt: skip
    assert {(r["src"], r["tgt"]) for r in out["results"]} == {("source", "swh_Latn")}


def test_what_cannot_be_measured_is_left_out_and_said(tmp_path, tiny_encoder_folder, capsys):
    path = tmp_path / "x.tsv"
    path.write_text("a b c\td e f\nthe house\tdas Haus\nno\tnein\n", "utf-8")
    links = tmp_path / "l"
    links.write_text("\n0-0\n\n", "utf-8")
    out = json.loads(
        call("--encoder", tiny_encoder_folder, "--bitext", path, "--links", links, "--layers", "1", "--measures", "all",
             "--format", "json")
    )  # fmt: skip
    told = "\n".join(out["left_out"])
    assert "word-retrieval of source-x: 1 word pairs, at least 2 needed" in told
    assert "mining of source-x: 3 sentences, at least 12 needed" in told
    assert "identity: the bitexts share 3 source sentences, at least 10 needed" in told
    assert {r["measure"] for r in out["results"]} >= {"sentence-retrieval", "mexa", "neurons"}


def test_odd_options_are_refused_by_name(base, bitexts, tiny_encoder_folder, tmp_path):
    encoder = ["--encoder", tiny_encoder_folder]
    deu = bitexts / "deu_Latn.tsv"
    for arguments, told in (
        (["--measures", "sentense-retrieval"], "did you mean 'sentence-retrieval'"),
        (["--measures", ","], "names none"),
        (["--layers", "5"], "layer 5 does not exist"),
        (["--layers", "one"], "expected `all`, or numbers"),
        (["--format", "jsno"], "did you mean 'json'"),
        (["--word-pooling", "median"], "--word-pooling median is unknown"),
        (["--sentence-pooling", "cls"], "--sentence-pooling cls is unknown"),
        (["-o", tmp_path / "m.xlsx"], "ends in .parquet or .csv"),
        (["--similarity-folder", tmp_path / "a" / "b"], "there is no folder"),
        (["--langs", "eng-swh"], "2 --langs for 1 --bitext"),
        (["--links", deu, "--links", deu], "2 --links for 1 --bitext"),
        (["--bitext", deu, "--langs", "eng-de"], "two bitexts of eng_Latn-deu_Latn"),
        (["--device", "tpu"], "--device tpu is unknown"),
        (["--encoder", tiny_encoder_folder], "there is an encoder"),
    ):
        with pytest.raises(ConfigError, match=told):
            call(*encoder, *base, *arguments)
    with pytest.raises(ArtifactError, match=r"config\.json"):
        call("--encoder", tmp_path, *base, "--measures", "sentence-cosine")
    broken = tmp_path / "b.tsv"
    broken.write_text("a\tb\nc d\n", "utf-8")
    with pytest.raises(DataError, match=r"b\.tsv:2: 1 tab-separated column"):
        call(*encoder, "--bitext", broken)


def test_the_command_line_says_errors_in_one_line(monkeypatch, tmp_path, capsys):
    from xrealign.cli import main

    (tmp_path / "b.tsv").write_text("a\tb\nc d\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["xrealign", "measure", "--bitext", str(tmp_path / "b.tsv")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/b.tsv:2: ")


def score(language, value, seed=1, **more):
    return Score("r", "baseline", "xnli", language, "accuracy", value, 100, seed, **more)


def test_correlate_on_files(tmp_path):
    draw = np.random.default_rng(0)
    tags = ["deu_Latn", "fra_Latn", "swh_Latn", "hin_Deva", "tur_Latn"]
    scores = [score("eng_Latn", 0.8)] + [score(tag, float(draw.uniform(0.4, 0.8))) for tag in tags]
    measures = [
        Score("m", "baseline", "word-retrieval", tag, "strong", float(draw.random()), 9, 0, layer, "raw")
        for tag in tags
        for layer in (0, 1)
    ]
    write_scores(scores, tmp_path / "s.csv")
    write_scores(measures, tmp_path / "m.parquet")
    arguments = [
        "correlate",
        tmp_path / "m.parquet",
        tmp_path / "s.csv",
        "--join",
        "method,language",
        "--resamples",
        200,
    ]
    out = json.loads(call(*arguments, "--format", "json"))["correlations"]
    expected, _ = correlate(measures, scores, join=("method", "language"), resamples=200)
    assert [(r["layer"], r["rho"], r["low"]) for r in out] == [(c.layer, c.rho, c.low) for c in expected]
    rows = list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv"))))
    assert [float(row["rho"]) for row in rows] == [r["rho"] for r in out]
    assert rows[0]["layer"] == "0"
    assert f"{out[0]['rho']:+.3f}" in call(*arguments)
    with pytest.raises(ConfigError, match="--join colour"):
        call(*arguments[:3], "--join", "colour")
    with pytest.raises(DataError, match="no measure has 4 scores"):
        call(*arguments[:3])


def test_a_table_with_a_gap_says_so():
    from xrealign.measure.measured import measured
    from xrealign.measure.results import Result

    number, clusters = measured(np.array([0.0, 1, 1])), np.arange(3)
    results = [
        Result("e", "sentence-retrieval", "weak", "eng", tgt, layer, "raw", number, clusters)
        for tgt, layer in (("deu", 0), ("deu", 1), ("swh", 1))
    ]
    text = show_results(results, [], TABLES["table"])
    assert text.splitlines()[2].split() == ["0", "0.667", "/", "–", "–", "/", "–", "–", "/", "–"]


def test_the_apps_are_typer_groups():
    group = typer.main.get_command(app)
    assert set(group.commands) == {"encoders", "correlate"}
