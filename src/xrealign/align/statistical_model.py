"""A trained statistical aligner: as files, in memory, and at work. No torch.

A folder holds `MODEL` (arrays, never unpickled) and `SETTINGS` (what it is, how it was trained, digest of the arrays).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from xrealign.align.em import WIDEST, Array, Places, make_batches, posterior
from xrealign.align.em_training import Fitted, Model, Table
from xrealign.align.linker import NO_LINKS, Linked, ScoredLinks, Sentences
from xrealign.align.symmetrize import symmetrize
from xrealign.arrays import read_npz
from xrealign.errors import ArtifactError
from xrealign.store import seal, unseal
from xrealign.writing import new_file

MODEL, SETTINGS = "model.npz", "statistical.json"
FORMAT = 1
LONGEST = 400  # words of a side; those beyond get no link
POSTERIOR = "posterior"
Vocabularies = tuple[Mapping[str, int], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in memory: numbers of the words of both sides, co-occurrences, and for both directions (tgt from src,
    src from tgt) table and places; ``kind`` as `xrealign.align.em.posterior` has it."""

    kind: str
    lowercase: bool
    vocabularies: Vocabularies
    keys: Array
    tables: tuple[Table, Table]
    places: tuple[Places, Places]


def save_model(
    folder: Path,
    settings: Mapping[str, Any],
    parts: Model,
    vocabularies: Vocabularies,
    fitted: Fitted,
    facts: Mapping[str, Any],
) -> None:
    """Writes a folder that `load_model` reads; ``settings`` and ``facts`` (plain data) are kept with it.

    Pairs of words that are hardly likelier than unseen ones, in both directions, are not saved.
    """
    width = len(vocabularies[1])
    of_pair = (fitted.keys // max(width, 1), fitted.keys % max(width, 1))
    telling = np.zeros(len(fitted.keys), dtype=bool)
    arrays: dict[str, Array] = {}
    for k, table in enumerate(fitted.tables):
        telling |= table.seen > 2 * table.unseen[of_pair[k]]
    for k, table in enumerate(fitted.tables):
        arrays |= {
            f"seen{k}": table.seen[telling].astype(np.float32),
            f"unseen{k}": table.unseen.astype(np.float32),
            f"null{k}": table.null.astype(np.float32),
            f"jumps{k}": fitted.places[k].jumps,
            f"tension{k}": np.array(fitted.places[k].tension),
        }
        words = [word.encode("utf-8", "surrogatepass") for word in vocabularies[k]]
        arrays[f"words{k}"] = np.frombuffer(b"".join(words), dtype=np.uint8)
        arrays[f"ends{k}"] = np.cumsum([len(word) for word in words], dtype=np.int64)
    arrays["keys"] = fitted.keys[telling]
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    record = {
        "format": FORMAT,
        **settings,
        "stages": [list(stage) for stage in parts.stages],
        "null": parts.null,
        "sha256": hashlib.sha256(file.getbuffer()).hexdigest(),
        "training": dict(facts),
    }
    with new_file(folder / SETTINGS) as told, new_file(folder / MODEL, file.tell()) as saved:
        told.write(seal(record).encode())
        saved.write(file.getbuffer())


def read_settings(folder: Path) -> dict[str, Any]:
    """What a saved model is and how it was trained.

    Raises:
        ArtifactError: there is none, or it is of another version or damaged.
    """
    try:
        text = (folder / SETTINGS).read_text("utf-8")
        settings: dict[str, Any] = json.loads(text)
        if next(iter(settings)) != "format":  # older ones have no seal, and begin with their format
            settings = unseal(text)
        stages, found = [(str(kind), int(often)) for kind, often in settings["stages"]], settings["format"]
        complete = settings["sha256"] and settings["model"] and float(settings["null"]) and stages
        settings["lowercase"] = bool(settings["lowercase"])
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} has no {SETTINGS}: not a statistical aligner; `xrealign align train` makes one"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise ArtifactError(f"{folder / SETTINGS} is damaged ({error}); train the aligner again") from None
    if found != FORMAT or not complete:
        raise ArtifactError(f"{folder / SETTINGS}: format {found!r}, expected {FORMAT}; train the aligner again")
    return settings


def load_model(folder: Path, settings: Mapping[str, Any]) -> Trained:
    """The model of a folder; ``settings`` as `read_settings` gives them.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    try:
        data = (folder / MODEL).read_bytes()
        if hashlib.sha256(data).hexdigest() != settings["sha256"]:
            raise ValueError("its digest is another")
        arrays = read_npz(io.BytesIO(data))
        tables, places = [], []
        for k in (0, 1):
            tables.append(Table(*(arrays[f"{part}{k}"].astype(np.float64) for part in ("seen", "unseen", "null"))))
            places.append(Places(float(arrays[f"tension{k}"]), arrays[f"jumps{k}"], float(settings["null"])))
        words = (_words(arrays["words0"], arrays["ends0"]), _words(arrays["words1"], arrays["ends1"]))
        keys = arrays["keys"]
        _check_shapes(words, keys, tables, places)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / MODEL} is damaged ({error}); train the aligner again") from None
    kind = str(settings["stages"][-1][0])
    return Trained(kind, settings["lowercase"], words, keys, (tables[0], tables[1]), (places[0], places[1]))


def link_pairs(model: Trained, src: Sentences, tgt: Sentences, how: str, threshold: float) -> Linked:
    """Links of sentence pairs: symmetrised as ``how`` says, or (``posterior``) those that score above ``threshold``."""
    cut = sum(max(0, len(sentence) - LONGEST) for side in (src, tgt) for sentence in side)
    numbers = [[_numbers(sentence, known, model.lowercase) for sentence in side]
               for side, known in zip((src, tgt), model.vocabularies, strict=True)]  # fmt: skip
    found = [NO_LINKS] * len(numbers[0])
    full = [row for row, (s, t) in enumerate(zip(*numbers, strict=True)) if len(s) and len(t)]
    kept = [[side[row] for row in full] for side in numbers]
    # Threads change the order of sums, and with it the last bits.
    with threadpool_limits(1, user_api="blas"):
        for batch in make_batches(kept[0], kept[1], model.keys, len(model.vocabularies[1])):
            made = [
                posterior(model.kind, *model.tables[k].of(batch, bool(k)), batch.lengths[k], batch.lengths[1 - k],
                          model.places[k])
                for k in (0, 1)
            ]  # fmt: skip
            forward, backward = (_chosen(each.links, each.null) for each in made)
            score = np.sqrt(made[0].links * made[1].links.transpose(0, 2, 1))
            for b, row in enumerate(batch.rows.tolist()):
                if how == POSTERIOR:
                    links = np.argwhere(score[b] > threshold).astype(np.int32)
                else:
                    links = symmetrize(np.argwhere(forward[b]), np.argwhere(backward[b].T), how)
                found[full[row]] = ScoredLinks(links, score[b, links[:, 0], links[:, 1]].astype(np.float32))
    return Linked(found, cut)


def _numbers(sentence: Sequence[str], known: Mapping[str, int], lowercase: bool) -> Array:
    words = [word.lower() for word in sentence[:LONGEST]] if lowercase else sentence[:LONGEST]
    return np.array([known.get(word, -1) for word in words], dtype=np.int32)


def _chosen(links: Array, null: Array) -> Array:
    """Bool (B, I, J): the given word that each made word chooses, if it is likelier than NULL; of equals the first."""
    best = links.argmax(1)
    wins = np.take_along_axis(links, best[:, None], 1)[:, 0] > null
    chosen: Array = (np.arange(links.shape[1])[:, None] == best[:, None]) & wins[:, None]
    return chosen


def _words(data: Array, ends: Array) -> dict[str, int]:
    raw = data.tobytes()
    starts = [0, *ends.tolist()[:-1]]
    words = [raw[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts, ends.tolist(), strict=True)]
    return {word: number for number, word in enumerate(words)}


def _check_shapes(
    words: Sequence[Mapping[str, int]], keys: Array, tables: Sequence[Table], places: Sequence[Places]
) -> None:
    """Raises: ValueError: the arrays do not belong together."""
    sizes = [len(known) for known in words]
    fits = keys.ndim == 1 and (not len(keys) or (keys[0] >= 0 and keys[-1] < sizes[0] * sizes[1]))
    for k, table in enumerate(tables):
        shapes = (table.seen.shape, table.unseen.shape, table.null.shape, places[k].jumps.shape)
        fits = fits and shapes == (keys.shape, (sizes[k] + 1,), (sizes[1 - k] + 1,), (2 * WIDEST + 1,))
    if not fits or not bool(np.all(keys[1:] > keys[:-1])):
        raise ValueError("its arrays do not belong together")
