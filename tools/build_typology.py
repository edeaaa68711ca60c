"""Builds the typology snapshots in ``src/xrealign/data``: ``typology_*.npz``, read-only, no pickle.

Sources, unpacked side by side in one folder (wheels are zip archives):

    lang2vec-1.1.2      PyPI  CC BY-SA 4.0   URIEL: observed and kNN-completed features, family nodes
    urielplus-1.3.2     PyPI  CC BY-SA 4.0   URIEL+: adds Grambank (CC BY 4.0), APiCS, eWAVE, BDPROTO, SAPHON,
                                             scripts, Glottolog's lineage and coordinates

    world-atlas-2.0.2   npm   ISC; the coastline itself is Natural Earth's, public domain

lang2vec is read as data. URIEL+ has to integrate its databases by its own program, which writes into its own
folder: a throw-away copy of it is made, and the integration runs there in a process of its own (two minutes,
5 GB of memory, needs pandas).

    python tools/build_typology.py SOURCES
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUT = Path(__file__).resolve().parent.parent / "src" / "xrealign" / "data"
MISSING = 255

INTEGRATE = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
from urielplus.urielplus import URIELPlus
uriel = URIELPlus()
uriel.set_cache(False)
uriel.set_glottocodes()
uriel.integrate_databases()
sources = [str(source) for source in uriel.sources[1]]
arrays = dict(
    feats=np.asarray(uriel.feats[1]).astype(str),
    langs=np.asarray(uriel.langs[1]).astype(str),
    own=uriel.data[1].max(axis=-1).astype(np.int8),  # before anything is filled in from parents
    grambank=uriel.data[1][:, :, sources.index("GRAMBANK")].astype(np.int8),
    script_feats=np.asarray(uriel.feats[3]).astype(str),
    script_langs=np.asarray(uriel.langs[3]).astype(str),
    script=uriel.data[3].max(axis=-1).astype(np.int8),
)
uriel.set_aggregation("U")
arrays["union"] = uriel.aggregate()[:, :, 0].astype(np.int8)
np.savez_compressed({target!r}, **arrays)
"""


def lines(items: Any) -> NDArray[np.uint8]:
    """Strings as UTF-8 bytes, one to a line: arrays of objects would need pickle."""
    return np.frombuffer("\n".join(str(item) for item in items).encode("utf-8"), dtype=np.uint8)


def save(name: str, **arrays: NDArray[Any]) -> None:
    path = OUT / f"typology_{name}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size:,} bytes; " + ", ".join(f"{k}{v.shape}" for k, v in arrays.items()))


def codes(values: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Values as one-byte codes into the sorted list of different values; negative ones (missing) become 255."""
    levels = np.unique(values[values >= 0])
    coded = np.searchsorted(levels, np.maximum(values, levels[0])).astype(np.uint8)
    coded[values < 0] = MISSING
    return coded, levels.astype(np.float32)


def uriel(folder: Path) -> None:
    def load(name: str) -> dict[str, Any]:
        with np.load(folder / "lang2vec" / "data" / name, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    observed, predicted = load("feature_averages.npz"), load("feature_predictions.npz")
    if not (
        np.array_equal(observed["langs"], predicted["langs"]) and np.array_equal(observed["feats"], predicted["feats"])
    ):
        raise SystemExit("observed and predicted features are not in the same order")
    coded, levels = codes(observed["data"][:, :, 0])
    known = (coded != MISSING).any(axis=1)
    family = load("family_features.npz")
    order = {code: row for row, code in enumerate(family["langs"].tolist())}
    nodes = family["data"][[order[code] for code in observed["langs"].tolist()], :, 0] > 0
    indptr = np.concatenate([[0], np.cumsum(nodes.sum(axis=1))]).astype(np.uint32)
    save(
        "uriel",
        langs=lines(observed["langs"]),
        feats=lines(observed["feats"]),
        knn=np.packbits(predicted["data"][:, :, 0] > 0, axis=1),
        known=np.packbits(known),
        observed=coded[known],
        levels=levels,
        family_indptr=indptr,
        family_indices=np.nonzero(nodes)[1].astype(np.uint16),
        points=np.array([name.split("_")[1:] for name in load("geocoord_features.npz")["feats"].tolist()], np.int16),
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def places(folder: Path) -> None:
    tables = folder / "urielplus" / "database" / "urielplus_csvs"
    rows = sorted(read_csv(tables / "lang_fam_geo.csv"), key=lambda row: row["language_id"])
    # Places of dialects are those of their language: only what the language table can reach is kept.
    known = reachable()
    rows = [row for row in rows if row["language_id"] in known]
    save(
        "places",
        glottocodes=lines(row["language_id"] for row in rows),
        latitude=np.array([float(row["latitude"] or "nan") for row in rows], dtype=np.float32),
        longitude=np.array([float(row["longitude"] or "nan") for row in rows], dtype=np.float32),
        lineage=lines(row["lineage"].replace(", ", "\t") for row in rows),
    )


def integrate(folder: Path) -> dict[str, Any]:
    """URIEL+'s integrated tables, made by its own program in a throw-away copy of its folder."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder / "urielplus", Path(place) / "urielplus")
        target = str(Path(place) / "integrated.npz")
        program = INTEGRATE.format(folder=place, target=target)
        subprocess.run([sys.executable, "-c", program], check=True, cwd=place)
        with np.load(target, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}


def soft_impute(values: NDArray[np.float64], most: int = 400, enough: float = 1e-3) -> NDArray[np.float64]:
    """Gaps (NaN) completed by soft-thresholded singular values (Mazumder, Hastie & Tibshirani 2010, algorithm 1).

    With the settings of URIEL+'s imputation: gaps start at 0, the shrinkage is a fiftieth of the largest
    singular value, values stay between 0 and 1, and it ends when the filled values move by less than ``enough``
    of their norm or after ``most`` steps.
    """
    gaps = np.isnan(values)
    filled = np.where(gaps, 0.0, values)
    shrinkage = float(np.linalg.norm(filled, 2)) / 50
    for step in range(most):
        # Singular values and right vectors from the smaller product: the table is tall.
        squares, right = np.linalg.eigh(filled.T @ filled)
        singular = np.sqrt(np.maximum(squares, 0))
        kept = singular > shrinkage
        scale = (singular[kept] - shrinkage) / singular[kept]
        smooth = np.clip((filled @ right[:, kept] * scale) @ right[:, kept].T, 0, 1)
        before, after = filled[gaps], smooth[gaps]
        moved = np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-12)
        filled[gaps] = after
        if step > 0 and moved < enough:
            break
    print(f"  softImpute: {step + 1} steps, last change {moved:.5f}, {gaps.mean():.1%} of the values were gaps")
    return filled


def reachable() -> set[str]:
    """Glottocodes that lead to a language of the language table."""
    table = (OUT / "languages.tsv").read_text(encoding="utf-8")
    return {word for line in table.splitlines() for word in line.replace(",", "\t").split("\t")}


def urielplus(folder: Path) -> None:
    tables = integrate(folder)
    langs, feats = tables["langs"], tables["feats"]
    known = reachable()
    rows = np.array([index for index, code in enumerate(langs.tolist()) if code in known])
    # eWAVE's features describe varieties of English only, and URIEL+ keeps them out of every other language.
    with (folder / "urielplus" / "database" / "urielplus_csvs" / "english_dialect_data.csv").open(
        encoding="utf-8"
    ) as f:
        english_only = set(next(csv.reader(f))[1:])
    columns = np.array([index for index, feature in enumerate(feats.tolist()) if feature not in english_only])
    own, union = tables["own"][np.ix_(rows, columns)], tables["union"][np.ix_(rows, columns)]
    described = (union >= 0).any(axis=1)
    rows, own, union = rows[described], own[described], union[described]
    imputed = np.rint(soft_impute(np.where(union < 0, np.nan, union).astype(np.float64)))
    save(
        "urielplus",
        glottocodes=lines(langs[rows]),
        feats=lines(feats[columns]),
        observed=np.where(own < 0, MISSING, own).astype(np.uint8),
        union=np.where(union < 0, MISSING, union).astype(np.uint8),
        imputed=np.packbits(imputed > 0, axis=1),
    )
    grambank = tables["grambank"]
    rows = np.array([i for i in np.flatnonzero((grambank >= 0).any(axis=1)) if langs[i] in known])
    columns = np.flatnonzero((grambank >= 0).any(axis=0))
    values = grambank[np.ix_(rows, columns)]
    save(
        "grambank",
        glottocodes=lines(langs[rows]),
        feats=lines(feats[columns]),
        observed=np.where(values < 0, MISSING, values).astype(np.uint8),
    )
    script = tables["script"]
    rows = np.array([i for i in np.flatnonzero((script >= 0).any(axis=1)) if tables["script_langs"][i] in known])
    values = script[rows]
    save(
        "scripts",
        glottocodes=lines(tables["script_langs"][rows]),
        feats=lines(tables["script_feats"]),
        observed=np.where(values < 0, MISSING, values).astype(np.uint8),
    )


def coastline(folder: Path) -> None:
    """Coarse coastlines from TopoJSON: arcs of quantised differences, as degrees × 100."""
    topology = json.loads((folder / "land-110m.json").read_text(encoding="utf-8"))
    scale, translate = np.array(topology["transform"]["scale"]), np.array(topology["transform"]["translate"])
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + translate for arc in topology["arcs"]]
    save(
        "coastline",
        starts=np.cumsum([0, *(len(arc) for arc in arcs)]).astype(np.uint16),
        points=np.rint(np.concatenate(arcs) * 100).astype(np.int16),
    )


def main(sources: Path) -> None:
    coastline(sources / "world-atlas-2.0.2")
    uriel(sources / "lang2vec-1.1.2")
    places(sources / "urielplus-1.3.2")
    urielplus(sources / "urielplus-1.3.2")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
