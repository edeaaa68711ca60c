"""What a report says besides the scores: where they come from, what they cost, how to get them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from xrealign.errors import DataError, LanguageError, did_you_mean
from xrealign.language import Language, parse_language

BASELINE, REALIGNED = "baseline", "realigned"
CONTROLS = ("centred", "control")
SOURCE_GROUP = "source"

METHODS: dict[str, str] = {
    BASELINE: "the encoder as it came, with no realignment",
    "centred": "the baseline with each language's mean vector subtracted, no training",
    "control": "the same realignment steps on source sentences paired with themselves, no parallel data",
    REALIGNED: "realigned on parallel text",
    "projected": "the encoder as it came, fine-tuned on labels carried over to parallel text (translate-train)",
    "few-shot": "the encoder as it came, fine-tuned on the source language and a few labelled target examples",
}
AGAINST: dict[str, str] = {
    "centred": "centring without training",
    "control": "the same steps without parallel data",
}
METRICS: dict[str, str] = {
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "f1": "F1",
    "mcc": "MCC",
    "map": "mAP",
    "mrr": "MRR",
}
FEW_LABELS = 5


class DataSource(TypedDict, total=False):
    """One data set: ``id``, ``licence``, ``digest`` (sha256), ``citation``, ``url``."""

    id: str
    licence: str
    digest: str
    citation: str
    url: str


class ReportContext(TypedDict, total=False):
    """Everything a report can tell; each key may be absent.

    run: name of the run. created: date as text. task, metric: the score the headline is about (else the first
    task and ``accuracy``). source: tag of the source language. encoder: name of the encoder. base_model: its
    Hugging Face name or address. encoder_licence: Hugging Face licence identifier. encoder_digest: sha256.
    selection: how the subset was chosen, in a sentence. subset: (tag, why) in the order chosen. seeds: the run's
    seeds. steps: stage → optimiser steps. pairs: tag → sentence pairs. settings: name → value. data: the data sets.
    warnings: lines. seconds: stage → seconds. versions: library → version. machine: one line. command: shell
    command that makes the run again. config: the resolved TOML. majority: tag → accuracy of always answering the
    most frequent label. exchanged: tag → types of spans that look exchanged, in words. resources: tag or ISO 639-3
    code → resource class (0 to 5, Joshi et al. 2020). disk: stage → bytes of its result. kinds: task → kind
    (``class``, ``pos``, ``qa`` …). languages: tag → Language where it is known already (``parse_language`` fills the
    rest).
    """

    run: str
    created: str
    task: str
    metric: str
    source: str
    encoder: str
    base_model: str
    encoder_licence: str
    encoder_digest: str
    selection: str
    subset: Sequence[tuple[str, str]]
    seeds: Sequence[int]
    steps: Mapping[str, int]
    pairs: Mapping[str, int]
    settings: Mapping[str, str | int | float | bool | None]
    data: Sequence[DataSource]
    warnings: Sequence[str]
    seconds: Mapping[str, float]
    versions: Mapping[str, str]
    machine: str
    command: str
    config: str
    majority: Mapping[str, float]
    exchanged: Mapping[str, str]
    resources: Mapping[str, int]
    disk: Mapping[str, int]
    kinds: Mapping[str, str]
    languages: Mapping[str, Language]


Groups = Mapping[str, Sequence[str]]


def check_context(context: ReportContext) -> None:
    """Passes when every key is known.

    Raises:
        DataError: an unknown key, which would be left out of the report without a word.
    """
    for key in context:
        if key not in ReportContext.__annotations__:
            raise DataError(f"report context: unknown key {key!r}{did_you_mean(key, ReportContext.__annotations__)}")


def language_of(tag: str, context: ReportContext) -> Language:
    """The language of ``tag``; one that nobody knows keeps its tag as its name."""
    known = context.get("languages", {}).get(tag)
    if known is not None:
        return known
    try:
        return parse_language(tag)
    except LanguageError:
        return Language(tag, tag)


def metric_name(metric: str) -> str:
    """A metric as people call it."""
    return METRICS.get(metric, metric.replace("_", " "))


def ordered_methods(found: set[str]) -> tuple[str, ...]:
    """The methods in the order in which they are compared, others after them by name."""
    known = [method for method in METHODS if method in found]
    return (*known, *sorted(found - set(METHODS)))
