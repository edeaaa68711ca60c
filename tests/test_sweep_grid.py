"""The cells of a sweep: what a file means, and that every mistake of every cell is told at once, with its place."""

from __future__ import annotations

import re

import pytest

from xrealign.config import load_config
from xrealign.errors import ConfigError
from xrealign.sweep.grid import LONGEST, read_sweep, run_name
from xrealign.sweep.stages import make_graph, write_cells

BASE = """name = "grid"
[encoder]
name = "{encoder}"
[select]
languages = ["deu", "swh"]
[align]
layer = 2
"""


@pytest.fixture
def read(tmp_path, tiny_encoder_folder):
    def reading(text: str, *overrides: str):
        path = tmp_path / "grid.toml"
        path.write_text(BASE.format(encoder=tiny_encoder_folder) + text, "utf-8")
        return read_sweep(path, [f"runs={tmp_path / 'runs'}", *overrides])

    return reading


@pytest.fixture
def problems(read):
    def told(text: str, *overrides: str) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            read(text, *overrides)
        return [problem[problem.index("grid.toml") :] for problem in raised.value.problems]

    return told


def test_axes_variants_and_exclusions_make_the_cells_they_say(read):
    sweep = read("""
[sweep]
seed = [17, 23]
"select.languages" = [["deu", "swh"], ["tur"]]
[[sweep.variant]]
axis = "strategy"
name = "none"
set = { "realign.steps" = 0 }
[[sweep.variant]]
axis = "strategy"
name = "full"
set = { "realign.freeze" = "none", realign.steps = 7 }
[[sweep.exclude]]
strategy = "none"
"select.languages" = [["tur"]]
""")
    assert sweep.axes == ("strategy", "select.languages", "seed")
    assert [cell.name for cell in sweep.cells] == [
        "none-deu.swh-17", "none-deu.swh-23", "full-deu.swh-17", "full-deu.swh-23", "full-tur-17", "full-tur-23",
    ]  # fmt: skip
    first, last = sweep.cells[0].config, sweep.cells[-1].config
    assert (first.name, first.realign.steps, first.seed) == ("grid-none-deu.swh-17", 0, 17)
    assert (last.realign.steps, last.realign.freeze, last.seed) == (7, "none", 23)
    assert last.select.languages == ["tur_Latn"]
    assert sweep.cells[-1].variant == ("full", "tur")
    assert dict(sweep.cells[-1].labels) == {"strategy": "full", "select.languages": "tur", "seed": "23"}


def test_keys_may_be_written_as_tables_and_overridden(read):
    dotted = read('[sweep]\n"realign.freeze" = ["none", "front"]\n')
    table = read('[sweep.realign]\nfreeze = ["none", "front"]\n')
    assert dotted == table
    assert len(read('[sweep]\n"realign.freeze" = ["none", "front"]\n', 'sweep.realign.freeze=["back"]').cells) == 1
    assert read("[sweep]\nseed = [1]\n", "realign.steps=3").cells[0].config.realign.steps == 3


def test_one_value_excluded_by_label_or_by_value(read):
    for wanted in ("17", '"17"', "[17]"):
        sweep = read(f"[sweep]\nseed = [17, 23]\n[[sweep.exclude]]\nseed = {wanted}\n")
        assert [cell.name for cell in sweep.cells] == ["23"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["grid.toml: there is no [sweep]; expected at least one axis, such as \"seed\" = [17, 23, 42]"]),
        ('[sweep]\n"realign.freez" = ["none"]\n', [
            "grid.toml:9: [sweep] realign.freez: there is no key 'realign.freez'; did you mean 'realign.freeze'?"]),
        ("[sweep]\nseed = 17\n", ["grid.toml:9: [sweep] seed: 17: expected a list of values, at least one"]),
        ("[sweep]\nseed = []\n", ["grid.toml:9: [sweep] seed: []: expected a list of values, at least one"]),
        ("[sweep]\nseed = [1, 1]\n", ["grid.toml:9: [sweep] seed: a value stands there twice"]),
        ('[sweep]\nname = ["a"]\n', [
            "grid.toml:9: [sweep] name: name is the same for all cells; set it at the top of the file"]),
        ('[sweep]\nseed = [1]\n[[sweep.variant]]\nname = "a"\nset = { seed = 3 }\n', [
            "grid.toml:9: [sweep] seed: seed is set by the axis 'variant' too; which one should count?"]),
        ("[sweep]\nseed = [1]\n[[sweep.exclude]]\nsede = 1\n", [
            "grid.toml:10: [sweep] exclude 'sede': there is no such axis; did you mean 'seed'?"]),
        ("[sweep]\nseed = [1]\n[[sweep.exclude]]\nseed = 2\n", [
            'grid.toml:10: [sweep] exclude {"seed": 2}: no cell is like that']),
        ("[sweep]\nseed = [1]\n[[sweep.exclude]]\nseed = 1\n", [
            "grid.toml:10: [sweep] exclude: every cell is excluded"]),
        ('[sweep]\nseed = [1]\n[[sweep.variant]]\nname = "a"\n[[sweep.variant]]\nname = "a"\nsat = 1\n', [
            "grid.toml:12: [sweep] variant 'a': unknown key 'sat'; expected name, set and axis",
            "grid.toml:12: [sweep] variant 'a': the axis 'variant' has two variants of this name"]),
        ('[sweep]\nseed = [1]\n[[sweep.variant]]\nname = "a"\naxis = "seed"\n', [
            "grid.toml:10: [sweep] variant 'a': axis = 'seed' has a meaning already; choose another name"]),
        ("[sweep]\nseed = [2026-01-01]\n", [
            'grid.toml:9: [sweep] seed: seed="2026-01-01": input should be a valid integer']),
    ],
)  # fmt: skip
def test_mistakes_in_the_grid_have_a_place(problems, text, told):
    assert problems(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (".".join("a" * 500) + " = 1", r"grid\.toml: lists or tables are nested too deep; expected at most 20"),
        (".".join("a" * 5000) + " = 1", r"grid\.toml: lists or tables are nested too deep; expected at most 20"),
        (f"seed = [1, 0x{'f' * 4000}]", r"grid\.toml: a number has too many digits; expected one below 9223"),
        (f"seed = [{2**63}]", r"grid\.toml: a number has too many digits; expected one below 9223"),
    ],
)
def test_a_grid_that_nothing_could_copy_or_print_is_refused(problems, text, told):
    (line,) = problems(f"[sweep]\n{text}\n")
    assert re.match(rf".*{told}", line)


def test_mistakes_of_all_cells_are_told_once_each_with_the_cells(problems):
    assert problems("""
[sweep]
seed = [1, -2]
"encoder.attention" = ["eager", "sideways"]
"align.layer" = [1, 2]
[realign]
temperature = -1
""") == [
        "grid.toml:14: realign.temperature = -1: input should be greater than 0",
        "grid.toml:10: [sweep] seed: seed=-2: input should be greater than or equal to 0 "
        "(in cells eager-1-2, eager-2-2, sideways-1-2 and 1 more)",
        "grid.toml:11: [sweep] encoder.attention: encoder.attention=\"sideways\": expected 'sdpa', 'eager' or "
        "'flash_attention_2' (in cells sideways-1-1, sideways-1-2, sideways-2-1 and 1 more)",
    ]


def test_an_axis_cannot_be_overridden_unawares(read):
    with pytest.raises(ConfigError) as raised:
        read("[sweep]\nseed = [1]\n", "seed=3")
    assert raised.value.problems == ["--set seed=3: seed is an axis of the sweep; override sweep.seed instead"]
    variants = '[[sweep.variant]]\nname = "none"\nset = { "realign.steps" = 0 }\n[[sweep.variant]]\nname = "usual"\n'
    assert [cell.config.realign.steps for cell in read(variants, "realign.steps=3").cells] == [0, 3]


def test_shared_stages_are_one_node_and_each_waits_for_its_inputs(read):
    graph = make_graph(read('[sweep]\nseed = [17, 23]\n"realign.freeze" = ["none", "front"]\n'))
    count: dict[str, int] = {}
    for name, node in graph.nodes.items():
        count[node.key] = count.get(node.key, 0) + 1
        assert all(list(graph.nodes).index(need) < list(graph.nodes).index(name) for need in node.needs)
    # One text for all; a task and a baseline for each seed; the rest for each cell.
    assert count == {
        "select": 1, "corpus": 1, "align": 1, "task": 2, "realign realigned": 4, "realign control": 4,
        "finetune baseline": 2, "finetune realigned": 4, "finetune control": 4, "evaluate baseline": 2,
        "evaluate realigned": 4, "evaluate control": 4, "measure baseline": 2, "measure realigned": 4,
        "measure control": 4,
    }  # fmt: skip
    assert sum(len(node.cells) for node in graph.nodes.values()) == 60
    needs = {node.key: {graph.nodes[need].key for need in node.needs} for node in graph.nodes.values()}
    assert needs["finetune realigned"] == {"task", "realign realigned"}
    assert needs["evaluate baseline"] == {"task", "finetune baseline"}
    assert needs["measure control"] == {"task", "select", "realign control"}


def test_what_only_the_encoder_can_tell_names_the_cells(read):
    with pytest.raises(ConfigError) as raised:
        make_graph(read('[sweep]\nseed = [17]\n"align.layer" = [2, 99]\n'))
    (told,) = raised.value.problems
    assert told.startswith("align.layer: layer 99 does not exist")
    assert told.endswith("(in cell 99-17)")


def test_a_cell_is_a_configuration_by_itself(read, tmp_path, monkeypatch):
    sweep = read('[sweep]\nseed = [17, 23]\n"realign.freeze" = ["none", "front"]\n')
    write_cells(sweep)
    monkeypatch.chdir("/")
    for cell in sweep.cells:
        alone = load_config(sweep.folder / "cells" / f"{cell.name}.toml")
        assert alone == cell.config
        assert alone.name == f"grid-{cell.name}"


def test_a_single_run_leaves_the_sweep_alone_and_says_so(read, tmp_path, capsys):
    read("[sweep]\nseed = [1]\n")
    assert load_config(tmp_path / "grid.toml").seed == 17
    assert "[sweep] is left alone" in capsys.readouterr().err


def test_long_names_are_cut_and_stay_apart():
    names = {run_name("g" * 40, "c" * 60 + str(number)) for number in range(50)}
    assert len(names) == 50
    assert all(len(name) == LONGEST for name in names)
