"""A small good input of every reader, where the fuzzer begins; what xrealign writes itself is written by it."""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from fuzz_target import Target, attempt, joined
from safetensors.torch import save
from targets_saved import CHECKPOINT, FRONT, ONE_SCORE, STATISTICAL, TRANSFORMS, npy

from xrealign.align.em import WIDEST
from xrealign.report.scores import write_scores

ROW = "\t_\t{}\t_\t_\t_\t_\t_\t{}\n"
CONLLU = (
    "# sent_id = a1\n1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n"
    + "".join(
        f"{n}\t{word}\t_\t{tag}\t_\tCase=Nom|Number=Sing\t_\t_\t_\tNER={span}\n"
        for n, word, tag, span in ((1, "de", "ADP", "O"), (2, "el", "DET", "B-PER"), (3, "Ana", "PROPN", "I-PER"))
    )
    + "3.1\tvio\t_\t_\t_\t_\t_\t_\t_\t_\n\n# text = x\n1\tx\t_\tX\t_\t_\t_\t_\t_\tNER=O\n"
)
SQUAD = json.dumps(
    {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": "Ana lives in Roma.",
                        "qas": [
                            {"id": "q1", "question": "Where?", "answers": [{"text": "Roma", "answer_start": 13}]},
                            {"id": "q2", "question": "Why?", "is_impossible": True, "answers": []},
                        ],
                    }
                ],
            }
        ]
    }
)
TMX = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header srclang="en"/><body>
<tu tuid="1"><tuv xml:lang="en"><seg>a <ph>b</ph> house</seg></tuv><tuv xml:lang="de"><seg>ein Haus</seg></tuv></tu>
<tu><tuv lang="en-GB"><seg>two &amp; <hi>three</hi></seg></tuv><tuv lang="de-DE"><seg>zwei</seg></tuv></tu>
</body></tmx>"""
CONFIG = """name = "x"
[select]
candidates = ["deu", "swh"]
k = 1
[realign]
steps = 3
objective = { word = 1.0, sentence = 0.5 }
[align]
aligner = "argmax"
[task]
name = "intents"
[finetune]
epochs = 1
"""
SWEEP = (
    CONFIG
    + """[sweep]
"seed" = [17, 23]
exclude = [{ seed = 17, variant = "a" }]
[[sweep.variant]]
name = "a"
set = { "realign.steps" = 5 }
"""
)
TEXT: Mapping[str, tuple[str, ...]] = {
    "conllu": (CONLLU,),
    "conll": (
        "Ana B-PER\nla O\n\nRoma B-LOC\n",
        "word\ttag\na\tO\nb\tI-LOC\n",
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\n. . O O\n",
        "en:a O\nen:b S-X\n",
        "# sent_id = 4\n# intent: go\n1\ta\tB-X\n2\tb\tE-X\n",
        "a,NOUN\nb,VERB\n",
    ),
    "table": (
        "on\tlight on\noff\tlight off\n",
        'text,label\n"a, ""b""",x\n',
        "premise\thypothesis\tlabel\tlanguage\na\tb\tyes\tsw\n",
        "words\ttags\tintent\na b\tO B-x\tgo\n",
    ),
    "jsonl": (
        '{"text": "a", "label": "x"}\n{"text": "b", "label": 1}\n',
        '{"premise": "a", "hypothesis": "b", "label": "yes"}\n',
        '{"tokens": ["a", "b"], "tags": ["O", "B-X"], "intent": "go"}\n',
        '{"id": 3, "question": "q", "context": "a b", "answers": {"text": ["b"], "answer_start": [2]}}\n',
        '{"question": "q", "context": "a b", "answers": [{"text": "b", "answer_start": 2}]}\n',
    ),
    "squad": (SQUAD,),
    "spans": ("O B-PER I-PER O\nI-LOC O\n", "S-PER O B-LOC I-LOC E-LOC\n", "I-A E-A I-A I-A E-A\n", "B_PER PERSON\n"),
    "retrieval": ("a\tb\nc\td\n", "1\ta\tb\n2\tc\td\n"),
    "retrieval-lines": ("a\nb\n%%%% b.txt\nx\ny\n",),
    "labels": (
        'kind = "class"\ndrop = ["y"]\n[labels]\n1 = "x"\n[merge]\nz = "x"\n'
        "%%%% train.tsv\nx\ta\nz\tb\ny\tc\n%%%% test.tsv\n1\td\n",
        'kind = "ner"\n[merge]\nPERSON = "PER"\n%%%% train.tsv\na B-PER\nb O\n%%%% test.tsv\nc B-PERSON\n',
        'kind = "pos"\nfew = 1\n[columns]\ntags = "2"\n%%%% train.tsv\na NOUN\nb VERB\n%%%% test.tsv\nc VERB\n',
    ),
    "answers": ("the Roma\nRoma\n", "在羅馬\n羅馬\n", "البيت\nبيت\n"),
    "any-form": ("text\tlabel\tlanguage\na\tx\tswh\n",),
    "check-class": ("on\ta\noff\tb\nOn\tc\n",),
    "check-pair": ("a\tb\tyes\nc\td\tno\n",),
    "check-pos": ("a NOUN\nb VERB\nc NOUN\nd NOUN\ne NOUNN\n",),
    "check-ner": ("a B-PER\nb I-PER\n\nc O\n",),
    "check-slots": ("words\ttags\tintent\na b\tO B-x\tgo\n",),
    "check-qa": ('{"question": "q", "context": "a b", "answers": {"text": ["b"], "answer_start": [2]}}\n',),
    "check-retrieval": ("a\tb\nc\td\n",),
    "pharaoh": ("a b\tx y\t0-0 1p1\n%%%% links.txt\n0-0 1-1:0.5\n", "0-0 1p2\n\n2-2\n%%%% links.txt\n0-0\n\n\n"),
    "tags": (
        "a b\tx y\t0-0\n%%%% tags.conllu\n" + CONLLU.split("\n\n")[1] + "\n",
        "a b\tx y\t0-0\n%%%% tags.conllu\nNOUN VERB\n",
    ),
    "bitext-tsv": ("a\tb\nc\td\n", "1\ta\tb\n2\tc\td\n"),
    "moses": ("a\nb\n%%%% a.deu\nx\ny\n",),
    "bar": ("a b ||| c\nd ||| e\n",),
    "pairs": ("a b\tc\nd\te\n", "a ||| b\n", TMX),
    "tmx": (TMX,),
    "dictionary": ("house\tHaus\nhouse\tHeim\n", "house Haus\ntree Baum\n"),
    "quality": ("0.5\n-1e3\n",),
    "config": (CONFIG, 'name = "y"\n[realign]\nstrategy = "after"\nlayers = [1, 2]\n'),
    "sweep": (SWEEP,),
    "candidates": ("deu\nswh, fr # remark\n", "deu\t5\nswh,2\n", "language\tsize\nfamily\ndeu\t3\n"),
    "languages": ("zh-Hant-TW\ndeu_Latn\nGerman\nSerbian (Latin)\nstan1295\nen_XX\n",),
    "matrix": ("\teng\tdeu\neng\t0\t0.5\ndeu\t0.5\t0\n",),
    "published": ("method,seed,eval_de_accuracy,eval_same_accuracy\nbase,17,0.5,80\nbase,23,0.4,81\n",),
    "manifest": ('{"format": 2, "files": {"a.txt": {"bytes": 1, "sha256": "x"}}}',),
    "run-scores": (json.dumps([dataclasses.asdict(ONE_SCORE[0])]),),
    "run": (
        '%%%% report-input.json\n{"groups": {"source": ["eng_Latn"]}, "context": {"task": "t", "config": "seed = 1"}}',
        '%%%% sweep.json\n{"cells": {"mine": {"labels": {"seed": "17"}}}, "name": "s"}',
    ),
    "lock": ('{"udhr": {"a": {"sha256": "00"}}}',),
    "saved-task": (
        '{"name": "t", "kind": "class", "source": "eng_Latn", "labels": ["x"], "tags": [], "train": [["a", "x", "1"]], '
        '"dev": [], "tests": {"swh_Latn": [["b", "x", "1"]]}, "notes": {}}',
    ),
    "supervised": ('{"format": 1, "layer": 1, "marker": "#", "max_length": 128}',),
    "model-folder": ('{"model_type": "bert", "auto_map": {}}', '{"model_type": "bert"}'),
    "compressed": ("a\nb\n",),
}


def _archive(parts: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _files(ending: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_scores(ONE_SCORE, Path(folder) / f"scores{ending}").read_bytes()


def _saved() -> dict[str, tuple[bytes, ...]]:
    tensors = {"model.weight": torch.ones(1, 2), "model.bias": torch.ones(1), "adam.step.weight": torch.tensor(1.0)}
    words = npy(list(b"ab"), dtype="uint8"), npy([1, 2], dtype="int64")
    one = (
        npy([0.5]),
        npy([0.1] * 3),
        npy([0.1] * 3),
        npy([0.0] * (2 * WIDEST + 1), dtype="float64"),
        npy(1.0, dtype="float64"),
    )
    settings = b'{"format": 1, "stages": [["hmm", 1]], "null": 0.1, "lowercase": true, "model": "x", "sha256": ""}'
    arrays = (*one, *words, *one, *words, npy([1], dtype="int64"))
    square, names = npy([[0, 0.5], [0.5, 0]], dtype="float64"), npy(["eng", "deu"], dtype="U3")
    head = {"linear.weight": torch.ones(2, 4), "linear.bias": torch.zeros(2)}
    facts = (
        b'{"format": 1, "kind": "mean", "layer": 1, "level": "sentence", "width": 2, "source": "eng_Latn", '
        b'"pairs": {"swh_Latn": 3}, "facts": {}}'
    )
    maps = {"source_mean": torch.zeros(2), "swh_Latn.offset": torch.ones(2), "swh_Latn.matrix": torch.eye(2)}
    shares = {"a b parts.npy": npy([1, 0], dtype="uint8"), "a b wholes.npy": npy([1, 1], dtype="uint8")}
    return {
        "statistical-model": (joined(dict(zip(STATISTICAL, (settings, *arrays), strict=True))),),
        "front-cache": (
            joined(
                dict(
                    zip(
                        FRONT,
                        (
                            b'{"format": 1}',
                            npy([list(range(16))], dtype="uint8"),
                            npy([2], dtype="int64"),
                            npy([[1, 2], [3, 4]]),
                        ),
                        strict=True,
                    )
                )
            ),
        ),
        "checkpoint": (
            joined(
                {CHECKPOINT[0]: b'{"format": 2, "step": 1, "history": [], "pending": []}', CHECKPOINT[1]: save(tensors)}
            ),
        ),
        "transforms": (joined({TRANSFORMS[0]: facts, TRANSFORMS[1]: save(maps)}),),
        "head": (joined({"head.safetensors": save(head), "labels.json": b'["x", "y"]'}),),
        "adapter": (save({"a.weight.A": torch.ones(1, 2), "a.weight.B": torch.ones(2, 1)}, {"base": "x"}),),
        "matrix-npz": (joined({"languages.npy": names, "matrix.npy": square}),),
        "items": (joined(shares),),
        "npz": (_archive(shares), _archive({"languages.npy": names, "matrix.npy": square})),
        "parquet": (_files(".parquet"),),
        "scores": (_files(".csv"),),
    }


def seeds_of(name: str) -> tuple[bytes, ...]:
    """The good inputs of a reader."""
    return tuple(text.encode() for text in TEXT.get(name, ())) or _saved()[name]


def warm_up(name: str, target: Target, folder: Path) -> None:
    """Reads the good inputs once: what is loaded and built only once is no input's fault, and none is slow for it."""
    for data in seeds_of(name):
        attempt(target, data, folder)
