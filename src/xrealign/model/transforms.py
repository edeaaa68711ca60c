"""Realignment without training: maps of a language's vectors into the source language's space, fitted on parallel text.

    transforms = load_transforms(folder)
    hidden = model(**inputs).last_hidden_state
    hidden = transforms.apply(hidden, "swh_Latn")

`xrealign.model.fit_languages` fits them; the maps themselves are in `xrealign.model.transform_fits`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xrealign.errors import ArtifactError, DataError, did_you_mean
from xrealign.language import Language, parse_language
from xrealign.model.transform_fits import Array, Transform, Vectors
from xrealign.writing import new_path

FOLDER, WEIGHTS, FACTS = "transforms", "transforms.safetensors", "transforms.json"
FORMAT = 1


@dataclass(frozen=True)
class Transforms:
    """The maps of several languages into one source language's space, and what they are for.

    Attributes:
        source: the language whose space it is; its own map is the identity.
        kind: of `fit_transform`.
        layer: the layer they were fitted on and are to be applied at: 0 = embeddings, k = output of block k.
        level: what was paired, ``sentences`` (mean over subwords) or ``words``.
        by_language: each target language's map.
        source_mean: mean vector of the source text. *Shape:* (D,), float32
        facts: what else the JSON file is to say, such as the text they were fitted on.
    """

    source: Language
    kind: str
    layer: int
    level: str
    by_language: Mapping[Language, Transform]
    source_mean: Array
    facts: Mapping[str, Any]

    def apply(
        self,
        vectors: Vectors,
        language: str | Language,
        unknown: Literal["error", "identity"] = "error",
        centred: bool = False,
    ) -> Vectors:
        """The vectors of a text in ``language``, mapped into the source language's space. *Shape:* (…, D) → (…, D)

        Args:
            vectors: states or pooled vectors at `layer`, an array or a tensor on any device.
            language: any code or name; ``swh_Latn``.
            unknown: what becomes of a language without a map: an error, or its vectors as they are.
            centred: also subtract the source's mean, from every language alike: cosines then compare what two
                vectors have beyond it (Libovický et al. 2020).

        Raises:
            LanguageError: nobody knows the language.
            DataError: it has no map, or the vectors are of another width.
        """
        if vectors.shape[-1] != len(self.source_mean):
            raise DataError(f"vectors of {vectors.shape[-1]} dims, but the maps are of {len(self.source_mean)}")
        transform = self.of(language, unknown)
        mapped = vectors if transform is None else transform.apply(vectors)
        return Transform(None, -self.source_mean, 0).apply(mapped) if centred else mapped

    def of(self, language: str | Language, unknown: Literal["error", "identity"] = "error") -> Transform | None:
        """The map of a language, None where vectors stay as they are.

        Raises:
            LanguageError: nobody knows the language.
            DataError: it has no map, and ``unknown`` is not ``identity``.
        """
        parsed = parse_language(language) if isinstance(language, str) else language
        if parsed == self.source:
            return None
        if parsed not in self.by_language and unknown != "identity":
            tags = sorted(known.tag for known in self.by_language)
            raise DataError(
                f"there is no map for {parsed.tag}, only for {', '.join(tags) or 'no language at all'}"
                f"{did_you_mean(parsed.tag, tags)}; unknown='identity' leaves its vectors as they are"
            )
        return self.by_language.get(parsed)


def save_transforms(transforms: Transforms, folder: str | Path) -> None:
    """Writes ``transforms/transforms.safetensors`` and ``transforms/transforms.json`` into an encoder's folder.

    A folder of their own, so that neither ``from_pretrained`` nor the encoder's digest sees them. Both are whole on
    the disk before either takes the place of an earlier one.

    Raises:
        OutputError: the system refuses.
    """
    from safetensors.numpy import save_file

    place = Path(folder) / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    weights = {"source_mean": transforms.source_mean}
    for language, found in transforms.by_language.items():
        weights[f"{language.tag}.offset"] = found.offset
        if found.matrix is not None:
            weights[f"{language.tag}.matrix"] = np.ascontiguousarray(found.matrix)
    facts = {
        "format": FORMAT,
        "kind": transforms.kind,
        "layer": transforms.layer,
        "level": transforms.level,
        "width": len(transforms.source_mean),
        "source": transforms.source.tag,
        "pairs": {language.tag: found.pairs for language, found in transforms.by_language.items()},
        "facts": dict(transforms.facts),
    }
    with new_path(place / FACTS) as told, new_path(place / WEIGHTS, sum(w.nbytes for w in weights.values())) as saved:
        told.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
        save_file(weights, saved)


def load_transforms(folder: str | Path) -> Transforms:
    """The maps that `save_transforms` wrote into an encoder's folder.

    Raises:
        ArtifactError: there are none, or they are damaged or of another version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    place = Path(folder) / FOLDER
    if not (place / FACTS).is_file():
        raise ArtifactError(f"{place / FACTS} is not there: the encoder was saved without transforms; fit them first")
    try:
        facts = json.loads((place / FACTS).read_text("utf-8"))
        if facts["format"] != FORMAT:
            raise ArtifactError(f"{place / FACTS} has format {facts['format']}, expected {FORMAT}; fit them again")
        weights = load_file(place / WEIGHTS)
        maps = {
            parse_language(tag): Transform(weights.get(f"{tag}.matrix"), weights[f"{tag}.offset"], pairs)
            for tag, pairs in facts["pairs"].items()
        }
        width = facts["width"]
        rows = {weights["source_mean"].shape, *(found.offset.shape for found in maps.values())}
        squares = {found.matrix.shape for found in maps.values() if found.matrix is not None}
        if rows != {(width,)} or not squares <= {(width, width)}:
            raise ArtifactError(f"{place / WEIGHTS} holds maps that are not of {width} dims; fit them again")
        return Transforms(
            parse_language(facts["source"]),
            facts["kind"],
            facts["layer"],
            facts["level"],
            maps,
            weights["source_mean"],
            facts["facts"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise ArtifactError(f"the transforms in {place} are damaged ({error!r}); fit them again") from None
