"""Configurations: TOML files, sweeps, and ``--set``."""

from __future__ import annotations

from cases_text.case import Case, device, fifo, folder, long_line, unreadable

BASE = 'name = "x"\n'


def toml(name, content, *told, **settings):
    """A case of a configuration, looked at by `xrealign check`."""
    return Case(name, "check x.toml", told, {"x.toml": content}, **settings)


def override(name, words, *told, **settings):
    """A case of `--set`."""
    return Case(name, "check x.toml", told, {"x.toml": BASE}, words=("--set", words), **settings)


def sweep(name, content, *told, **settings):
    """A case of a sweep."""
    return Case(name, "sweep x.toml --dry-run", told, {"x.toml": BASE + content}, **settings)


LIST = ", ".join(f'"q{n}x"' for n in range(5000))
CASES = (
    toml("toml-no-toml", "name = x\n", "x.toml:1: not TOML", fast=True),
    toml("toml-empty", "", "x.toml", "name: this key is required"),
    toml("toml-unclosed", BASE + "[select\n", "x.toml:2: not TOML"),
    toml("toml-key-twice", BASE + 'name = "y"\n', "x.toml:2: not TOML", "overwrite"),
    toml("toml-table-twice", BASE + "[select]\nk = 1\n[select]\nk = 2\n", "x.toml:4: not TOML"),
    toml(
        "toml-table-is-a-value",
        "name = 3\nselect = 5\n",
        "x.toml:2: select = 5: ",
        "x.toml:1: name = 3: ",
        together=True,
    ),
    toml("toml-table-is-a-list", BASE + "[[select]]\nk = 1\n", "x.toml:2: select"),
    toml("toml-dotted-surprise", BASE + "select.k.more = 1\n", "x.toml:2: select.k"),
    toml("toml-key-inside-text", 'name = "x"\nname.first = 1\n', "x.toml:2: not TOML"),
    toml("toml-unknown-key", BASE + "[select]\nkk = 1\n", "x.toml:3: select.kk = 1: there is no such key", fast=True),
    toml("toml-unknown-table", BASE + "[selekt]\nk = 1\n", "x.toml:2: selekt", "did you mean 'select'"),
    toml(
        "toml-wrong-type", BASE + '[select]\nk = "ten"\n', 'x.toml:3: select.k = "ten": input should be a valid integer'
    ),
    toml("toml-float-for-a-number", BASE + "[realign]\nsteps = 1.5\n", "x.toml:3: realign.steps = 1.5: "),
    toml("toml-truth-for-a-number", BASE + "[realign]\nsteps = true\n", "x.toml:3: realign.steps = true: "),
    toml("toml-date", BASE + "[realign]\nsteps = 2026-11-21\n", 'x.toml:3: realign.steps = "2026-11-21": '),
    toml("toml-impossible-date", BASE + "[realign]\nsteps = 2026-13-41\n", "x.toml:3: not TOML"),
    toml("toml-nan", BASE + "[realign]\nlearning_rate = nan\n", "x.toml:3: realign.learning_rate = NaN: "),
    toml("toml-inf", BASE + "[realign]\nlearning_rate = -inf\n", "x.toml:3: realign.learning_rate = -Infinity: "),
    toml(
        "toml-negative",
        BASE + "[realign]\nsteps = -5\n",
        "x.toml:3: realign.steps = -5: ",
        "greater than or equal to 0",
    ),
    toml("toml-huge", BASE + f"seed = {'9' * 20}\n", f"x.toml:2: seed = {'9' * 20}: ", "expected"),
    toml(
        "toml-huge-inside",
        BASE + f"[select]\nat_least = {{ seen = {'9' * 30} }}\n",
        "x.toml:3: select.at_least.seen = 9",
    ),
    toml("toml-huger", BASE + f"seed = {'9' * 5000}\n", "x.toml: not TOML: ", "digits"),
    toml("toml-deep", BASE + f"x = {'[' * 20_000}{']' * 20_000}\n", "x.toml: not TOML: ", "nested", fast=True),
    toml("toml-deep-tables", BASE + f"x = {'{a=' * 20_000}1{'}' * 20_000}\n", "x.toml: not TOML: ", "nested"),
    toml("toml-deep-key", BASE + f"{'a.' * 200}a = 1\n", "x.toml:2: a"),
    toml("toml-deep-list", BASE + f"[select]\nlanguages = {'[' * 100}{']' * 100}\n", "x.toml:3: select.languages"),
    toml("toml-latin-1", b'name = "\xe4"\n', "x.toml", "byte 0xe4 is not UTF-8"),
    toml("toml-utf-16", BASE.encode("utf-16"), "x.toml", "byte 0xff is not UTF-8", "UTF-16"),
    toml("toml-mark", "\ufeff" + BASE + "x = 1\n", "x.toml:2: x = 1: there is no such key"),
    toml("toml-nul", 'name = "x\0"\n', "x.toml:1: not TOML"),
    toml("toml-carriage-returns", 'name = "x"\rseed = 1\r', "x.toml", "not TOML"),
    toml("toml-50-megabytes-on-a-line", long_line(50, "# "), "x.toml: ", "more than"),
    toml("toml-is-a-folder", folder, "x.toml: cannot be read: Is a directory"),
    toml("toml-is-a-pipe", fifo, "x.toml: cannot be read: is a pipe or a device, expected a file"),
    toml("toml-is-a-device", device, "x.toml: cannot be read: is a pipe or a device, expected a file"),
    toml("toml-cannot-be-read", unreadable, "x.toml: cannot be read: Too many levels of symbolic links"),
    toml("toml-name-is-a-path", 'name = "../x"\n', 'x.toml:1: name = "../x": '),
    toml("toml-name-with-control-characters", 'name = "x\\u001b[31m"\n', "x.toml:1: name = "),
    toml("toml-name-with-right-to-left-mark", 'name = "x\\u202e"\n', "x.toml:1: name = "),
    toml("toml-runs-with-nul", BASE + 'runs = "a\\u0000b"\n', "x.toml:2: runs = "),
    toml("toml-runs-empty", BASE + 'runs = ""\n', 'x.toml:2: runs = "": '),
    toml(
        "toml-language-unknown",
        BASE + '[select]\nlanguages = ["deu", "xxq"]\n',
        "x.toml:3: select.languages",
        "unknown language 'xxq'",
    ),
    toml("toml-language-is-a-path", BASE + '[select]\nlanguages = ["../../x"]\n', "unknown language '../../x'"),
    toml(
        "toml-language-twice",
        BASE + '[select]\nlanguages = ["deu", "de"]\n',
        "x.toml:3: select.languages: 'deu' and 'de' are the same language, deu_Latn",
    ),
    toml("toml-language-is-a-number", BASE + "[select]\nlanguages = [5]\n", "x.toml:3: select.languages"),
    toml(
        "toml-thousands-of-unknown-languages",
        BASE + f"[select]\nlanguages = [{LIST}]\n",
        "x.toml:3: select.languages: 5000 of 5000",
        "unknown language 'q0x'",
        seconds=10,
    ),
    toml(
        "toml-thousands-of-unknown-targets",
        BASE + "[task.tests]\n" + "".join(f'q{n}x = "a"\n' for n in range(5000)),
        "task.tests: 5000 of 5000",
        "unknown language 'q0x'",
        seconds=10,
    ),
    toml(
        "toml-thousands-of-unknown-keys",
        BASE + "".join(f"q{n} = 1\n" for n in range(5000)),
        "x.toml:2: q0 = 1: there is no such key",
        "and 4980 more",
        together=True,
        seconds=10,
    ),
    toml(
        "toml-file-missing",
        BASE + '[corpus.files]\ndeu = "none.tsv"\n',
        'x.toml:3: corpus.files.deu = "none.tsv": there is no such file',
    ),
    toml(
        "toml-file-is-a-folder", BASE + '[corpus.files]\ndeu = "."\n', 'x.toml:3: corpus.files.deu = ".": there is no'
    ),
    toml(
        "toml-file-overlong",
        BASE + f'[corpus.files]\ndeu = "{"n" * 300}"\n',
        "x.toml:3: corpus.files.deu = ",
        "there is no such file",
    ),
    toml(
        "toml-file-nul",
        BASE + '[corpus.files]\ndeu = "a\\u0000b"\n',
        "x.toml:3: corpus.files.deu = ",
        "there is no such file",
    ),
    toml("toml-file-is-a-number", BASE + "[corpus.files]\ndeu = 3\n", "x.toml:3: corpus.files.deu = 3: "),
    toml("toml-files-is-a-list", BASE + '[corpus]\nfiles = ["a"]\n', "x.toml:3: corpus.files = "),
    toml(
        "toml-labels-are-numbers", BASE + "[task]\nlabel_names = { AUX = 3 }\n", "x.toml:3: task.label_names.AUX = 3: "
    ),
    toml("toml-merge-is-a-list", BASE + '[task]\nmerge = ["a"]\n', "x.toml:3: task.merge"),
    Case(
        "toml-classes",
        "check x.toml",
        ('x.toml:3: report.resources = "classes.tsv": ', "classes.tsv:2: fra has class 7; expected 0 to 5"),
        {"x.toml": BASE + '[report]\nresources = "classes.tsv"\n', "classes.tsv": "deu\t5\nfra\t7\n"},
    ),
    toml(
        "toml-classes-missing",
        BASE + '[report]\nresources = "none.tsv"\n',
        'x.toml:3: report.resources = "none.tsv": there is no such file',
    ),
    toml(
        "toml-lenient-with-labels",
        BASE + '[corpus]\nlenient = true\nfiles.swh = "x.toml"\n[project]\nlabelled.swh = "x.toml"\n',
        "x.toml:3: corpus.lenient: project.labelled has labels for every line",
    ),
    toml("toml-encoder-overlong", BASE + f'[encoder]\nname = "{"n" * 300}"\n', "n" * 20),
    toml("toml-distance-overlong", BASE + f'[select]\ndistance = "{"n" * 300}"\n', "n" * 20),
    override("set-without-value", "realign.steps", "--set realign.steps: expected table.key=value"),
    override("set-without-key", "=3", "--set =3: expected table.key=value"),
    override("set-with-empty-part", "realign..steps=3", "--set realign..steps=3: expected table.key=value"),
    override("set-unknown", "realign.stepz=3", "--set realign.stepz=3: there is no such key; did you mean 'steps'"),
    override("set-wrong-type", "realign.steps=many", "--set realign.steps=many: input should be a valid integer"),
    override("set-below-a-value", "name.more=3", "--set name.more=3: expected table.key=value", fast=True),
    override("set-table", "realign=3", "--set realign=3: "),
    override("set-two-lines", "realign.steps=1\nrealign.batch_size=2", "--set realign.steps=1"),
    override("set-deep", f"realign.steps={'[' * 20_000}", "--set realign.steps=[[[", "nested"),
    override("set-huger", f"seed={'9' * 5000}", "--set seed=999", "digits"),
    override("set-nan", "realign.learning_rate=nan", "--set realign.learning_rate=nan: "),
    override("set-nothing", "realign.steps=", "--set realign.steps=: "),
    sweep("sweep-none", "", "there is no [sweep]"),
    sweep("sweep-is-a-number", "sweep = 3\n", "there is no [sweep]"),
    sweep("sweep-value-is-no-list", "[sweep]\nseed = 3\n", "x.toml:3: [sweep] seed: 3: expected a list of values"),
    sweep("sweep-empty-list", "[sweep]\nseed = []\n", "x.toml:3: [sweep] seed: []: expected a list of values"),
    sweep("sweep-unknown-key", '[sweep]\n"realign.stepz" = [1]\n', "there is no key 'realign.stepz'", fast=True),
    sweep("sweep-value-twice", "[sweep]\nseed = [1, 1]\n", "x.toml:3: [sweep] seed: a value stands there twice"),
    sweep("sweep-wrong-value", "[sweep]\nseed = [1, -1]\n", "-1"),
    sweep("sweep-variant-is-no-table", "[sweep]\nvariant = 3\n", "expected [[sweep.variant]] tables"),
    sweep(
        "sweep-exclude-unknown",
        '[sweep]\nseed = [1, 2]\n[[sweep.exclude]]\ncolour = "red"\n',
        "'colour': there is no such axis",
    ),
)
