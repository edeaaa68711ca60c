"""How diverse a set of languages is, whatever it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrealign.errors import ConfigError
from xrealign.language import Language
from xrealign.select.criteria import family_of
from xrealign.select.distances import Distances
from xrealign.select.features import features


def diversity(members: Sequence[Language], distances: Distances, targets: Sequence[Language] = ()) -> dict[str, float]:
    """Measures of a set of languages.

    - ``mean_distance``, ``min_distance``: over all pairs (0 for a single language);
    - ``entropy``: Shannon entropy in bits of each feature's values over the members, averaged over URIEL's
      kNN-completed features;
    - ``feature_inclusion``: share of the feature values seen in any of URIEL's languages that the members show,
      after the typology index of Ploeger et al. (2024); with binary features there are two values to each;
    - ``families``, ``scripts``: how many different ones;
    - ``target_distance``: mean distance of the targets to their nearest member (where there are targets).

    Raises:
        ConfigError: a member the distances do not cover.
    """
    place = {language: index for index, language in enumerate(distances.languages)}
    missing = [language.iso for language in [*members, *targets] if language not in place]
    if missing:
        raise ConfigError(f"no distances for {', '.join(missing)}")
    rows = np.array([place[language] for language in members], dtype=np.int64)
    block = distances.matrix[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
    measures = {
        "mean_distance": float(block.mean()) if len(block) else 0.0,
        "min_distance": float(block.min()) if len(block) else 0.0,
    }
    table = features(members, "uriel-knn")
    values = table.values[~np.isnan(table.values).any(axis=1)]
    if len(values):
        ones = values.mean(axis=0).astype(np.float64)
        measures["entropy"] = float(np.mean(_entropy(ones)))
        measures["feature_inclusion"] = float(np.mean(((ones > 0).astype(float) + (ones < 1)) / 2))
    measures["families"] = float(len({family_of(language) for language in members}))
    measures["scripts"] = float(len({language.script for language in members}))
    if len(targets):
        goal = np.array([place[language] for language in targets], dtype=np.int64)
        measures["target_distance"] = float(distances.matrix[np.ix_(goal, rows)].min(axis=1).mean())
    return measures


def _entropy(
    share: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Bits of entropy of a coin with this share of heads."""
    inside = np.clip(share, 1e-300, 1)
    outside = np.clip(1 - share, 1e-300, 1)
    result: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = -(
        share * np.log2(inside) + (1 - share) * np.log2(outside)
    )
    return result
