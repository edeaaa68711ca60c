"""Word alignment by other people's programs: eflomal, fast_align, or any command that writes links. No torch.

A program aligns a whole bitext at once and is run once: its links are kept in a folder of the cache, found again by
the text and the program. Words are handed over as numbers, so that no word can be taken for a separator, and no shell
is involved. Links of a pair of sentences that stands in the bitext more than once are those of its first place.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from xrealign.align.external_run import BACKWARD, BARS, FORWARD, SRC, Pair, pair_digest, parse_links, run_tool
from xrealign.align.linker import Linked, Linker, Recipe, ScoredLinks, Sentences
from xrealign.align.statistical_model import LONGEST
from xrealign.align.symmetrize import SYMMETRIZATIONS, symmetrize
from xrealign.arrays import read_npy
from xrealign.errors import ArtifactError, ConfigError, DataError, did_you_mean
from xrealign.store import Stage, build, file_digest, rebuild_if_damaged

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """How a program is called.

    Attributes:
        runs: command lines, word by word; the first word of each is the program. ``{bars}``, ``{src}``, ``{tgt}`` stand
            for the input (both sides with ``|||`` between, or a file for each), ``{forward}`` and ``{backward}`` for
            the links, ``i-j`` with i a source word in both. A run that names neither prints its links: the first run
            the forward ones, the second the backward ones.
        hint: where to get it.
    """

    runs: tuple[tuple[str, ...], ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Links of a program: digests of the pairs, sorted, their rows, and for each direction a file and where each of
    its lines ends."""

    digests: Array
    order: Array
    links: tuple[tuple[Path, Array], ...]


def parse_tool(runs: Sequence[str]) -> Tool:
    """A program from command lines as one types them, one or two; quotes are understood, nothing is expanded.

    Raises:
        ConfigError: there is no input or no program in one of them.
    """
    made = tuple(tuple(_split(run)) for run in runs)
    for words, run in zip(made, runs, strict=True):
        if not words or not any(f"{{{name}}}" in word for word in words for name in (BARS, SRC)):
            raise ConfigError(f"command {run!r}: expected a program and {{bars}}, or {{src}} and {{tgt}}")
    if len(made) not in (1, 2):
        raise ConfigError(f"{len(made)} commands; expected one, or one for each direction")
    return Tool(made)


def _split(run: str) -> list[str]:
    try:
        return shlex.split(run)
    except ValueError as error:
        raise ConfigError(f"command {run!r}: {error}") from None


def external_recipe(
    tool: str | Tool,
    pairs: Callable[[], Iterable[Pair]],
    digest: str,
    cache: Path,
    program: Path | None = None,
    symmetrization: str = "grow-diag-final-and",
) -> Recipe:
    """An aligner that asks another program.

    Args:
        tool: one of `TOOLS`, or `parse_tool`'s.
        pairs: the words of all pairs that will be aligned, anew at each call. Pairs with an empty side are left out;
            of a sentence of more than `LONGEST` words the rest is cut, gets no link and is counted.
        digest: changes when ``pairs`` do.
        cache: where links are kept; nothing is written elsewhere.
        program: takes the place of the first word of every run.
        symmetrization: one of `SYMMETRIZATIONS`; unused if the program makes one set of links.

    Returns:
        A recipe whose links score 1.

    Raises:
        ConfigError: the tool or symmetrisation is unknown, or the program is not there or cannot be run. On opening,
        ExternalToolError: the program failed; DataError: what it wrote is not links of this text.
    """
    if isinstance(tool, str):
        if tool not in TOOLS:
            raise ConfigError(f"external aligner {tool!r}; expected {', '.join(TOOLS)}{did_you_mean(tool, TOOLS)}")
        tool = TOOLS[tool]
    if symmetrization not in SYMMETRIZATIONS:
        hint = did_you_mean(symmetrization, SYMMETRIZATIONS)
        raise ConfigError(f"symmetrisation {symmetrization!r} is unknown; expected {', '.join(SYMMETRIZATIONS)}{hint}")
    found = tool
    paths = [find_program(str(program or run[0]), found.hint) for run in found.runs]
    settings = {"runs": [list(run) for run in asdict(found)["runs"]], "programs": [file_digest(path) for path in paths]}
    stage = Stage("external", f"align with {paths[0].name}", settings, {"pairs": digest},
                  lambda folder, work: run_tool(found.runs, paths, pairs(), folder, work))  # fmt: skip

    def opened() -> Linker:
        rebuild_if_damaged(stage, cache)
        kept = _open_kept(build(stage, cache))
        return Linker(lambda src, tgt: _kept_links(kept, src, tgt, symmetrization))

    return Recipe({"aligner": "external", **settings, "symmetrization": symmetrization}, opened)


def find_program(name: str, hint: str = "") -> Path:
    """The file of a program, by path or as found in PATH.

    Raises:
        ConfigError: there is none, or it cannot be executed.
    """
    path = shutil.which(name)
    if path is None:
        there = Path(name).exists()
        what = "is not a program that can be run" if there else "is not in PATH" if "/" not in name else "is not there"
        raise ConfigError(f"{name} {what}{f'; {hint}' if hint else ''}")
    return Path(path).resolve()


def _open_kept(folder: Path) -> _Kept:
    """Raises: ArtifactError: a file is missing or damaged."""
    try:
        arrays = {path.stem: read_npy(path) for path in folder.glob("*.npy")}
        ends = tuple((folder / f"{name}.txt", arrays[name]) for name in (FORWARD, BACKWARD) if name in arrays)
        return _Kept(arrays["digests"], arrays["order"], ends)
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder} is damaged ({error}); delete it and align again") from None


def _kept_links(kept: _Kept, src: Sentences, tgt: Sentences, how: str) -> Linked:
    """Links of sentence pairs that were in the bitext; none for a pair with an empty side."""
    cut = sum(max(0, len(sentence) - LONGEST) for side in (src, tgt) for sentence in side)
    found = []
    with ExitStack() as stack:
        files = [(stack.enter_context(path.open("rb")), ends) for path, ends in kept.links]
        for s, t in zip(src, tgt, strict=True):
            sets = [_read_links(file, ends, _row(kept, s, t)) for file, ends in files] if s and t else []
            if len(sets) == 2:
                links = symmetrize(sets[0], sets[1], how)
            else:
                links = np.unique(sets[0], axis=0).astype(np.int32) if sets else np.zeros((0, 2), dtype=np.int32)
            found.append(ScoredLinks(links, np.ones(len(links), dtype=np.float32)))
    return Linked(found, cut)


def _row(kept: _Kept, src: Sequence[str], tgt: Sequence[str]) -> int:
    digest = np.uint64(pair_digest(src, tgt))
    place = int(np.searchsorted(kept.digests, digest))
    if place == len(kept.digests) or kept.digests[place] != digest:
        raise DataError(f"a sentence pair that the program did not get: {' '.join(src)[:60]!r}")
    return int(kept.order[place])


def _read_links(file: IO[bytes], ends: Array, row: int) -> Array:
    start = int(ends[row - 1]) if row else 0
    file.seek(start)
    links = parse_links(file.read(int(ends[row]) - start))
    if links is None:
        raise ArtifactError(f"{file.name} is damaged; delete its folder and align again")
    return links


TOOLS: Mapping[str, Tool] = {
    # Östling & Tiedemann 2016; its sampler starts from the system's random numbers, so that two runs differ a little.
    "eflomal": Tool(
        (("eflomal-align", "-s", "{src}", "-t", "{tgt}", "-f", "{forward}", "-r", "{backward}", "--overwrite"),),
        "pip install eflomal (needs a C compiler)",
    ),
    # Dyer et al. 2013; -d -o -v is what its authors recommend.
    "fast_align": Tool(
        (("fast_align", "-i", "{bars}", "-d", "-o", "-v"), ("fast_align", "-i", "{bars}", "-d", "-o", "-v", "-r")),
        "build it from its sources, and put it in PATH or name its path",
    ),
}
