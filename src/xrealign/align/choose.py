"""Every aligner of ``xrealign align`` by name: what it needs, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrealign.align.linker import Recipe
from xrealign.errors import ConfigError, did_you_mean
from xrealign.language import Language

EMBEDDING = (
    "argmax", "itermax", "softmax", "matching", "edge-cover", "balanced-ot", "partial-ot", "unbalanced-ot",
)  # fmt: skip
STATISTICAL = ("ibm1", "fast-align", "hmm", "hmm-agreement")
NAMES = (*EMBEDDING, *STATISTICAL, "dictionary", "supervised", "external")
Bitext = Callable[[], Iterable[tuple[Sequence[str], Sequence[str]]]]  # the words of all pairs, anew at each call


@dataclass(frozen=True, slots=True)
class DictionaryOptions:
    """What the dictionary aligner reads; see `xrealign.align.lexical.dictionary_recipe`."""

    path: Path | None = None
    lemma: bool = False
    prefix: bool = False
    reverse: bool = False
    lenient: bool = False


def check_aligner(name: str) -> None:
    """Raises: ConfigError: there is no aligner of this name."""
    if name not in NAMES:
        raise ConfigError(f"--aligner {name} is unknown; expected {', '.join(NAMES)}{did_you_mean(name, NAMES)}")


def dictionary_aligner(options: DictionaryOptions, src: Language | None, tgt: Language | None) -> Recipe:
    """Raises: ConfigError: no dictionary is named; DataError: there is no such file."""
    from xrealign.align.lexical import dictionary_recipe

    if options.path is None:
        raise ConfigError("--aligner dictionary needs --dictionary FILE, two columns: source word, target word")
    return dictionary_recipe(
        options.path, src, tgt, options.lemma, options.prefix, options.reverse, lenient=options.lenient
    )


def supervised_aligner(
    model: Path | None, threshold: float | None, max_length: int, subwords_per_batch: int, device: str
) -> Recipe:
    """Raises: ConfigError: no model is named; ArtifactError: it is none of a supervised aligner."""
    from xrealign.align.supervised import supervised_recipe

    if model is None:
        raise ConfigError("--aligner supervised needs --model FOLDER, which `xrealign align train-supervised` writes")
    return supervised_recipe(model, 0.5 if threshold is None else threshold, max_length, subwords_per_batch, device)


def statistical_aligner(
    name: str,
    model: Path | None,
    pairs: Bitext,
    digest: str,
    symmetrization: str,
    threshold: float | None,
    seed: int,
) -> Recipe:
    """A trained model; without one, it is trained on the pairs themselves and kept in the cache.

    Raises:
        ConfigError: the folder holds a model of another name; ArtifactError: it holds none.
    """
    from xrealign.align.statistical import cached_model, statistical_recipe
    from xrealign.align.statistical_model import read_settings
    from xrealign.paths import cache_folder

    if model is None:
        model = cached_model(pairs, digest, cache_folder() / "aligners", name, seed)
    elif (found := read_settings(model)["model"]) != name:
        raise ConfigError(f"--model {model} was trained as {found}: give --aligner {found}")
    return statistical_recipe(model, symmetrization, 0.4 if threshold is None else threshold)


def external_aligner(program: list[str], pairs: Bitext, digest: str, symmetrization: str) -> Recipe:
    """Raises: ConfigError: no program is named, or it cannot be found."""
    from xrealign.align.external import TOOLS, external_recipe, parse_tool
    from xrealign.paths import cache_folder

    if not program:
        raise ConfigError(f"--aligner external needs --program: {', '.join(TOOLS)}, or a command line with {{bars}}")
    tool = program[0] if program == program[0].split() else parse_tool(program)  # a name, or command lines
    return external_recipe(tool, pairs, digest, cache_folder() / "aligners", symmetrization=symmetrization)
