"""Tasks that are there by name, out of data that comes with xrealign or with ``xrealign data get``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from xrealign.corpus.catalogue import data_folder_of_user, find_entry
from xrealign.corpus.fetch import CONVERTED, files_present, verified_files
from xrealign.errors import ConfigError, DataError, LanguageError, did_you_mean
from xrealign.language import Language
from xrealign.tasks.intents import intents_languages, load_intents
from xrealign.tasks.intents_slots import load_intent_slots
from xrealign.tasks.load import load_task, take
from xrealign.tasks.spec import TaskSpec
from xrealign.tasks.task import Kind, Task

Files = Mapping[str, list[tuple[Language, Path]]]  # train, dev, test


@dataclass(frozen=True, kw_only=True)
class BuiltinWanted:
    """What is wanted of a built-in task.

    Attributes:
        source: language of training.
        targets: languages to test besides the source; None for all that the task has.
        train_size, dev_size, test_size: at most so many; None for all, or the task's own number.
        seed: for what is drawn.
        train, dev: files of the user's, for tasks without training data of their own.
        data: folder of fetched sets; None for the user's.
    """

    source: Language
    targets: Sequence[Language] | None = None
    train_size: int | None = None
    dev_size: int | None = None
    test_size: int | None = None
    seed: int = 0
    train: Path | None = None
    dev: Path | None = None
    data: Path | None = None


def load_builtin(
    name: str,
    source: Language,
    targets: Sequence[Language] | None = None,
    train_size: int | None = None,
    dev_size: int | None = None,
    test_size: int | None = None,
    seed: int = 0,
    train: Path | None = None,
    dev: Path | None = None,
    data: Path | None = None,
) -> Task:
    """The task of that name; the arguments are those of `BuiltinWanted`.

    Raises:
        ConfigError: there is no such task.
        LanguageError: a source or target that it does not have.
        DataError: its data are not here (says how to get them), or what reading them raises.
    """
    if name not in BUILTIN:
        known = ", ".join(BUILTIN)
        raise ConfigError(f"no built-in task {name!r}{did_you_mean(name, BUILTIN)}; there are {known}")
    return BUILTIN[name](
        BuiltinWanted(
            source=source, targets=targets, train_size=train_size, dev_size=dev_size, test_size=test_size, seed=seed,
            train=train, dev=dev, data=data,
        )
    )  # fmt: skip


def _intents(wanted: BuiltinWanted) -> Task:
    """Commands to a voice assistant by intent, in 64 languages; comes with xrealign."""
    return load_intents(wanted.source, wanted.targets, *_intent_sizes(wanted), wanted.seed)


def _intents_slots(wanted: BuiltinWanted) -> Task:
    """The same commands with their slots as tags; comes with xrealign."""
    return load_intent_slots(wanted.source, wanted.targets, *_intent_sizes(wanted), wanted.seed)


def _intent_sizes(wanted: BuiltinWanted) -> tuple[int, int, int]:
    """Sentences of train, dev and each test; templates can say far more than is needed."""
    given = (wanted.train_size, wanted.dev_size, wanted.test_size)
    train, dev, test = (usual if size is None else size for size, usual in zip(given, (6000, 600, 200), strict=True))
    return train, dev, test


def _sib200(wanted: BuiltinWanted) -> Task:
    """SIB-200: topics of the same sentences in every language."""
    return _from_catalogue(wanted, "sib200", "sib-200", "class", {"label": "category"})


def _ud_pos(wanted: BuiltinWanted) -> Task:
    """Parts of speech of Universal Dependencies; English is tested on the treebank that it is trained on."""
    return _from_catalogue(wanted, "ud-pos", "ud-pos", "pos", {})


def _uner(wanted: BuiltinWanted) -> Task:
    """Universal NER: PER, LOC and ORG; OTH, which few of its sets have, is no entity.

    The catalogue has no English dev set that training does not hold: every tenth training sentence is dev.
    """
    whole = _from_catalogue(replace(wanted, train_size=None, dev_size=None), "uner", "uner", "ner", {})
    dev, train = whole.train[9::10], tuple(e for at, e in enumerate(whole.train) if at % 10 != 9)
    return replace(
        whole,
        train=take(train, wanted.train_size, wanted.seed, "train", "uner"),
        dev=take(dev, wanted.dev_size, wanted.seed, "dev"),
    )


def _americasnli(wanted: BuiltinWanted) -> Task:
    """AmericasNLI's tests in ten languages of the Americas; the training file is the user's (MNLI, XNLI)."""
    if wanted.train is None:
        raise DataError(
            "americasnli has tests only: give a training file of sentence pairs labelled entailment, neutral and "
            "contradiction, such as MNLI or XNLI in English (train = \"mnli.tsv\")"
        )  # fmt: skip
    return _from_catalogue(wanted, "americasnli", "americasnli", "pair", {})


def _from_catalogue(wanted: BuiltinWanted, name: str, identifier: str, kind: Kind, columns: Mapping[str, str]) -> Task:
    """A task out of a fetched set. Published files have faults here and there: these examples are left out, counted."""
    files = _files(identifier, wanted.data or data_folder_of_user())
    train, dev = wanted.train, wanted.dev
    extra: list[Path] = []
    if train is None:
        mine = [path for language, path in files["train"] if language == wanted.source]
        if not mine:
            there = sorted({language.tag for language, _ in files["train"]})
            raise LanguageError(f"{name} has no training data in {wanted.source}; it has in: {' '.join(there)}")
        train, *extra = mine
        dev = next((path for language, path in files["dev"] if language == wanted.source), None)
    tests: dict[Language, Path] = {}
    for language, path in files["test"]:
        tests.setdefault(language, path)
    if wanted.targets is not None:
        lacking = sorted(language.tag for language in set(wanted.targets) - set(tests))
        if lacking:
            raise LanguageError(
                f"{name} has no test set in {', '.join(lacking)}; it has in: {' '.join(sorted(x.tag for x in tests))}"
            )
        tests = {x: path for x, path in tests.items() if x in wanted.targets or x == wanted.source}
    spec = TaskSpec(
        name=name, kind=kind, source=wanted.source, train=train, dev=dev, tests=tests, columns=columns,
        labels={"OTH": "O"} if kind == "ner" else {}, lenient=True, train_size=wanted.train_size,
        dev_size=wanted.dev_size, test_size=wanted.test_size, seed=wanted.seed,
    )  # fmt: skip
    return load_task(spec, extra)


def _files(identifier: str, into: Path) -> Files:
    """The set's files that are here, by what they are for; of a language's tests the first is the one to use."""
    entry = find_entry(identifier)
    present = files_present(entry, into)
    if not present:
        raise DataError(f"{identifier} is not in {into}; get it with: xrealign data get {identifier}")
    paths = verified_files(identifier, into, set(present.values()))
    found: dict[str, list[tuple[Language, Path]]] = {"train": [], "dev": [], "test": []}
    trained = {_treebank(file.name) for file in entry.files if _role(identifier, file.name) == "train"}
    for file in sorted(entry.files, key=lambda file: (_treebank(file.name) not in trained, file.name)):
        if file.name in present and file.language is not None:
            item = (file.language, paths[present[file.name]])
            converted = present[file.name].startswith(CONVERTED)  # which may join the original's parts
            held = found[_role(identifier, present[file.name] if converted else file.name)]
            if item not in held:
                held.append(item)
    return found


def _treebank(name: str) -> str:
    return PurePosixPath(name).name.partition("-ud-")[0]


def _role(identifier: str, name: str) -> str:
    if identifier == "uner" and _treebank(name) == "en_ewt":
        return "train"  # its own training file is not in the catalogue: dev and test serve
    stem = PurePosixPath(name).stem
    return next((role for role in ("train", "dev") if stem.endswith(role)), "test")


BUILTIN: dict[str, Callable[[BuiltinWanted], Task]] = {
    "intents": _intents,
    "intents-slots": _intents_slots,
    "sib200": _sib200,
    "ud-pos": _ud_pos,
    "uner": _uner,
    "americasnli": _americasnli,
}


def builtin_files(name: str, data: Path | None = None) -> dict[str, Path]:
    """The files of a task out of a fetched set, by role and language; none of what is embedded.

    Raises:
        DataError: the set is not here (says how to get it).
    """
    if name not in SETS:
        return {}
    found = _files(SETS[name], data or data_folder_of_user())
    return {f"{role} {language.tag} {path.name}": path for role, some in found.items() for language, path in some}


def builtin_languages(name: str, data: Path | None = None) -> list[Language]:
    """The languages that a built-in task tests, sorted; known without reading the data.

    Raises:
        DataError: the set is not here (says how to get it).
    """
    if name not in SETS:
        return intents_languages()
    return sorted({language for language, _ in _files(SETS[name], data or data_folder_of_user())["test"]})


SETS = {"sib200": "sib-200", "ud-pos": "ud-pos", "uner": "uner", "americasnli": "americasnli"}
"""Tasks out of fetched sets, and what these are called in the catalogue."""
