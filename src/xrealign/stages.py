"""What each stage of a run does: reads its inputs' folders, writes its own. `xrealign.plan` strings them together.

A maker gets the configuration and the folders of its inputs, writes into ``out``, keeps checkpoints in ``work`` and
returns the facts that its manifest will state.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xrealign.config import Config
from xrealign.errors import ConfigError, DataError
from xrealign.language import Language, parse_language
from xrealign.progress import track
from xrealign.types import Bitext, SentencePair

Facts = dict[str, Any]
UDHR, CLDR = "udhr", "cldr"


def embedded_tables(sources: Sequence[str]) -> list[Any]:
    """The embedded multi-parallel tables that a corpus is made from."""
    from xrealign.corpus.embedded import cldr_names, udhr_segments

    return [{UDHR: udhr_segments, CLDR: cldr_names}[source]() for source in sources]


def select_candidates(config: Config) -> list[Language]:
    """The languages to choose from: those named, or those with parallel text; never the source language."""
    source = parse_language(config.source)
    if isinstance(config.select.candidates, list):
        found = [parse_language(tag) for tag in config.select.candidates]
    elif config.corpus.files:
        found = [parse_language(tag) for tag in config.corpus.files]
    else:
        found = sorted(set.intersection(*(set(table.texts) for table in embedded_tables(config.corpus.sources))))
    if config.select.candidates == "task":
        tested = task_languages(config)
        found = [language for language in found if language in tested]
    return [language for language in found if language != source]


def task_languages(config: Config) -> list[Language]:
    """The languages the task tests, known before it is built."""
    from xrealign.tasks.intents import intents_languages

    if config.task.name != "intents":
        return [parse_language(tag) for tag in config.task.tests or {}]
    if config.task.targets is not None:
        return [parse_language(tag) for tag in (config.source, *config.task.targets)]
    return intents_languages()


def select_seed(config: Config) -> int:
    """The run's seed where the choice is random; else none, so that seeds share the subset and all made from it."""
    return config.seed if "random" in config.select.criterion else 0


def make_select(config: Config, out: Path) -> Facts:
    """Chooses the subset; writes ``subset.json``."""
    source = parse_language(config.source)
    if config.select.languages is not None:
        chosen = [parse_language(tag) for tag in config.select.languages]
        facts: Facts = {"subset": [language.tag for language in chosen], "reason": "named in the configuration"}
    else:
        from xrealign.pretraining import seen_isos
        from xrealign.select import select_languages
        from xrealign.select.conditions import Conditions

        settings = config.select
        candidates = select_candidates(config)
        if settings.k > len(candidates):
            raise ConfigError(f"select.k = {settings.k}: there are only {len(candidates)} candidates")
        selection = select_languages(
            candidates,
            settings.k,
            fixed=[source],
            criterion=settings.criterion,
            distance=settings.distance,
            seed=select_seed(config),
            targets=[parse_language(tag) for tag in settings.targets],
            conditions=Conditions(
                require=[parse_language(tag) for tag in settings.require],
                exclude=[parse_language(tag) for tag in settings.exclude],
                max_per={str(kind): most for kind, most in settings.max_per.items()},
                at_least=settings.at_least,
                at_most=settings.at_most,
            ),
            seen=seen_isos(config.encoder.seen),
        )
        facts = {
            "subset": [language.tag for language in selection.subset],
            "reason": (
                f"{settings.k} of {len(candidates)} candidates, with {source.name} as a fixed member, by "
                f"{settings.criterion} on {settings.distance}: {selection.value:.3f}{_proof(selection)}"
            ),
            "why": {
                language.tag: f"{language.family or 'isolate'}, {language.script}; adds {share:.2f}"
                for language, share in selection.contributions.items()
            },
            "value": selection.value,
            "bound": selection.bound,
            "optimal": selection.optimal,
            "candidates": [language.tag for language in candidates],
        }
    (out / "subset.json").write_text(json.dumps(facts, indent=1), "utf-8")
    return facts


def _proof(selection: Any) -> str:
    if selection.optimal:
        return ", proven the best there is"
    return "" if selection.bound is None else f"; no choice exceeds {selection.bound:.3f}"


def read_subset(folder: Path) -> list[Language]:
    """The languages a select stage chose."""
    return [parse_language(tag) for tag in json.loads((folder / "subset.json").read_text("utf-8"))["subset"]]


def training_bitexts(config: Config, language: Language) -> list[tuple[Bitext, Counter[str]]]:
    """Pairs to realign on in one language, by source of text, with what was left out and why."""
    from xrealign.corpus.embedded import held_out, training_bitext
    from xrealign.corpus.readers import read_bar, read_tsv

    source = parse_language(config.source)
    if config.corpus.files:
        if language.tag not in config.corpus.files:
            raise DataError(f"corpus.files has no file for {language.tag}, which is in the subset")
        path = Path(config.corpus.files[language.tag])
        read = read_bar if ".txt" in path.suffixes[-2:] else read_tsv
        return [_filtered(config, read(path, source, language), Counter())]
    tables = embedded_tables(config.corpus.sources)
    have = [table for table in tables if language in table.texts and source in table.texts]
    if not have:
        raise DataError(f"none of {', '.join(config.corpus.sources)} has text in both {source.tag} and {language.tag}")
    found = [training_bitext(t, source, language, held_out(t.ids, config.corpus.held_out)) for t in have]
    return [_filtered(config, bitext, dropped) for bitext, dropped in found]


RULES = (
    "min_words", "max_words", "min_characters", "max_characters", "max_ratio", "identical", "duplicates", "script",
    "language_id",
)  # fmt: skip
"""Keys of ``[corpus.filter]`` that are rules of `xrealign.corpus.quality.PairRules`."""


def _filtered(config: Config, bitext: Bitext, dropped: Counter[str]) -> tuple[Bitext, Counter[str]]:
    """What ``[corpus.filter]`` leaves of a bitext by scores made elsewhere and by rules."""
    from xrealign.corpus.quality import PairRules, above_percentile, filter_bitext, read_scores, take

    settings = config.corpus.filter
    if settings is None:
        return bitext, dropped
    if settings.scores is not None and settings.score is not None:
        if bitext.tgt.tag not in settings.scores:
            raise DataError(f"corpus.filter.scores has no file for {bitext.tgt.tag}, which is in the subset")
        kept = above_percentile(read_scores(settings.scores[bitext.tgt.tag], len(bitext)), settings.score)
        bitext, dropped = take(bitext, kept), dropped + kept.dropped
    left, gone = filter_bitext(bitext, PairRules(**{name: getattr(settings, name) for name in RULES}))
    return left, dropped + gone


def _similar(config: Config, encoder: Any, bitext: Bitext) -> tuple[Bitext, Counter[str]]:
    """What ``corpus.filter.similarity`` leaves: the pairs whose vectors are most alike."""
    from xrealign.corpus.quality import above_percentile, pair_cosines, take
    from xrealign.model.vectors import sentence_vectors

    percentile = config.corpus.filter.similarity if config.corpus.filter is not None else None
    if percentile is None or not len(bitext):
        return bitext, Counter()
    src, tgt = (
        sentence_vectors(encoder, texts, encoder.layers, config.align.max_length, what=f"filter {bitext.tgt.tag}")
        for texts in ([pair.src for pair in bitext], [pair.tgt for pair in bitext])
    )
    kept = above_percentile(pair_cosines(src, tgt), percentile, "similarity")
    return take(bitext, kept), kept.dropped


def take_turns(bitexts: Sequence[Bitext]) -> list[tuple[str, SentencePair]]:
    """The pairs of several sources in turn, each with its origin, so that a limit leaves some of every source.

    Sentences are few and names are many; within a source the order is that of a hash of the id.
    """
    ordered = [[(b.origin, pair) for pair in sorted(b, key=lambda pair: _order(pair.id))] for b in bitexts]
    return [item for turn in itertools.zip_longest(*ordered) for item in turn if item is not None]


def make_corpus(config: Config, select: Path, out: Path) -> Facts:
    """Collects sentence pairs of the source language and each language of the subset; writes ``pairs.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: dict[str, list[str]] = {name: [] for name in ("id", "language", "src", "tgt", "origin")}
    pairs: dict[str, int] = {}
    left_out: dict[str, dict[str, int]] = {}
    quality = config.corpus.filter
    encoder = open_encoder(config) if quality is not None and quality.similarity is not None else None
    for language in read_subset(select):
        bitexts = training_bitexts(config, language)
        if encoder is not None:
            bitexts = [(left, n + gone) for b, n in bitexts for left, gone in [_similar(config, encoder, b)]]
        found = take_turns([bitext for bitext, _ in bitexts])
        left_out[language.tag] = dict(sum((counts for _, counts in bitexts), Counter()))
        if config.corpus.max_pairs is not None and len(found) > config.corpus.max_pairs:
            left_out[language.tag]["over corpus.max_pairs"] = len(found) - config.corpus.max_pairs
            found = found[: config.corpus.max_pairs]
        pairs[language.tag] = len(found)
        for origin, pair in found:
            for name, value in zip(rows, (pair.id, language.tag, pair.src, pair.tgt, origin), strict=True):
                rows[name].append(value)
    pq.write_table(pa.table(rows), out / "pairs.parquet", compression="zstd")
    return {"pairs": pairs, "left_out": left_out}


def make_task(config: Config, out: Path) -> Facts:
    """Builds the labelled task; writes ``task.json``."""
    from xrealign.tasks.intents import load_intents
    from xrealign.tasks.load import load_classification
    from xrealign.tasks.task import task_to_json

    source, settings = parse_language(config.source), config.task
    targets = None if settings.targets is None else [parse_language(tag) for tag in settings.targets]
    if settings.name == "intents":
        task = load_intents(
            source, targets, settings.train_size, settings.dev_size, settings.test_size, seed=config.seed
        )
    else:
        tests = {parse_language(tag): Path(file) for tag, file in (settings.tests or {}).items()}
        dev = Path(settings.dev) if settings.dev else None
        task = load_classification(Path(str(settings.train)), dev, tests, source, settings.name)
    (out / "task.json").write_text(task_to_json(task), "utf-8")
    sentences = {language.tag: len(examples) for language, examples in task.tests.items()}
    return {
        "labels": len(task.labels),
        "train": len(task.train),
        "dev": len(task.dev),
        "test": sentences,
        "notes": dict(task.notes),
    }


def open_encoder(config: Config, folder: Path | None = None) -> Any:
    """The encoder of a result's folder, or without one the encoder that the configuration names."""
    from xrealign.model.encoder import load_encoder

    if folder is not None:
        return load_encoder(str(folder), attention=config.encoder.attention)
    return load_encoder(config.encoder.name, config.encoder.revision, config.encoder.attention)


def realign_settings(config: Config) -> Any:
    """The ``[realign]`` table as `xrealign.train.realign` wants it."""
    from xrealign.train.realign_settings import RealignSettings

    table = config.realign.model_dump(exclude={"strategy", "preset", "weight", "every", "control"})
    return RealignSettings(**table | {"layers": table["layers"] and tuple(table["layers"])})


def make_realign(
    config: Config, align: Path, task: Path | None, encoder_folder: Path | None, out: Path, work: Path, control: bool
) -> Facts:
    """Realigns the encoder, or trains the control; writes an encoder folder.

    Where the encoder was fine-tuned before, its head and labels go along, so that it can be evaluated as it is, and
    its accuracy on the dev set of ``task`` is watched.
    """
    from xrealign.align.aligned import read_aligned
    from xrealign.model.encoder import save_encoder
    from xrealign.model.folder import link_or_copy
    from xrealign.train.realign import realign

    encoder = open_encoder(config, encoder_folder)
    scores = None if task is None else _dev_scores(config, encoder, task)
    facts = realign(encoder, read_aligned(align), realign_settings(config), work, config.seed, control, scores)
    save_encoder(encoder, out, base=encoder.folder)
    for name in HEAD_FILES:
        if (encoder.folder / name).is_file():
            link_or_copy(encoder.folder / name, out / name)
    return facts | {"parameters": sum(1 for _ in encoder.model.parameters())}


def make_finetune(config: Config, task: Path, encoder_folder: Path | None, out: Path, work: Path) -> Facts:
    """Fine-tunes on the source language; writes an encoder folder with ``head.safetensors`` and ``labels.json``."""
    from xrealign.tasks.task import task_from_json
    from xrealign.train.finetune import FinetuneSettings, finetune

    encoder = open_encoder(config, encoder_folder)
    labelled = task_from_json((task / "task.json").read_text("utf-8"))
    settings = FinetuneSettings(**config.finetune.model_dump())
    head, facts = finetune(encoder, labelled.train, labelled.labels, settings, work, config.seed)
    _save_model(encoder, head, labelled.labels, out)
    return facts


def make_joint(
    config: Config, align: Path, task: Path, encoder_folder: Path | None, out: Path, work: Path, control: bool
) -> Facts:
    """Realigns and fine-tunes in one phase, or trains the control; writes what `make_finetune` writes."""
    from xrealign.align.aligned import read_aligned
    from xrealign.tasks.task import task_from_json
    from xrealign.train.finetune import FinetuneSettings
    from xrealign.train.joint import joint

    encoder, table = open_encoder(config, encoder_folder), config.realign
    labelled = task_from_json((task / "task.json").read_text("utf-8"))
    head, facts = joint(
        encoder,
        read_aligned(align),
        labelled.train,
        labelled.labels,
        realign_settings(config),
        FinetuneSettings(**config.finetune.model_dump()),
        work,
        config.seed,
        strategy=table.strategy,
        weight=table.weight,
        every=table.every,
        control=control,
    )
    _save_model(encoder, head, labelled.labels, out)
    return facts | {"parameters": sum(1 for _ in encoder.model.parameters())}


def _dev_scores(config: Config, encoder: Any, task: Path) -> Any:
    """The watch over a fine-tuned encoder's head on the task's dev set; None without one."""
    from safetensors.torch import load_file

    from xrealign.tasks.task import task_from_json
    from xrealign.train.finetune import Classifier, dev_scores

    examples = task_from_json((task / "task.json").read_text("utf-8")).dev[:DEV_WATCHED]
    if not examples:
        return None
    labels = json.loads((encoder.folder / HEAD_FILES[1]).read_text("utf-8"))
    head = Classifier(encoder.width, len(labels))
    head.load_state_dict(load_file(encoder.folder / HEAD_FILES[0]))
    return dev_scores(encoder, head, examples, labels, config.finetune.max_length)


DEV_WATCHED = 200  # sentences of the dev set that are looked at while an encoder is realigned after fine-tuning
HEAD_FILES = ("head.safetensors", "labels.json")


def _save_model(encoder: Any, head: Any, labels: Sequence[str], out: Path) -> None:
    from safetensors.torch import save_file

    from xrealign.model.encoder import save_encoder

    save_encoder(encoder, out, base=encoder.folder)
    save_file({name: p.detach().cpu() for name, p in head.state_dict().items()}, out / HEAD_FILES[0])
    (out / HEAD_FILES[1]).write_text(json.dumps(list(labels), ensure_ascii=False), "utf-8")


def centring_texts(config: Config, languages: list[Language], most: int = 100) -> dict[Language, list[tuple[str, str]]]:
    """Pairs from which a language's mean is estimated: never held out, at most ``most`` of each source of text."""
    pairs: dict[Language, list[tuple[str, str]]] = {}
    for language in track(languages, "text for centring"):
        try:
            found = training_bitexts(config, language)
        except DataError:
            continue  # no parallel text in this language: it is left uncentred, and counted
        chosen = [(p.src, p.tgt) for bitext, _ in found for p in sorted(bitext, key=lambda p: _order(p.id))[:most]]
        if chosen:
            pairs[language] = chosen
    return pairs


def _order(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode()).digest()
