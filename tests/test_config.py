"""Configurations: all mistakes at once, each with its place, value, expectation and nearest name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrealign.config import MOST_TOLD, Config, load_config, to_toml
from xrealign.config_tables import VERBS
from xrealign.errors import ArtifactError, ConfigError
from xrealign.textio import LONGEST_LINE

NAME = 'name = "x"\n'
OBJECTIVES = (
    "'word', 'sentence', 'ranking', 'transliteration', 'l2', 'parameter_drift', 'infoxlm', 'dap', 'xlm_align', "
    "'transport', 'cka', 'mlm' or 'tlm'"
)


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """The lines told of a text and overrides; the file is called c.toml."""
    monkeypatch.chdir(tmp_path)

    def told(text: str, *overrides: str) -> list[str]:
        Path("c.toml").write_text(text, "utf-8")
        with pytest.raises(ConfigError) as raised:
            load_config("c.toml", overrides)
        assert str(raised.value) == "\n".join(raised.value.problems)
        return raised.value.problems

    return told


@pytest.fixture
def load(tmp_path):
    def loaded(text: str, *overrides: str) -> Config:
        path = tmp_path / "c.toml"
        path.write_text(text, "utf-8")
        return load_config(path, overrides)

    return loaded


def test_five_mistakes_are_five_lines(problems):
    text = """name = "five"
sede = 3

[encoder]
attention = "sdap"

[select]
candidates = ["deu", "germna"]
k = 2

[realign]
temperature = -1
objective = "words"
"""
    assert problems(text) == [
        "c.toml:5: encoder.attention = \"sdap\": expected 'sdpa', 'eager' or 'flash_attention_2'; did you mean 'sdpa'?",
        "c.toml:8: select.candidates = \"germna\": unknown language 'germna'; nearest: deu (German), gea (Geruma), "
        "gew (Gera); expected a code such as deu, de or deu_Latn, or a name",
        f"c.toml:13: realign.objective = \"words\": expected {OBJECTIVES}; did you mean 'word'?",
        "c.toml:12: realign.temperature = -1: input should be greater than 0",
        "c.toml:2: sede = 3: there is no such key; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "c.toml: name: this key is required"),
        (NAME + "[realign\nsteps = 3", "c.toml:2: not TOML at column 9: Expected ']'"),
        (NAME + "seed =", "c.toml:2: not TOML: Invalid value"),
        (NAME + "seed = 1\nseed = 2", "c.toml:3: not TOML: Cannot overwrite a value"),
        (NAME + "realign = 3", "c.toml:2: realign = 3: input should be a valid dictionary"),
        (NAME + "[realign]\n\nsteps = 3.5", "c.toml:4: realign.steps = 3.5: input should be a valid integer"),
        (NAME + "[realign]\nsteps = true", "c.toml:3: realign.steps = true: input should be a valid integer"),
        (NAME + "realign.steps = -5", "c.toml:2: realign.steps = -5: input should be greater than or equal to 0"),
        (NAME + "[realign]\nclip = inf", "c.toml:3: realign.clip = Infinity: input should be a finite number"),
        (NAME + "[realign]\nlearning_rate = nan", "c.toml:3: realign.learning_rate = NaN: input should be a finite"),
        (NAME + "[corpus]\nheld_out = 1.0", "c.toml:3: corpus.held_out = 1.0: input should be less than 1"),
        (
            NAME + '[corpus]\nsources = ["udhr", "cdlr"]',
            "c.toml:3: corpus.sources = \"cdlr\": expected 'udhr' or 'cldr'",
        ),
        (
            NAME + "[fintune]\nsteps = 3",
            "c.toml:2: fintune = {\"steps\": 3}: there is no such key; did you mean 'finetune'?",
        ),
        (
            NAME + "[encoder]\nzzz = 3",
            "c.toml:3: encoder.zzz = 3: there is no such key; expected one of name, revision",
        ),
        (NAME + 'source = "klingonn"', "c.toml:2: source = \"klingonn\": unknown language 'klingonn'; nearest: tlh"),
        (
            NAME + '[encoder]\nseen = "xlmr"',
            "c.toml:3: encoder.seen = \"xlmr\": expected 'xlm-r', 'mbert' or 'unknown'",
        ),
        (NAME + '[encoder]\nseen = ["de", "qqqq"]', "c.toml:3: encoder.seen = \"qqqq\": unknown language 'qqqq'"),
        (NAME + "[select]\ncandidates = 3", "c.toml:3: select.candidates = 3: expected 'embedded' or 'task'"),
        (NAME + '[select]\ncandidates = ["deu", "fra"]', "c.toml:2: select.k = 10: there are only 2 candidates"),
        (NAME + "[select]\nmax_per = { famly = 1 }", "c.toml:3: select.max_per.famly = \"famly\": expected 'family'"),
        (
            NAME + '[select]\nk = 1\ncandidates = ["de", "German"]',
            "c.toml:4: select.candidates: 'de' and 'German' are the same language, deu_Latn",
        ),
        (
            NAME + '[select]\nlanguages = ["no", "nob"]',
            "c.toml:3: select.languages: 'no' and 'nob' are the same language",
        ),
        (NAME + '[select]\nrequire = ["sw", "swh"]', "c.toml:3: select.require: 'sw' and 'swh' are the same language"),
        (
            NAME + '[task]\ntargets = ["iw", "Hebrew"]',
            "c.toml:3: task.targets: 'iw' and 'Hebrew' are the same language",
        ),
        (
            NAME + '[corpus]\nfiles = { deu = "c.toml", de = "c.toml" }',
            "c.toml:3: corpus.files: 'deu' and 'de' are the same language, deu_Latn",
        ),
        (NAME + '[corpus.files]\ndeu = "no.tsv"', 'c.toml:3: corpus.files.deu = "no.tsv": there is no such file'),
        (
            NAME + '[align]\ndictionaries.deu = "no.tsv"',
            'c.toml:3: align.dictionaries.deu = "no.tsv": there is no such',
        ),
        (NAME + '[task]\ndev = "no.tsv"', 'c.toml:3: task.dev = "no.tsv": there is no such file'),
        (NAME + '[task]\nname = "mine"', "c.toml:3: task.name: a task of your own needs task.train and task.tests"),
        (
            NAME + '[align]\naligner = "none"',
            'c.toml:3: align.aligner = "none": realign.objective = "word" needs links',
        ),
        (
            NAME + "[realign]\nobjective = { word = 1.0, mlp = 0.5 }",
            "c.toml:3: realign.objective.mlp = \"mlp\": expected 'word', 'sentence'",
        ),
        (NAME + "[realign]\nobjective = { word = 0 }", "c.toml:3: realign.objective.word = 0: input should be greater"),
        (
            NAME + "[realign]\nobjective = {}",
            "c.toml:3: realign.objective = {}: dictionary should have at least 1 item",
        ),
        (
            NAME + '[align]\naligner = "none"\n[realign]\nobjective = { sentence = 1.0, l2 = 0.5 }',
            'c.toml:3: align.aligner = "none": realign.objective = "l2" needs links',
        ),
        (
            NAME + "[realign.settings]\nquue = 3",
            "c.toml:3: realign.settings.quue = 3: there is no such key; did you mean",
        ),
        (
            NAME + "[realign.lora]\nrank = 0",
            "c.toml:3: realign.lora.rank = 0: input should be greater than or equal to 1",
        ),
        (NAME + "[realign]\nlayer = 3\nlayers = [2]", "c.toml:4: realign.layers: realign.layer is set too"),
        (
            NAME + 'align.aligner = "none"\nrealign = { objective = "sentence", code_switch = 0.5 }',
            "c.toml:3: realign.code_switch: it replaces linked words",
        ),
        (NAME + "[realign]\nevery = 1", "c.toml:3: realign.every = 1: input should be greater than or equal to 2"),
        (NAME + '[realign]\nmixture = "custom"', "c.toml:2: realign.mixture_weights: mixture"),
        (NAME + "[realign]\nmixture_weights.deu = 1.0", "c.toml:3: realign.mixture_weights: mixture"),
        (
            NAME + "[corpus.filter]\nscrip = true",
            "c.toml:3: corpus.filter.scrip = true: there is no such key; did you mean 'script'?",
        ),
        (NAME + "[corpus.filter]\nscore = 25", "c.toml:2: corpus.filter: score (a percentile) and scores (files)"),
        (
            NAME + '[corpus.filter]\nscore = 25\nscores.deu = "no.txt"',
            'c.toml:4: corpus.filter.scores.deu = "no.txt": there is no such file',
        ),
        ('name = "a b"', 'c.toml:1: name = "a b": string should match pattern'),
        ('name = "../x"', 'c.toml:1: name = "../x": string should match pattern'),
        *((f'name = "{verb}"', f'c.toml:1: name = "{verb}": results of that verb are kept') for verb in VERBS),
    ],
)
def test_one_mistake_is_one_line(problems, text, told):
    (line,) = problems(text)
    assert line.startswith(told)


def test_a_task_of_ones_own_needs_its_files(problems):
    text = NAME + '[task]\nname = "mine"\ntrain = "no.tsv"\ntests = { eng = "non.tsv" }'
    assert problems(text) == [
        'c.toml:5: task.tests.eng = "non.tsv": there is no such file',
        'c.toml:4: task.train = "no.tsv": there is no such file',
    ]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("realign.stpes=20", "--set realign.stpes=20: there is no such key; did you mean 'steps'?"),
        ("relign.steps=20", "--set relign.steps=20: there is no such key; did you mean 'realign'?"),
        ("realign.steps", "--set realign.steps: expected table.key=value, such as realign.steps=100"),
        ("=3", "--set =3: expected table.key=value, such as realign.steps=100"),
        ("realign.=3", "--set realign.=3: expected table.key=value, such as realign.steps=100"),
        ("name.x=3", "--set name.x=3: expected table.key=value, such as realign.steps=100"),
        ("seed.x=3", "--set seed.x=3: input should be a valid integer"),
        ("realign.steps=many", "--set realign.steps=many: input should be a valid integer"),
        (
            "realign.objective=words",
            f"--set realign.objective=words: expected {OBJECTIVES}; did you mean 'word'?",
        ),
        ('select.candidates=["xqzq"]', "--set select.candidates=[\"xqzq\"]: unknown language 'xqzq'"),
        ("align.dictionaries.deu=no.tsv", "--set align.dictionaries.deu=no.tsv: there is no such file"),
        ("name=realign", "--set name=realign: results of that verb are kept under this name"),
        ("align.aligner=none", '--set align.aligner=none: realign.objective = "word" needs links'),
    ],
)
def test_mistakes_in_overrides_name_the_override(problems, override, told):
    lines = problems(NAME + "[select]\nk = 1\n", override)
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_overrides_beat_the_file_and_the_last_beats_the_first(load):
    config = load(
        NAME + "[realign]\nsteps = 5\nfreeze = 'none'",
        "realign.steps=20",
        "realign.steps=30",
        "finetune.clip=2",
        "realign.objective=sentence",
        'select.candidates=["de","fr"]',
        "select.k=1",
        "realign.control=false",
        "encoder.name=some/model",
    )
    assert (config.realign.steps, config.realign.freeze, config.realign.objective) == (30, "none", "sentence")
    assert (config.finetune.clip, config.realign.control) == (2.0, False)
    assert config.select.candidates == ["deu_Latn", "fra_Latn"]
    assert config.encoder.name == "some/model"


def test_languages_are_parsed_and_words_are_not_languages(load):
    config = load(NAME + 'source = "german"\n[encoder]\nseen = ["iw"]\n[select]\ncandidates = "task"')
    assert (config.source, config.encoder.seen, config.select.candidates) == ("deu_Latn", ["heb_Hebr"], "task")
    assert load(NAME).encoder.seen == "unknown"
    assert load(NAME, "encoder.seen=xlm-r").encoder.seen == "xlm-r"


def test_files_are_where_the_configuration_is(load, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "encoder").mkdir()
    (tmp_path / "starter").mkdir()
    for name in ("de.tsv", "train.tsv", "en.tsv"):
        (tmp_path / "data" / name).touch()
    text = """name = "x"
encoder.name = "encoder"
corpus.files = { de = "data/de.tsv" }
align.dictionaries = { de = "data/de.tsv" }
task = { name = "mine", train = "data/train.tsv", dev = "data/en.tsv", tests = { en = "data/en.tsv" } }
"""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = load(text)
    monkeypatch.chdir(elsewhere)
    config = load_config("../c.toml")
    for found in (first, config):
        assert Path(found.encoder.name).is_absolute()
        assert Path(found.encoder.name).samefile(tmp_path / "encoder")
        assert Path(found.corpus.files["deu_Latn"]).samefile(tmp_path / "data" / "de.tsv")
        assert Path(found.align.dictionaries["deu_Latn"]).samefile(tmp_path / "data" / "de.tsv")
        assert Path(found.task.train).samefile(tmp_path / "data" / "train.tsv")
        assert Path(found.task.dev).samefile(tmp_path / "data" / "en.tsv")
        assert Path(found.task.tests["eng_Latn"]).samefile(tmp_path / "data" / "en.tsv")
        assert found.runs == "runs"
    assert load(NAME).encoder.name == "starter", "the word, not the folder beside the file"


def test_names_of_files_need_not_be_composed_and_what_stands_in_text_becomes_so(load, tmp_path):
    """File systems keep names as they were written; labels are compared with text, which is composed on reading."""
    apart, whole = "e\u0301", "é"
    for name in ("train", "en"):
        (tmp_path / f"{apart}-{name}.tsv").touch()
    files = f'train = "{apart}-train.tsv", tests = {{ en = "{apart}-en.tsv" }}'
    labels = ", ".join(f'{key} = {{ "{apart}1" = "{apart}2" }}' for key in ("merge", "label_names", "columns"))
    task = load(
        f'{NAME}task = {{ name = "{apart}", {files}, {labels}, drop = ["{apart}"], separator = "{apart}" }}'
    ).task
    assert Path(task.train).is_file()
    assert Path(task.tests["eng_Latn"]).is_file()
    assert task.merge == task.label_names == task.columns == {f"{whole}1": f"{whole}2"}
    assert (task.name, task.drop, task.separator) == (whole, [whole], whole)
    assert load(f'{NAME}source = "Vo\u0303ro"').source == load(f'{NAME}source = "Võro"').source == "vro_Latn"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory$"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        load_config(tmp_path)
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.toml:1: byte 0xe9 is not UTF-8; save the file as UTF-8$"):
        load_config(tmp_path / "latin.toml")


def test_files_without_end_without_a_reader_or_nested_too_deep(problems, tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ConfigError, match=r"pipe\.toml: cannot be read: is a pipe or a device, expected a file"):
        load_config(tmp_path / "pipe.toml")
    assert problems("#" * LONGEST_LINE) == [f"c.toml: more than {LONGEST_LINE - 1} bytes; is this a configuration?"]
    deep = "[" * 10_000
    assert problems(f"{NAME}x = {deep}") == ["c.toml: not TOML: lists or tables are nested too deep"]
    assert problems(NAME, f"realign.steps={deep}") == [
        "--set realign.steps=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…: lists or tables are nested too deep"
    ]
    assert problems(f"{NAME}seed = {'9' * 5000}") == ["c.toml: not TOML: a number has too many digits"]
    assert problems(NAME, "seed=1\nname=2") == ["--set seed=1: a line end is in it; give --set once for each key"]


def test_numbers_that_nothing_can_hold(problems):
    assert problems(f"{NAME}seed = {2**63}") == [f"c.toml:2: seed = {2**63}: expected a number below {2**63}"]
    told = problems(f"{NAME}[select]\nat_most = {{ seen = {2**70} }}", f"finetune.steps={2**64}")
    assert [line.partition(": expected")[0] for line in told] == [
        f"c.toml:3: select.at_most.seen = {2**70}", f"--set finetune.steps={2**64}",
    ]  # fmt: skip
    digits = f"0x{'f' * 4000}"
    assert problems(f"{NAME}seed = {digits}") == [
        f"c.toml:2: seed = a number of very many digits: expected a number below {2**63}"
    ]
    told = problems(f"{NAME}align.aligner = {digits}")  # a key of words looks for the nearest one
    assert [line.partition(": expected")[0] for line in told] == [
        "c.toml:2: align.aligner = a number of very many digits"
    ] * 2


@pytest.mark.parametrize("key", [".".join("a" * 5000), ".".join(["select.at_most", *"a" * 5000])])
def test_tables_that_dots_nest_too_deep(problems, key):
    told = ["c.toml: lists or tables are nested too deep"]
    assert problems(f"{NAME}{key} = 1") == told
    assert problems(NAME, f"{key}=1") == told


def test_of_a_key_without_end_the_beginning_is_told(problems):
    (told,) = problems(f'{NAME}"{"k" * 50_000}" = 1')
    assert told.startswith(f"c.toml:2: {'k' * 197}… = 1: there is no such key")
    assert len(told) < 1000


def test_of_thousands_of_mistakes_the_first_are_told_at_once(problems):
    unknown = ", ".join(f'"q{n}x"' for n in range(3000))
    told = problems(f'{NAME}[select]\nlanguages = ["deu", {unknown}]')
    assert len(told) == 1
    assert told[0].startswith("c.toml:3: select.languages: 3000 of 3001 are no languages; unknown language 'q0x'; near")
    told = problems(NAME + "".join(f"q{n} = {n}\n" for n in range(3000)))
    assert (len(told), told[0], told[-1]) == (
        MOST_TOLD + 1,
        "c.toml:2: q0 = 0: there is no such key; expected one of " + ", ".join(Config.model_fields),
        f"c.toml: and {3000 - MOST_TOLD} more mistakes",
    )


def test_classes_for_the_report_are_looked_at_first(problems, tmp_path):
    (tmp_path / "c.tsv").write_text("language\tclass\ndeu\t5\nswh\t2\n", "utf-8")
    (tmp_path / "c.toml").write_text(NAME + 'report.resources = "c.tsv"', "utf-8")
    assert load_config(tmp_path / "c.toml").report.resources == str(tmp_path / "c.tsv")
    (tmp_path / "c.tsv").write_text("deu\t5\nswh\t6\n", "utf-8")
    assert problems(NAME + 'report.resources = "c.tsv"') == [
        'c.toml:2: report.resources = "c.tsv": c.tsv:2: swh has class 6; expected 0 to 5'
    ]
    assert problems(NAME + 'report.resources = "d.tsv"') == [
        'c.toml:2: report.resources = "d.tsv": there is no such file'
    ]


def test_names_of_objectives_and_strategies_are_those_that_exist():
    from typing import get_args

    from xrealign.config_tables import STRATEGIES, LoraTable, Objective, ObjectiveTable, PromptTable
    from xrealign.train import strategies
    from xrealign.train.lora import LoraSettings
    from xrealign.train.objective_settings import ObjectiveSettings
    from xrealign.train.objectives import OBJECTIVES as KINDS
    from xrealign.train.prompt_tuning import PromptSettings
    from xrealign.train.realign_settings import COMPANIONS

    assert STRATEGIES == strategies.STRATEGIES
    assert get_args(Objective) == (*KINDS, *COMPANIONS)
    for table, own in (
        (LoraTable(), LoraSettings()),
        (PromptTable(), PromptSettings()),
        (ObjectiveTable(), ObjectiveSettings()),
    ):
        assert table.model_dump() == {name: getattr(own, name) for name in type(table).model_fields}


def test_ones_own_text_is_all_used_unless_languages_are_chosen(load, tmp_path):
    for name in ("de.tsv", "fr.tsv"):
        (tmp_path / name).touch()
    files = NAME + 'corpus.files = { de = "de.tsv", fr = "fr.tsv" }\n'
    assert load(files).select.languages == ["deu_Latn", "fra_Latn"]
    assert load(files + "select.k = 1").select.languages is None


@pytest.mark.parametrize(
    "text",
    [
        '[realign]\nstrategy = "before_dico"',
        '[realign]\nstrategy = "freeze_realign_unfreeze_awesome"',
        '[realign]\npreset = "published"\nsteps = 30',
        '[realign]\nstrategy = "freeze_realign_unfreeze_noaligner"\npreset = "published"\n[finetune]\nsteps = 7',
    ],
)
def test_what_a_preset_has_yet_to_fill_in_stays_open_when_written_out(load, tmp_path, tiny_encoder_folder, text):
    """A configuration, what is written out of it, and what it is settled to: all plan the same results."""
    from xrealign.plan import make_plan

    start = f'{NAME}encoder.name = "{tiny_encoder_folder}"\nalign.layer = 2\ntask.targets = ["deu"]\n'
    first = load(start + text)
    plan = make_plan(first)
    assert plan.origins
    wanted = [stage.fingerprint for stage in plan.stages.values()]
    for written in (to_toml(first), to_toml(plan.config)):
        assert [stage.fingerprint for stage in make_plan(load(written)).stages.values()] == wanted


def test_the_published_preset_fills_in_and_the_user_wins(load, tiny_encoder_folder):
    from xrealign.plan import make_plan

    start = f'{NAME}encoder.name = "{tiny_encoder_folder}"\nalign.layer = 2\ntask.targets = ["deu"]\n'
    text = start + '[realign]\npreset = "published"\nstrategy = "freeze_realign_unfreeze_noaligner"\npooling = "sum"'
    config = make_plan(load(text)).config
    realign, finetune = config.realign, config.finetune
    assert (realign.strategy, config.align.aligner, realign.objective) == ("before", "none", "sentence")
    assert (realign.freeze, realign.layer, realign.pooling) == ("blocks 1-2", 3, "sum")
    assert (realign.steps, realign.sentence_pooling, finetune.epochs, finetune.clip) == (24_544, "published", 2, None)
    own = make_plan(load(text + "\n[finetune]\nsteps = 9\nclip = 2.0")).config.finetune
    assert (own.steps, own.epochs, own.clip) == (9, None, 2.0)


def test_awesome_is_the_softmax_aligner_as_its_authors_set_it(load, tiny_encoder_folder):
    from xrealign.plan import make_plan

    start = f'{NAME}encoder.name = "{tiny_encoder_folder}"\ntask.targets = ["deu"]\n'
    plan = make_plan(load(start + 'realign.strategy = "freeze_realign_unfreeze_awesome"'))
    align, realign = plan.config.align, plan.config.realign
    assert (align.aligner, align.layer, align.level, align.threshold) == ("softmax", 3, "subword", 1e-3)  # of 4 blocks
    assert (realign.strategy, realign.freeze, realign.objective) == ("before", "front", "word")
    assert "freeze_realign_unfreeze_awesome" in plan.origins["align.threshold"]
    own = make_plan(load(start + 'realign.strategy = "before_awesome"\nalign = { layer = 2, threshold = 0.1 }'))
    assert (own.config.align.layer, own.config.align.level, own.config.align.threshold) == (2, "subword", 0.1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('realign.strategy = "befor"', "realign.strategy = 'befor': expected one of none, before"),
        ('realign.strategy = "before_dicko"', "did you mean 'before_dico'"),
        (
            'realign = { strategy = "before_dico", objective = "sentence" }',
            'realign.objective = "sentence": strategy = \'before_dico\' means "word"; leave one of the two out',
        ),
        (
            'realign = { strategy = "before_dico", freeze = "back" }',
            'realign.freeze = "back": strategy = \'before_dico\' means "none"',
        ),
        ('realign.freeze = "blocks 3-9"', "realign.freeze = 'blocks 3-9': there is no block 9"),
        ('finetune.freeze = "frontt"', "finetune.freeze = 'frontt': 'frontt' is unknown"),
        ("realign.layer = 9", "realign.layer: layer 9 does not exist"),
        ('realign.objective = "infoxlm"', "realign.layer: objective 'infoxlm' reads it by itself: layer 8 does not"),
        ('realign = { objective = "infoxlm", layers = [2, 3] }', "objective 'infoxlm' reads 1 layer, not 2"),
        ("realign.objective = { word = 1.0, mlm = 1.0 }", "mlm and tlm need the head of a masked language model"),
        (
            "realign.margin = 0.3",
            "is read by sentence, ranking, transliteration, dap alone, not by word",
        ),
        ('realign = { adapter = "lora", freeze = "gradual 5" }', "does not go with freeze = 'gradual 5'"),
        (
            'finetune = { adapter = "prompt", freeze = "front" }',
            "finetune.adapter = 'prompt' leaves the encoder as it is",
        ),
        (
            'finetune.adapter = "prompt"\nrealign.strategy = "during"',
            "finetune.adapter = 'prompt' goes with strategy = 'none' or 'before', not 'during'",
        ),
        (
            'finetune = { adapter = "prompt", max_length = 500 }',
            "finetune.prompt.length = 20: with max_length = 500 that is more than the 512 positions",
        ),
        ("finetune.max_length = 513", "finetune.max_length = 513: the encoder has 512 positions"),
        ("realign.max_length = 513", "realign.max_length = 513: the encoder has 512 positions"),
        ('align.aligner = "argmax"\nalign.max_length = 513', "align.max_length = 513: the encoder has 512 positions"),
        ("measure.max_length = 513", "measure.max_length = 513: the encoder has 512 positions"),
        ('finetune = { adapter = "prompt", max_length = 513 }', "more than the 512 positions of the encoder"),
        ('realign = { front_cache = 1.0, freeze = "none" }', "needs a front that stays, such as freeze = 'front'"),
        ('realign = { front_cache = 1.0, strategy = "during" }', "realign.front_cache is for strategy = 'before' or"),
        ("corpus.filter = { min_words = 5, max_words = 3 }", "corpus.filter: min_words = 5 is above max_words = 3"),
    ],
)
def test_what_does_not_fit_the_encoder_is_told_before_the_first_stage(load, tiny_encoder_folder, text, told):
    from xrealign.plan import make_plan

    start = f'{NAME}encoder.name = "{tiny_encoder_folder}"\nalign.layer = 2\ntask.targets = ["deu"]\n'
    with pytest.raises(ConfigError) as raised:
        make_plan(load(start + text))
    assert len(raised.value.problems) == 1
    assert told in raised.value.problems[0]


def test_lengths_that_nothing_reads_are_not_looked_at(load, tiny_encoder_folder):
    from xrealign.plan import make_plan

    start = f'{NAME}encoder.name = "{tiny_encoder_folder}"\ntask.targets = ["deu"]\n'
    idle = 'realign = { strategy = "none", max_length = 513 }\nalign = { aligner = "dictionary", max_length = 513 }\n'
    make_plan(load(start + idle + "finetune.max_length = 512"))
    with pytest.raises(ConfigError, match=r"^align\.max_length = 513: the encoder has 512 positions$"):
        make_plan(load(start + idle + "corpus.filter.similarity = 50"))


@pytest.mark.parametrize("blocks", ["many", 2.5, []])
def test_an_encoder_of_no_number_of_blocks(load, tiny_encoder_folder, tmp_path, blocks):
    from xrealign.plan import make_plan

    folder = shutil.copytree(tiny_encoder_folder, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": blocks}), "utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json: the number of blocks is .*; expected a number"):
        make_plan(load(f'{NAME}encoder.name = "{folder}"\ntask.targets = ["deu"]\n'))


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "configs").glob("*.toml")), ids=lambda p: p.name
)
def test_configurations_that_come_along_are_sound(path, tmp_path):
    config = load_config(path)
    assert config.name == path.stem
    (tmp_path / "again.toml").write_text(to_toml(config), "utf-8")
    assert load_config(tmp_path / "again.toml") == config


SETTINGS = {
    "seed": st.integers(0, 2**40),
    "source": st.sampled_from(["eng", "German", "zh-TW", "sw"]),
    "runs": st.text("abcäß的 \"'\\/.\t\n", min_size=1),
    "encoder.revision": st.text("abc'\"\\{}=#", min_size=1),
    "encoder.seen": st.one_of(st.just("mbert"), st.lists(st.sampled_from(["de", "fr", "yo"]), unique=True)),
    "select.k": st.integers(1, 100),
    "select.languages": st.lists(st.sampled_from(["deu", "fra", "yor"]), unique=True),
    "select.max_per": st.dictionaries(st.sampled_from(["family", "script"]), st.integers(1, 9)),
    "select.at_least": st.dictionaries(st.sampled_from(["unseen", "script:Latn", "family:Indo European"]),
                                       st.integers(1, 3)),
    "corpus.sources": st.lists(st.sampled_from(["udhr", "cldr"]), min_size=1),
    "corpus.held_out": st.floats(0, 0.99),
    "align.drop_identical": st.booleans(),
    "realign.learning_rate": st.floats(1e-12, 0.5),
    "realign.layer": st.integers(-13, 12),
    "realign.clip": st.floats(1e-9, 1e30),
    "finetune.weight_decay": st.floats(0, 1e6),
    "task.targets": st.lists(st.sampled_from(["deu", "fra", "yor"]), unique=True),
}  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(st.fixed_dictionaries({}, optional=SETTINGS))
def test_what_is_written_out_is_read_again(tmp_path_factory, chosen):
    folder = tmp_path_factory.mktemp("config")
    (folder / "c.toml").write_text(NAME, "utf-8")
    overrides = [f"{key}={inline(value)}" for key, value in chosen.items()]
    config = load_config(folder / "c.toml", overrides)
    for key, value in chosen.items():
        part = config
        for name in key.split("."):
            part = getattr(part, name)
        if isinstance(value, float | int | dict) or key in {"runs", "encoder.revision"}:
            assert part == value
    text = to_toml(config)
    (folder / "again.toml").write_text(text, "utf-8")
    assert load_config(folder / "again.toml") == config
    assert to_toml(load_config(folder / "again.toml")) == text


def inline(value) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)
