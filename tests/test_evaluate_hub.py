"""Fine-tuned models with heads of transformers' own: what `evaluate` reads of them is what they say themselves."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from xrealign.cli import app
from xrealign.errors import ArtifactError, ConfigError, XrealignError
from xrealign.tasks.metrics import score
from xrealign.tasks.statistics import task_statistics
from xrealign.tasks.task import Example, PairExample, QuestionExample, TaggedExample
from xrealign.train.decode import repair_tags
from xrealign.train.fine_tuned import FineTuned
from xrealign.train.hub_heads import hub_kinds, load_hub_model
from xrealign.train.predict import predict
from xrealign.train.task_inputs import encode_task
from xrealign.train.task_streams import make_task_batch

RUNNER = CliRunner()
ARCHITECTURES = ("bert", "distilbert", "xlm-roberta", "deberta-v2", "modernbert")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SENTENCES = ("Everyone has the right to life", "No one", "Alle Menschen sind frei und gleich an Würde", "Kila mtu")
AUTO = {
    "class": transformers.AutoModelForSequenceClassification,
    "pair": transformers.AutoModelForSequenceClassification,
    "pos": transformers.AutoModelForTokenClassification,
    "ner": transformers.AutoModelForTokenClassification,
    "qa": transformers.AutoModelForQuestionAnswering,
}
EXAMPLES = {
    "class": tuple(Example(text, "on", text) for text in SENTENCES),
    "pair": tuple(PairExample(a, b, "on", a) for a, b in zip(SENTENCES, SENTENCES[::-1], strict=True)),
    "ner": tuple(TaggedExample(tuple(text.split()), ("O",) * len(text.split()), text) for text in SENTENCES),
    "qa": tuple(
        QuestionExample(str(n), "Who has it?", text, ((text.split()[0], 0),), text) for n, text in enumerate(SENTENCES)
    ),
}
NAMES = {"class": ("off", "on", "dim"), "pair": ("off", "on", "dim"), "ner": TAGS, "qa": None}


@pytest.fixture(scope="module")
def saved(tiny_folders, tmp_path_factory):
    """A random model of an architecture with the head for a kind, saved as the Trainer does."""

    def make(architecture: str, kind: str, names=None, **changes) -> Path:
        base = tiny_folders(architecture)
        folder = tmp_path_factory.mktemp("hub") / f"{architecture}-{kind}"
        config = transformers.AutoConfig.from_pretrained(base)
        if names is not None:
            config.id2label = dict(enumerate(names))
            config.label2id = {name: number for number, name in enumerate(names)}
        for key, value in changes.items():
            setattr(config, key, value)
        torch.manual_seed(5)
        model = AUTO[kind].from_config(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith(("classifier", "qa_outputs", "score")):
                    weight.normal_()  # so that predictions differ from text to text
        model.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
        return folder

    return make


def their_logits(folder: Path, kind: str) -> list[torch.Tensor]:
    """Of each example by itself, by transformers alone; of words those of their first subwords."""
    model = AUTO[kind].from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = []
    for example in EXAMPLES[kind]:
        if kind == "class":
            inputs = tokenizer(example.text, return_tensors="pt")
        elif kind == "pair":
            inputs = tokenizer(example.first, example.second, return_tensors="pt")
        elif kind == "qa":
            inputs = tokenizer(example.question, example.context, return_tensors="pt")
        else:
            inputs = tokenizer(list(example.words), is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            out = model(**inputs)
        if kind == "qa":
            found.append(torch.stack([out.start_logits[0], out.end_logits[0]], dim=-1))
        elif kind == "ner":
            words = inputs.word_ids(0)
            found.append(torch.stack([out.logits[0, words.index(n)] for n in range(len(example.words))]))
        else:
            found.append(out.logits[0])
    return found


def opened(*arguments, **options) -> FineTuned:
    return FineTuned(*load_hub_model(*arguments, **options))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["class", "pair", "ner", "qa"])
def test_scores_are_transformers_own(saved, architecture, kind):
    folder = saved(architecture, kind, NAMES[kind])
    assert kind in hub_kinds(folder)
    model = opened(folder, kind)
    examples = EXAMPLES[kind]
    inputs = encode_task(model.encoder.tokenizer, kind, examples, 96)
    batch = make_task_batch(inputs, np.arange(len(examples)), model.encoder.tokenizer.pad_token_id)
    with torch.no_grad():
        ours = model.head.scores(model.head.raw(batch), batch)
    theirs = their_logits(folder, kind)
    if kind == "ner":
        torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=1e-5)
    else:
        for row, one in zip(ours, theirs, strict=True):
            torch.testing.assert_close(row[: len(one)] if kind == "qa" else row, one, rtol=0, atol=1e-5)
    said = predict(model.encoder, model.head, kind, examples, *model.outputs)[""].predictions
    if kind in ("class", "pair"):
        assert list(said) == [NAMES[kind][int(one.argmax())] for one in theirs]
        assert (theirs[0] - theirs[2]).abs().max() > 1e-3, "not the same whatever is read"
    if kind == "ner":
        raw = [[TAGS[n] for n in one.argmax(-1).tolist()] for one in theirs]
        assert list(said) == [repair_tags(row, TAGS) for row in raw]
    if kind == "qa":
        for example, answer, one in zip(examples, said, theirs, strict=True):
            assert answer
            assert answer == _best_span(model.encoder.tokenizer, example, one)


def _best_span(tokenizer, example, scores) -> str:
    """Brute force over all spans of the context, of at most 30 subwords."""
    encoded = tokenizer(example.question, example.context, return_offsets_mapping=True)
    context = [n for n, part in enumerate(encoded.sequence_ids(0)) if part == 1]
    spans = [(float(scores[i, 0] + scores[j, 1]), i, j) for i in context for j in context if i <= j < i + 30]
    _, first, last = max(spans)
    start, end = encoded["offset_mapping"][first][0], encoded["offset_mapping"][last][1]
    return example.context[start:end].strip()


def run(*arguments: object):
    return RUNNER.invoke(app, ["evaluate", *map(str, arguments)], catch_exceptions=True)


def test_from_the_command_line(saved, tmp_path):
    folder = saved("bert", "ner", ("O", "B-PER", "I-PER", "E-PER", "S-PER"))
    rows = ["\n".join(f"{word}\t{'B-PER' if n == 0 else 'O'}" for n, word in enumerate(s.split())) for s in SENTENCES]
    (tmp_path / "deu.conll").write_text("\n\n".join(rows) + "\n", "utf-8")
    out = tmp_path / "said.jsonl"
    done = run("--model", folder, "--task", "ner", "--data", tmp_path / "deu.conll", "--format", "json", "-o", out)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    items = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    said = [tuple(item["predicted"].split()) for item in items]
    assert set().union(*said) <= {"O", "B-PER", "I-PER"}, "BIOES is read as BIO"
    gold = [TaggedExample(tuple(s.split()), tuple(i["gold"].split()), s) for s, i in zip(SENTENCES, items, strict=True)]
    wanted = task_statistics("ner", gold, said, (), ("O", "B-PER", "I-PER"))
    assert result["value"] == pytest.approx(score(wanted, "f1"), abs=1e-12)


def test_labels_without_names(saved, tmp_path):
    folder = saved("bert", "class", num_labels=3)
    (tmp_path / "deu.tsv").write_text("on\tLicht an\noff\tLicht aus\n", "utf-8")
    call = ("--model", folder, "--task", "class", "--data", tmp_path / "deu.tsv")
    error = run(*call).exception
    assert isinstance(error, ConfigError)
    assert "3 of 3 labels have no name (LABEL_0)" in str(error)
    assert "--labels NAME,NAME,… (3)" in str(error)
    assert "expected 3 different names" in str(run(*call, "--labels", "on,off").exception)
    assert "expected 3 different names" in str(run(*call, "--labels", "on,off,on").exception)
    done = run(*call, "--labels", "on,off,dim", "--format", "json")
    assert done.exit_code == 0, done.output
    # Outputs are matched by name: told in another order, the same model says other things.
    said = [
        predict(m.encoder, m.head, "class", EXAMPLES["class"], *m.outputs)[""].predictions
        for m in (opened(folder, "class", names) for names in (["a", "b", "c"], ["b", "c", "a"]))
    ]
    assert [{"a": "b", "b": "c", "c": "a"}[one] for one in said[0]] == list(said[1])


def test_what_is_no_such_model(saved, tiny_encoder_folder, tmp_path):
    (tmp_path / "deu.tsv").write_text("on\tLicht an\n", "utf-8")
    data = ("--data", tmp_path / "deu.tsv")
    folder = saved("bert", "class", ("off", "on"))
    cases = {
        "the model was trained for kind qa": (saved("bert", "qa"), "class"),
        "the model's head is for class or pair": (folder, "pos"),
        "has no head.safetensors": (tiny_encoder_folder, "class"),
    }
    for words, (model, task) in cases.items():
        error = run("--model", model, "--task", task, *data).exception
        assert isinstance(error, XrealignError), error
        assert words in str(error)
    many = saved("bert", "class", ("off", "on"), problem_type="multi_label_classification")
    with pytest.raises(ConfigError, match="2 outputs for multi_label_classification"):
        opened(many, "class")
    shifted = tmp_path / "shifted"
    shutil.copytree(folder, shifted)
    config = json.loads((shifted / "config.json").read_text("utf-8"))
    (shifted / "config.json").write_text(json.dumps(config | {"id2label": {"1": "off", "2": "on"}}), "utf-8")
    with pytest.raises(ConfigError, match=r"id2label names the outputs 1, 2; expected 0 to 1; or tell .* --labels"):
        opened(shifted, "class")
    assert opened(shifted, "class", ["off", "on"]).labels == ("off", "on")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["onwards"])  # and the model never resized
    tokenizer.save_pretrained(shifted)
    with pytest.raises(ArtifactError, match="its tokenizer has 806 subwords for 805 embeddings"):
        opened(shifted, "class", ["off", "on"])
    with pytest.raises(ConfigError, match=r"label 'PER' is no tag of a span"):
        opened(saved("bert", "ner", ("O", "PER")), "ner")
    headless = tmp_path / "headless"
    shutil.copytree(folder, headless)
    weights = load_file(headless / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match="lacks weights of its head or body: classifier"):
        opened(headless, "class")
    weights["classifier.bias"][1] = float("nan")
    save_file(weights, headless / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"model.safetensors: the tensor 'classifier.bias' has 1 of 2"):
        opened(headless, "class")
    (headless / "model.safetensors").rename(headless / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="a pickle is never opened"):
        opened(headless, "class")


def test_more_than_the_model_reads_is_refused(saved, tmp_path):
    (tmp_path / "deu.tsv").write_text("on\tLicht an\n", "utf-8")
    call = ("--model", saved("xlm-roberta", "class", ("off", "on")), "--task", "class", "--data", tmp_path / "deu.tsv")
    error = run(*call, "--max-length", "513").exception
    assert isinstance(error, ConfigError), error
    assert str(error) == "max_length = 513: the encoder has 512 positions"
    assert run(*call, "--max-length", "512").exit_code == 0


def test_questions_without_an_answer(saved):
    model = opened(saved("xlm-roberta", "qa"), "qa")
    may = dataclasses.replace(model, head=opened(model.encoder.folder, "qa", impossible=True).head)
    examples = EXAMPLES["qa"]
    always, seldom = (predict(one.encoder, one.head, "qa", examples, (), ())[""].predictions for one in (model, may))
    assert all(always)
    for answer, other, scores in zip(always, seldom, their_logits(model.encoder.folder, "qa"), strict=True):
        assert other in (answer, "")
        assert (other == "") == (float(scores[0].sum()) >= _best_score(model, examples[always.index(answer)], scores))


def _best_score(model, example, scores) -> float:
    parts = model.encoder.tokenizer(example.question, example.context).sequence_ids(0)
    context = [n for n, part in enumerate(parts) if part == 1]
    return max(float(scores[i, 0] + scores[j, 1]) for i in context for j in context if i <= j < i + 30)
