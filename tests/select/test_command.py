"""The command: one JSON object on standard output, user errors as XrealignError, help that teaches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from xrealign.errors import ConfigError, LanguageError, XrealignError
from xrealign.select.command import select_command

app = typer.Typer()
app.command()(select_command)


def run(*arguments: str) -> str:
    """Standard output; errors are raised."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def record(*arguments: str) -> dict:
    return json.loads(run(*arguments, "--format", "json"))


def test_json_has_what_others_read() -> None:
    found = record("--candidates", "deu,fra,fin,tur,zho,jpn,ara,sw", "--fixed", "eng", "--k", "3")
    assert set(found) >= {"subset", "value", "bound", "optimal", "seconds"}
    assert len(found["subset"]) == 3
    assert "eng" not in found["subset"]
    assert found["optimal"] is True
    assert found["bound"] >= found["value"]
    pool = ("--candidates", "deu,fra,fin,tur,zho,jpn,arb,swh", "--fixed", "eng")
    same = record(*pool, "--value-of", ",".join(found["subset"]))
    assert same["value"] == pytest.approx(found["value"])
    assert same["optimal"] is True
    worse = record(*pool, "--value-of", "deu,fra,fin")
    assert worse["value"] < found["value"]
    assert worse["bound"] == pytest.approx(found["value"])
    assert worse["optimal"] is False


def test_constraints_and_targets() -> None:
    found = record("--candidates", "published-65", "--fixed", "eng", "-k", "5", "--require", "sw", "--exclude", "kat",
                   "--max-per", "family=1", "--max-per", "script=2")  # fmt: skip
    assert "swh" in found["subset"]
    assert "kat" not in found["subset"]
    families = [member["family"] or member["name"] for member in found["members"]]
    assert len(set(families)) == 6
    found = record("--candidates", "published-65", "--criterion", "facility", "--targets", "quy,aym", "-k", "2")
    assert found["diversity"]["target_distance"] < 0.6
    assert found["targets"] == ["ayr", "quy"]
    found = record("--candidates", "published-65", "-k", "6", "--seen", "xlm-r", "--at-least", "unseen=4")
    assert sum(x in "bam ewe fon ibo kin lin luo lug mos nya sna tsn twi wol yor zul" for x in found["subset"]) >= 4


def test_named_sets() -> None:
    found = record("--candidates", "embedded", "--fixed", "eng", "-k", "3", "--time-limit", "1")
    assert len(found["subset"]) == 3


def test_tables_of_costs_sentences_and_classes(tmp_path: Path) -> None:
    (tmp_path / "costs.tsv").write_text("language\tcost\ndeu\t1\nfr\t2\nfin\t8\nswa\t4\n", encoding="utf-8")
    (tmp_path / "classes.tsv").write_text("deu\t5\nfra\t5\nfin\t4\nswh\t2\n", encoding="utf-8")
    pool = ("--candidates", "deu,fra,fin,swh", "--k", "2")
    found = record(*pool, "--costs", str(tmp_path / "costs.tsv"), "--budget", "3")
    assert found["subset"] == ["deu", "fra"]
    found = record(*pool, "--criterion", "low-resource", "--resources", str(tmp_path / "classes.tsv"))
    assert found["subset"] == ["fin", "swh"]
    assert found["value"] == 4
    found = record(*pool, "--sentences", str(tmp_path / "costs.tsv"), "--min-sentences", "3")
    assert found["subset"] == ["fin", "swh"]
    text = run(*pool, "--compare", "maxsum least-maxsum", "--costs", str(tmp_path / "costs.tsv"), "--format", "csv")
    head, first, second = text.strip().split("\n")
    assert "shared with maxsum" in head
    assert "cost" in head
    assert first.startswith("maxsum,")
    assert second.startswith("least-maxsum,")
    both = json.loads(run(*pool, "--compare", "maxsum least-maxsum", "--format", "json"))
    assert both["overlap"]["maxsum"]["maxsum"] == 2


def test_explanation_and_pictures(tmp_path: Path) -> None:
    pool = ("--candidates", "deu,fra,fin,tur,zho,jpn,arb,swh", "--fixed", "eng", "-k", "3")
    text = run(*pool, "--explain", "--plots", str(tmp_path / "pictures"))
    assert "Runner-up" in text
    assert "Had it no data" in text
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["heat.png", "map.png", "space.png"]
    reasons = json.loads(run(*pool, "--explain", "--format", "json"))["reasons"]
    assert len(reasons) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--candidates", "deu,fra,swahilli"), "unknown language 'swahilli'; nearest: swh"),
        (("--candidates", "deu,fra,de"), "German .* 'deu' and as 'de'"),
        (("--candidates", "ara,arb,deu"), "'ara' and as 'arb'"),
        (("--candidates", "published-65", "--criterion", "maxsumm"), "did you mean 'maxsum'"),
        (("--candidates", "published-65", "--distance", "uriel"), "unknown distance 'uriel'"),
        (("--candidates", "published-65", "-k", "40", "--max-per", "family=1"), "max-per family=1 .* relax one"),
        (("--candidates", "published-65", "--max-per", "family"), "family=1"),
        (("--candidates", "published-65", "--value-of", "deu,ces"), "ces, not among the candidates"),
        (("--candidates", "published-65", "--format", "yaml"), "unknown format 'yaml'"),
        (("--candidates", "published-65", "--min-sentences", "5"), "--sentences"),
        (("--candidates", "published-65", "-k", "0"), "k = 0"),
        (("--candidates", "no/such/file.txt"), "no/such/file.txt: cannot be read"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(XrealignError, match=message):
        CliRunner().invoke(app, [*arguments, "--format", "json"] if "--format" not in arguments else list(arguments),
                           catch_exceptions=False)  # fmt: skip


def test_msa_beside_ind_gets_a_note() -> None:
    found = record("--candidates", "msa,ind,deu,swh", "-k", "2")
    assert found["notes"] == ["ind (Indonesian) is a member of the macrolanguage msa (Malay)"]


def test_error_types() -> None:
    with pytest.raises(LanguageError):
        run("--candidates", "xxq,deu")
    with pytest.raises(ConfigError):
        run("--candidates", "published-65", "--compare", "maxsum random", "--explain")


def test_help_teaches() -> None:
    text = run("--help")
    for word in ("published-65", "facility", "Examples", "unseen"):
        assert word in text


def test_nothing_but_the_result_on_standard_output() -> None:
    """HiGHS prints from its own library; that must not reach the output."""
    program = (
        "import typer; from xrealign.select.command import select_command; app = typer.Typer(); "
        "app.command()(select_command); app()"
    )
    arguments = ["--candidates", "published-65", "-k", "8", "--criterion", "maxsum=1,families=0.5", "--time-limit", "2"]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--format", "json"], capture_output=True, text=True, check=True
    )
    assert len(json.loads(result.stdout)["subset"]) == 8
