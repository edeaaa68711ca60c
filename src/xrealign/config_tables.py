"""The tables of a configuration file: every key, its kind, its default and what it means."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from xrealign.errors import LanguageError
from xrealign.language import parse_language
from xrealign.textio import nfc


def _language(text: str) -> str:
    try:
        return parse_language(text).tag
    except LanguageError as error:
        raise ValueError(str(error)) from None


def _path(text: str) -> str:
    if not text or "\0" in text or any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in text.split("/")):
        raise ValueError("expected a name or path that a file can have")
    return text


def _run_name(text: str) -> str:
    if _RESERVED.fullmatch(text.partition(".")[0]) or text.endswith("."):
        raise ValueError("Windows has no folder of that name; choose another")
    return text


_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)
FilePath = Annotated[str, AfterValidator(_path)]
LanguageTag = Annotated[str, AfterValidator(_language)]
Name = Annotated[str, AfterValidator(nfc)]  # of what stands in text, which is composed when it is read
Share = Annotated[float, Field(ge=0, lt=1)]
Percentile = Annotated[float, Field(ge=0, lt=100)]
VERBS = (
    "select", "corpus", "align", "task", "project", "shots", "realign", "finetune", "evaluate", "measure", "report",
)  # fmt: skip
BUILTIN_TASKS = ("intents", "intents-slots", "sib200", "ud-pos", "uner", "americasnli")
STRATEGIES = ("none", "before", "during", "after", "before+during", "alternating")
Objective = Literal[
    "word", "sentence", "ranking", "transliteration", "l2", "parameter_drift", "infoxlm", "dap", "xlm_align",
    "transport", "cka", "mlm", "tlm",
]  # fmt: skip
Precision = Literal["auto", "fp32", "bf16"]


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class EncoderTable(_Table):
    name: FilePath = "starter"
    """``starter``, a Hugging Face folder, or a name on the hub."""
    revision: str | None = None
    """Commit or tag, for a name on the hub."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    seen: Literal["xlm-r", "mbert", "unknown"] | list[LanguageTag] = "unknown"
    """Languages of its pre-training, a named list or tags; only for grouping scores."""


class SelectTable(_Table):
    candidates: Literal["embedded", "task"] | list[LanguageTag] = "embedded"
    """Languages to choose from: ``embedded`` = all with parallel text in every corpus source, ``task`` = those of them
    that the task tests, or a list."""
    k: Annotated[int, Field(ge=1)] = 10
    """How many to choose; the source language counts in the distances but not in k."""
    criterion: str = "maxsum"
    """What to maximise: any criterion of ``xrealign select --help``, or a weighted sum of them."""
    distance: FilePath = "uriel-featural"
    """Typological or other distances: any of ``xrealign select --help``."""
    targets: list[LanguageTag] = []
    """Languages to be near to, for the criterion ``facility``."""
    require: list[LanguageTag] = []
    exclude: list[LanguageTag] = []
    max_per: dict[Literal["family", "script"], Annotated[int, Field(ge=1)]] = {}
    """At most so many of one family or script, such as { family = 1 }."""
    at_least: dict[str, Annotated[int, Field(ge=1)]] = {}
    """At least so many with a property: seen, unseen, family:NAME, script:CODE."""
    at_most: dict[str, Annotated[int, Field(ge=0)]] = {}
    languages: list[LanguageTag] | None = None
    """The subset itself, to skip choosing."""


class FilterTable(_Table):
    """What a pair must be like; the rules are those of `xrealign.corpus.quality.PairRules`."""

    min_words: Annotated[int, Field(ge=0)] | None = None
    max_words: Annotated[int, Field(ge=1)] | None = None
    min_characters: Annotated[int, Field(ge=0)] | None = 1
    max_characters: Annotated[int, Field(ge=1)] | None = None
    max_ratio: Annotated[float, Field(ge=1)] | None = None
    """The longer side by the shorter, in words."""
    identical: bool = False
    """Whether pairs of the same text on both sides stay."""
    duplicates: Literal["keep", "pair", "source", "target", "either"] = "pair"
    script: bool = True
    """Each side must be in its language's script."""
    language_id: bool = False
    """Each side must be in its language; needs the extra langid."""
    similarity: Percentile | None = None
    """Keep pairs above this percentile of their vectors' cosine, by the encoder's last layer."""
    score: Percentile | None = None
    """Keep pairs above this percentile of ``scores``."""
    scores: dict[LanguageTag, str] | None = None
    """Scores made elsewhere for ``corpus.files``: language = file of a number a line, higher is better."""


class CorpusTable(_Table):
    sources: Annotated[list[Literal["udhr", "cldr"]], Field(min_length=1)] = ["udhr", "cldr"]
    """Embedded texts to use: UDHR segments, CLDR concept names."""
    files: dict[LanguageTag, str] | None = None
    """Your parallel text instead: language = path of a TSV (source, target) or of a ``.txt`` with ``|||``."""
    lenient: bool = False
    """Of your own files, dictionaries too: skip faulty lines, counted by reason; more than 100 that are also more than
    a tenth of a file are an error."""
    held_out: Share = 0.25
    """Share of the embedded items (segments, concepts) kept for measuring, in every language the same ones."""
    max_pairs: Annotated[int, Field(ge=1)] | None = None
    """Pairs of a language at most."""
    filter: FilterTable | None = None
    """Which pairs are good enough; without it all are."""


class AlignTable(_Table):
    aligner: Literal[
        "argmax", "itermax", "softmax", "matching", "edge-cover", "balanced-ot", "partial-ot", "unbalanced-ot",
        "ibm1", "fast-align", "hmm", "hmm-agreement", "dictionary", "none",
    ] = "argmax"  # fmt: skip
    """On the encoder's vectors or by statistics as ``xrealign align --help`` says, dictionary links, or none (sentence
    mode)."""
    layer: int = 8
    """Layer of the vectors."""
    level: Literal["word", "subword"] = "word"
    centre: bool = False
    """Subtract the mean vector of each language's pairs, on either side, before vectors are compared."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of softmax and transport; without it the aligner's own."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of softmax."""
    symmetrization: Literal[
        "intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and", "posterior"
    ] = "grow-diag-final-and"
    """Of statistical aligners, which are trained on the pairs of each language."""
    dictionaries: dict[LanguageTag, str] | None = None
    """Two-column TSV files for the dictionary aligner; without them the embedded concept names."""
    min_score: float | None = None
    """Leave out links that score less."""
    one_to_one: bool = True
    """Leave out links of words with several, as published."""
    drop_identical: bool = True
    """Leave out links between identical words (whatever their case), as published."""
    max_length: Annotated[int, Field(ge=8)] = 128


EMBEDDING_SETTINGS = ("aligner", "layer", "level", "centre", "threshold", "temperature", "max_length")
"""Keys of ``[align]`` that are settings of `xrealign.align.extract.AlignSettings`."""


class _Training(_Table):
    batch_size: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=0)]
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-5
    schedule: Literal["constant", "linear"]
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] | None
    freeze: str
    max_length: Annotated[int, Field(ge=8)] = 96
    compact_vocabulary: bool = True
    """Train on the embedding rows that occur; same result, half the memory."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 100
    precision: Precision = "auto"
    compile: bool = False
    """Compile the encoder's blocks (torch.compile); on GPUs only."""


class ObjectiveTable(_Table):
    """What single objectives may be told besides; `xrealign.train.objective_settings` explains each."""

    candidates: Literal["all", "linked"] = "all"
    drift: Annotated[float, Field(ge=0)] = 1.0
    queue: Annotated[int, Field(ge=1)] = 131_072
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9999
    normalise: bool = True
    translation: Annotated[float, Field(ge=0)] = 1.0
    mask_share: Annotated[float, Field(gt=0, le=1)] = 0.15
    labels: Literal["self", "links"] = "self"
    label_layer: int = 8
    epsilon: Annotated[float, Field(gt=0)] = 0.05
    compared: Literal["words", "sentences"] = "words"


class LoraTable(_Table):
    rank: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Share = 0.0
    targets: Literal["attention", "all"] = "all"


class PromptTable(_Table):
    length: Annotated[int, Field(ge=1)] = 20
    """Learned vectors before every text."""


class RealignTable(_Training):
    strategy: str = "before"
    """When to realign: none, before, during, after, before+during, alternating; or a published name, such as
    freeze_realign_unfreeze_dico, which sets aligner, objective and freeze too."""
    preset: Literal["default", "published"] = "default"
    """``published``: what the papers' code does where the default is otherwise; keys that you set win."""
    objective: Objective | Annotated[dict[Objective, Annotated[float, Field(gt=0)]], Field(min_length=1)] = "word"
    """One objective, or several with their weights: { word = 1.0, mlm = 0.5 }."""
    weight: Annotated[float, Field(gt=0)] = 0.1
    """Of realignment beside the task's loss, in strategies that train both at once."""
    every: Annotated[int, Field(ge=2)] = 2
    """Of ``alternating``: every so manieth step realigns."""
    steps: Annotated[int, Field(ge=0)] = 1000
    """Optimiser steps of realignment alone; 0 leaves the encoder as it is."""
    batch_size: Annotated[int, Field(ge=2)] = 16
    """Sentence pairs a step."""
    layer: int | None = None
    """Layer the objective reads; -1 = the last. Without it the objective's own; the published code reads the last but
    one."""
    layers: Annotated[list[int], Field(min_length=1)] | None = None
    """Several layers: the mean of their losses."""
    pooling: Literal["first", "mean", "sum"] = "mean"
    """Subwords to word vectors."""
    sentence_pooling: Literal["words", "subwords", "cls", "published"] | None = None
    projection: Literal["mlp", "linear", "none"] | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    learned_temperature: bool = False
    negatives: Literal["strong", "weak"] | None = None
    """Against words of both languages, or of the other one only."""
    direction: Literal["both", "forward", "backward"] = "both"
    margin: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Of sentence contrastive objectives: by how much cosine a translation must win; LaBSE has 0.3."""
    settings: ObjectiveTable = ObjectiveTable()
    """Of single objectives."""
    freeze: str = "front"
    """What realignment leaves alone: none, all, front, back, embeddings, blocks 1-6,8, attention, feed-forward, norms,
    biases, joined by +; ``only`` before it for the contrary; gradual 100."""
    adapter: Literal["none", "lora"] = "none"
    """Train low-rank adapters, merged at the end, in the place of the weights."""
    lora: LoraTable = LoraTable()
    front_cache: Annotated[float, Field(ge=0)] = 0.0
    """GiB of the user's cache for the states of a frozen front: computed once, read by every later epoch, seed and
    subset; its dropout is then off. 0: no cache."""
    gather: bool = True
    """Of several processes (torchrun): compare with the words or sentences of all of them, as one process does; false:
    each with its own share alone, for speed."""
    watch: Literal["warn", "stop", "off"] = "warn"
    """Of collapse and forgetting: say it, or end the phase there."""
    mixture: Literal["uniform", "proportional", "temperature", "custom"] = "uniform"
    """How often each language is drawn; the smallest one is repeated, it does not end the training."""
    mixture_temperature: Annotated[float, Field(gt=0)] = 5.0
    mixture_weights: dict[LanguageTag, Annotated[float, Field(ge=0)]] | None = None
    """Of ``custom``."""
    code_switch: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of each word or phrase of the source that can be, to be replaced by a translation."""
    code_switch_by: Literal["links", "names", "dictionary"] = "links"
    """What can be: linked words and phrases; names (runs of words with capitals) as wholes; or words and phrases of
    ``align.dictionaries``, without them of the embedded concept names."""
    schedule: Literal["constant", "linear"] = "constant"
    warmup: Share = 0.0
    clip: Annotated[float, Field(gt=0)] | None = None
    control: bool = True
    """Also train the control without parallel data: same steps, each source sentence paired with itself."""


class FinetuneTable(_Training):
    head_rate: Annotated[float, Field(gt=0)] = 1.0
    """Learning rate of the new head, as a multiple of ``learning_rate``."""
    steps: Annotated[int, Field(ge=1)] = 1000
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Passes over the training sentences, in the place of ``steps``."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    freeze: str = "none"
    """What fine-tuning leaves alone; as in ``[realign]``. "only biases" is BitFit, "only norms" is LNFit."""
    adapter: Literal["none", "lora", "prompt"] = "none"
    """Train low-rank adapters, merged at the end, or vectors before the text (prompt tuning), in the place of the
    weights."""
    lora: LoraTable = LoraTable()
    prompt: PromptTable = PromptTable()
    word_pooling: Literal["first", "mean"] = "first"
    """A word's vector, of tagged words: its first subword's or the mean."""
    stride: Annotated[int, Field(ge=0)] = 32
    """Subwords that two windows of a long text share."""
    keep: Literal["last", "best"] = "last"
    """The last weights, or the best ones by the dev set of the source language; never by a target language."""
    average: Annotated[int, Field(ge=1)] = 1
    """End with the mean of the weights after so many of the last epochs."""
    schedule: Literal["constant", "linear"] = "linear"
    warmup: Share = 0.1
    clip: Annotated[float, Field(gt=0)] | None = 1.0


class TaskTable(_Table):
    name: Name = "intents"
    """A built-in task (intents, sib200, ud-pos, uner, americasnli), or any name for your own files."""
    kind: Literal["class", "pair", "pos", "ner", "slots", "qa"] | None = None
    """Of your own files: sentences, sentence pairs, tagged words, entities, commands with slots, questions."""
    train: str | None = None
    """Your labelled examples of the source language; docs/tasks.md shows the forms of files."""
    dev: str | None = None
    tests: dict[LanguageTag, str] | None = None
    """Your test files by language, the source language among them."""
    format: str | None = None
    """Of your files, such as conllu, conll, tsv, jsonl, squad; without it by ending and content."""
    columns: dict[Name, Name] = {}
    """Where fields are: { text = "sentence", label = "category" }."""
    label_names: dict[Name, Name] = {}
    """What your files' labels mean: { 0 = "entailment", 1 = "neutral" }."""
    merge: dict[Name, Name] = {}
    """Labels or tags to take together, in every file: { AUX = "VERB" }."""
    drop: list[Name] = []
    """Labels to leave out; counted."""
    scheme: str | None = None
    """How your spans are tagged, such as iob1 or bioes; without it found out, file by file."""
    separator: Annotated[Name, Field(min_length=1)] | None = None
    """Between the columns of your ``conll`` files, such as "|"; without it a TAB where there is one, or blanks."""
    loader: str | None = None
    """A function of your own that returns the task: ``file.py:function`` beside this file, or ``module:function``."""
    train_size: Annotated[int, Field(ge=1)] | None = None
    """Training examples at most; without it the task's own."""
    dev_size: Annotated[int, Field(ge=0)] | None = None
    test_size: Annotated[int, Field(ge=1)] | None = None
    """Test examples of a language at most."""
    targets: list[LanguageTag] | None = None
    """Languages to test; without it all that the task has."""
    shots: dict[LanguageTag, str] | None = None
    """Labelled examples of target languages, by language: a further method, ``few-shot``, learns from them too, and is
    reported apart. No other method sees them."""
    few_shot: Annotated[int, Field(ge=1)] | None = None
    """Of each file of ``shots`` at most so many examples."""


class ProjectTable(_Table):
    """Translate-train by label projection: labels of the source side of the parallel text, carried over its links."""

    train: Literal["none", "alone", "mixed"] = "none"
    """``alone`` or ``mixed`` with the task's own training set: a further method, ``projected``, learns from sentences
    of the subset's languages with labels carried over. For tagged words, entities and slots."""
    labelled: dict[LanguageTag, str] | None = None
    """The source side of ``corpus.files`` with labels, in the task's own format, sentence by sentence; without it the
    fine-tuned baseline labels it."""
    coverage: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least share of a sentence's words that must be linked, else it is left out."""


class EvaluateTable(_Table):
    transforms: list[Literal["centring", "rotation", "centred-rotation", "normalised-rotation", "linear"]] = [
        "centring"
    ]
    """Training-free maps of each language into the source language's space, evaluated on the baseline as controls."""
    pairs: Annotated[int, Field(ge=1)] = 100
    """Pairs of each source of text, at most, from which a language's map is fitted."""
    constrained: bool = False
    """Of entities: the best tags among those that make sense, no I-X after O; else as each word has it."""
    max_answer: Annotated[int, Field(ge=1)] = 30
    """Of questions: subwords of the longest answer."""


class MeasureTable(_Table):
    layer: int = -1
    max_concepts: Annotated[int, Field(ge=2)] = 400
    """Held-out concepts for word retrieval at most."""
    max_length: Annotated[int, Field(ge=8)] = 128


class ReportTable(_Table):
    trackers: list[Literal["tensorboard", "mlflow", "trackio", "wandb"]] = []
    """Experiment trackers that get a copy of the finished run; each is an extra of its own name."""
    resources: str | None = None
    """Table of resource classes, to average by class: language, tab, 0 to 5 (Joshi et al. 2020)."""
    figures: list[Literal["png", "svg", "pdf"]] = ["png", "svg", "pdf"]
    """Forms in which the page's figures are saved; `[]` saves none, and the report is there a second or two sooner."""


class Config(_Table):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), AfterValidator(_run_name)]
    """Name of the run's folder: letters, digits, dot, dash, underscore."""
    seed: Annotated[int, Field(ge=0)] = 17
    source: LanguageTag = "eng_Latn"
    """The labelled language."""
    runs: FilePath = "runs"
    """Where results go."""
    encoder: EncoderTable = EncoderTable()
    select: SelectTable = SelectTable()
    corpus: CorpusTable = CorpusTable()
    align: AlignTable = AlignTable()
    realign: RealignTable = RealignTable()
    task: TaskTable = TaskTable()
    finetune: FinetuneTable = FinetuneTable()
    project: ProjectTable = ProjectTable()
    evaluate: EvaluateTable = EvaluateTable()
    measure: MeasureTable = MeasureTable()
    report: ReportTable = ReportTable()
