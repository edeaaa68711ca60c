"""What two further methods are fine-tuned on: labels carried over parallel text, and a few labelled target examples.

``projected`` is translate-train by label projection (Yarowsky & Ngai 2001, NAACL): the source side of the parallel text
is labelled by the fine-tuned baseline, or by the user, and the tags go over word links to the target side. ``few-shot``
has labels of target languages in training, which nothing else ever sees: no test set and no target language takes part
in choosing a model, and what is written here for training holds no tests at all.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xrealign.config import Config
from xrealign.errors import ConfigError, DataError
from xrealign.language import Language, parse_language
from xrealign.stages import Facts, is_builtin, open_encoder, read_task
from xrealign.writing import write_atomic

KINDS = ("pos", "ner", "slots")
OTHER_BUILTIN = ("intents", "sib200", "americasnli")  # built-in tasks of other kinds
Links = np.ndarray[Any, Any]
DROPPED = "a label that task.drop names"
Labelled = tuple[Any, str]
"""A labelled source sentence, or None and the reason."""


def unfiltered(config: Config) -> Config:
    """The configuration whose align stage keeps every link: names and punctuation, which are the same in many
    languages, are left out of realignment but carry labels."""
    return config.model_copy(
        update={"align": config.align.model_copy(update={"one_to_one": False, "drop_identical": False})}
    )


def project_problems(config: Config) -> list[str]:
    """What of ``[project]`` and of ``task.shots`` fits neither the task nor the rest, a line each."""
    table, shots, problems = config.project, config.task.shots or {}, []
    if table.train != "none":
        told: str | None = config.task.kind or "class"
        if config.task.loader is not None:
            told = None  # what a function makes is not known yet
        if is_builtin(config):
            told = "no tags" if config.task.name in OTHER_BUILTIN else None
        if told is not None and told not in KINDS:
            name = f"the task {config.task.name!r}" if is_builtin(config) else f"task.kind = {told!r}"
            problems.append(_no_tags(config, name))
        if config.align.aligner == "none":
            problems.append(f'align.aligner = "none": project.train = "{table.train}" needs links; choose an aligner')
        files = config.corpus.files or {}
        problems += [
            f"project.labelled.{tag}: it labels the source side of corpus.files.{tag}, which is not there"
            for tag in table.labelled or {}
            if tag not in files
        ]
        subset = config.select.languages or []
        problems += [
            f"project.labelled: no file for {tag}, which is in the subset"
            for tag in subset
            if table.labelled is not None and tag not in table.labelled
        ]
    elif table.labelled is not None:
        problems.append('project.labelled is read for project.train = "alone" or "mixed" only; set one of them')
    if config.task.few_shot is not None and not shots:
        problems.append("task.few_shot says how many examples of task.shots to use, which names no file")
    if config.source in shots:
        problems.append(f"task.shots.{config.source}: that is the source language; its examples belong in task.train")
    tests = {Path(file).resolve(): tag for tag, file in (config.task.tests or {}).items()}
    problems += [
        f"task.shots.{tag} = {file}: that is the test file of {tests[Path(file).resolve()]}; nothing may learn from it"
        for tag, file in shots.items()
        if Path(file).resolve() in tests
    ]
    return problems


def _no_tags(config: Config, what: str) -> str:
    return f'project.train = "{config.project.train}": {what} has no tags to carry; expected kind {", ".join(KINDS)}'


def make_project(config: Config, align: Path, task_folder: Path, model: Path, out: Path) -> Facts:
    """Carries labels to the target side of the aligned text; writes ``task.json``, for training alone.

    Args:
        align: the unfiltered links.
        model: the fine-tuned baseline; not read where the user has labelled the source side.

    Raises:
        ConfigError: the task has no tags.
        DataError: labelled files that do not fit the text or the task, or nothing could be carried over.
    """
    from xrealign.align.aligned import read_aligned
    from xrealign.tasks.projection import project

    task, texts, table = read_task(task_folder), read_aligned(align), config.project
    if task.kind not in KINDS:
        raise ConfigError(_no_tags(config, f"a task of kind {task.kind!r}"))
    src = [_words(text, spans) for text, spans in zip(texts.src, texts.src_spans, strict=True)]
    labelled = _by_model(config, model, task, src) if table.labelled is None else _by_user(config, task, texts)
    made: list[Any] = []
    examples: dict[str, int] = {}
    left_out: dict[str, dict[str, int]] = {}
    for tag in dict.fromkeys(texts.languages):
        known, targets, links, gone = [], [], [], Counter[str]()
        for row in (row for row, other in enumerate(texts.languages) if other == tag):
            example, reason = labelled[row]
            if example is None:
                gone[reason] += 1
                continue
            moved = links_of_words(texts.links[row], texts.src[row], texts.src_spans[row], example.words)
            if moved is None:
                gone["labelled words are not those of the source text"] += 1
                continue
            known.append(dataclasses.replace(example, group=f"{tag}:{texts.ids[row]}"))
            targets.append(_words(texts.tgt[row], texts.tgt_spans[row]))
            links.append(moved)
        found = project(known, targets, links, task.kind != "pos", table.coverage)
        made += found.examples
        examples[tag], left_out[tag] = len(found.examples), dict(gone + found.left_out)
    if not made:
        reasons = sum((Counter(counts) for counts in left_out.values()), Counter[str]())
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise DataError(f"no labels could be carried over to any of {len(texts)} sentences: {told or 'there are none'}")
    train = tuple(made) if table.train == "alone" else (*task.train, *made)
    lacking = sorted(set(task.labels) - {example.label for example in train})
    if lacking:
        raise DataError(
            f"no sentence with labels carried over has the labels {', '.join(lacking)}, so project.train = 'alone' "
            "could not learn them; set it to 'mixed', or give parallel text of the task's own kind"
        )
    _write(dataclasses.replace(task, train=train, tests={}), out)
    words = [tag for example in made for tag in example.tags]
    return {
        "sentences": len(texts),
        "examples": examples,
        "left_out": left_out,
        "words": len(words),
        "words_without_tag": words.count(""),
        "labelled_by": "the fine-tuned baseline" if table.labelled is None else "the user",
        "train": len(train),
    }


def _by_model(config: Config, model: Path, task: Any, sentences: Sequence[list[str]]) -> list[Labelled]:
    """Each source sentence as the fine-tuned baseline tags it; one that is there for several languages once."""
    from xrealign.evaluating import predict_settings
    from xrealign.tasks.statistics import SlotPrediction
    from xrealign.tasks.task import TaggedExample
    from xrealign.train.heads import load_head
    from xrealign.train.predict import predict

    distinct = list(dict.fromkeys(tuple(words) for words in sentences))
    asked = [TaggedExample(words, ("",) * len(words), "") for words in distinct]
    head, kind, labels, tags = load_head(model)
    encoder = open_encoder(config, model)
    found = predict(encoder, head, kind, asked, labels, tags, what="label the source side", **predict_settings(config))
    known: dict[tuple[str, ...], Labelled] = {}
    for words, one in zip(distinct, found[""].predictions, strict=True):
        tagged, label = (one.tags, one.label) if isinstance(one, SlotPrediction) else (one, "")
        # Of spans, what was not read might hold a name; of parts of speech it is one word without a tag.
        cut = task.kind != "pos" and "" in tagged
        known[words] = (None, "words were cut off") if cut else (TaggedExample(words, tuple(tagged), "", label), "")
    return [known[tuple(words)] for words in sentences]


def _by_user(config: Config, task: Any, texts: Any) -> list[Labelled]:
    """Each source sentence as the user's files label it.

    Raises:
        DataError: a language has no file, or it has other sentences than the parallel text, or unknown labels.
    """
    from xrealign.corpus.readers import read_bitext

    files, corpus = config.project.labelled or {}, config.corpus.files or {}
    source = parse_language(config.source)
    read: dict[str, Any] = {}
    found: dict[tuple[str, str], Labelled] = {}
    for tag in dict.fromkeys(texts.languages):
        if tag not in files or tag not in corpus:
            raise DataError(f"project.labelled has no file for {tag}, which is in the subset")
        if files[tag] not in read:
            read[files[tag]] = read_labelled(config, task, Path(files[tag]), source)
        path, examples = Path(corpus[tag]), read[files[tag]]
        pairs = read_bitext(path, source, parse_language(tag))
        if len(pairs) != len(examples):
            raise DataError(
                f"{len(examples)} labelled sentences, but {path} has {len(pairs)} pairs; sentence N must be the source "
                "side of pair N",
                files[tag],
            )
        for pair, example in zip(pairs, examples, strict=True):
            found[tag, pair.id] = (None, DROPPED) if _dropped(config, task, example) else (example, "")
    return [found[key] for key in zip(texts.languages, texts.ids, strict=True)]


def make_shots(config: Config, task_folder: Path, out: Path) -> Facts:
    """The source language's training set with a few labelled target examples; writes ``task.json``, without tests.

    The target examples are repeated to be about as many as the source's, as in batches that hold both in equal parts
    (Schmidt et al. 2022, EMNLP, *Don't Stop Fine-Tuning*; theirs average two losses, here the draw is joint). Those
    that a test set holds are left out and counted.

    Raises:
        DataError: a file that cannot be read, has labels that training lacks, or of which nothing is left.
    """
    from xrealign.tasks.load import take

    task = read_task(task_folder)
    shots: list[Any] = []
    taken: dict[str, int] = {}
    left_out: dict[str, dict[str, int]] = {}
    for tag, file in sorted((config.task.shots or {}).items()):
        language = parse_language(tag)
        tested = {_content(example) for example in task.tests.get(language, ())}
        gone, fresh = Counter[str](), []
        for example in read_labelled(config, task, Path(file), language):
            if _dropped(config, task, example):
                gone[DROPPED] += 1
            elif _content(example) in tested:
                gone["also in the test"] += 1
            else:
                fresh.append(example)
        if not fresh:
            raise DataError(f"nothing is left of it to learn from: {dict(gone)}", file)
        chosen = take(tuple(fresh), config.task.few_shot, config.seed, tag, task.name)
        gone["over task.few_shot"] = len(fresh) - len(chosen)
        taken[tag], left_out[tag] = len(chosen), dict(+gone)
        shots += chosen
    times = max(1, len(task.train) // len(shots))
    _write(dataclasses.replace(task, train=(*task.train, *(shots * times)), tests={}), out)
    return {"shots": taken, "times": times, "left_out": left_out, "train": len(task.train) + len(shots) * times}


def read_labelled(config: Config, task: Any, path: Path, language: Language) -> tuple[Any, ...]:
    """All labelled examples of a file in the form of the task's own, in its order.

    Raises:
        DataError: a file that breaks its format, or labels that the task lacks (all are listed).
    """
    from xrealign.tasks.faults import Faults
    from xrealign.tasks.label_names import names_in, rename, unmatched
    from xrealign.tasks.read import read_examples
    from xrealign.tasks.spec import TaskSpec

    told = config.task
    spec = TaskSpec(
        name=task.name, kind=task.kind, source=task.source, train=path, tests={}, format=told.format,
        columns=told.columns, labels=told.label_names, merge=told.merge, scheme=told.scheme, separator=told.separator,
    )  # fmt: skip
    faults = Faults(path)
    examples = tuple(rename(example, spec.merge) for example in read_examples(spec, path, "train", language, faults))
    faults.settle()
    if not examples:
        raise DataError("no labelled sentences in it", path)
    dropped = set(told.drop)
    known = {"labels": {*task.labels}, "tags": {*task.tags}, "types": {tag[2:] for tag in task.tags if tag != "O"}}
    for what, names_of in names_in(task.kind).items():
        problems = unmatched(known[what] | dropped, {str(path): examples}, names_of)
        if problems:
            raise DataError(f"{what} that training does not have; map or merge them:\n" + "\n".join(problems))
    return examples


def _dropped(config: Config, task: Any, example: Any) -> bool:
    from xrealign.tasks.label_names import names_in

    return any(name in config.task.drop for names_of in names_in(task.kind).values() for name in names_of(example))


def _content(example: Any) -> tuple[str, ...]:
    """What is shown of an example, whatever its case and blanks; of a task's inputs nothing else is compared."""
    fields = ("words", "text", "first", "second", "question", "context")
    parts = [getattr(example, name) for name in fields if hasattr(example, name)]
    texts = [" ".join(part) if isinstance(part, tuple) else part for part in parts]
    return tuple(" ".join(text.split()).casefold() for text in texts)


def links_of_words(links: Links, text: str, spans: Links, words: Sequence[str]) -> Links | None:
    """Links between the target's words and ``words``, in the place of the source text's ``spans``; None where the
    words do not make up the text.

    A link goes on to every word that shares a visible character with the one it came from, so that "don't" may be two
    words to the labels and one to the aligner.

    Args:
        links: source and target word of each link. *Shape:* (N, 2)
        spans: words as characters of ``text``. *Shape:* (W, 2)
    """
    joined = ["".join(word.split()) for word in words]
    if "".join(text.split()) != "".join(joined):
        return None
    place = np.concatenate([[0], np.cumsum([not character.isspace() for character in text])])
    sizes = np.array([len(word) for word in joined], dtype=np.int64)
    ends = np.cumsum(sizes)
    starts = ends - sizes
    moved: set[tuple[int, int]] = set()
    for i, j in links.tolist():
        first, last = place[spans[i, 0]], place[spans[i, 1]]
        moved |= {(k, j) for k in np.flatnonzero((starts < last) & (ends > first)).tolist()}
    return np.array(sorted(moved), dtype=np.int32).reshape(-1, 2)


def _words(text: str, spans: Links) -> list[str]:
    return [text[start:end] for start, end in spans.tolist()]


def _write(task: Any, out: Path) -> None:
    from xrealign.tasks.task import task_to_json

    write_atomic(out / "task.json", task_to_json(task))
