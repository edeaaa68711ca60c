"""What of a Hugging Face data set would lead elsewhere or open something: looked at before its library does.

The library `datasets` runs no code of a data set. But a folder's card may send it to any file or address, so may the
lists of files in a folder that it saved itself, and columns of pictures or sounds are opened wherever their rows say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from xrealign.errors import DataError
from xrealign.textio import is_file

CARDS = ("README.md", ".huggingface.yaml")
SAVED_SPLITS, SAVED = "dataset_dict.json", "state.json"
"""What `save_to_disk` writes: names of splits, each a folder, and in each the names of its files."""
# What Python's reader of JSON and that of YAML let out, and looking for keys in what they read.
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
_PLACES = ("data_files", "data_dir")
_PLAIN = ("Value", "ClassLabel", "Translation", "TranslationVariableLanguages")


def check_cards(folder: Path) -> None:
    """Passes when the cards of a data set's folder name no file outside it.

    Raises:
        DataError: one does, or it is not YAML without tags.
    """
    for path in (folder / name for name in CARDS if is_file(folder / name)):
        for key, value in _places(_front_matter(path)):
            pure = PurePosixPath(value)
            if "://" in value or "\\" in value or pure.is_absolute() or ".." in pure.parts or value.startswith("~"):
                raise DataError(
                    f"its {key} {value!r} leads out of the data set's folder; expected files inside it. Take that out "
                    "of the card, or give the file itself",
                    path,
                )


def is_saved(folder: Path) -> bool:
    """Whether it is a folder that `save_to_disk` wrote."""
    return is_file(folder / SAVED_SPLITS) or is_file(folder / SAVED)


def check_saved(folder: Path) -> None:
    """Passes when the lists of files in a folder that `save_to_disk` wrote, if it is one, name none outside it.

    Raises:
        DataError: one does, or it is no such list.
    """
    path = folder / SAVED_SPLITS
    splits = _listed(path, lambda content: content["splits"]) if is_file(path) else []
    for state in (part / SAVED for part in (folder, *(folder / split for split in splits)) if is_file(part / SAVED)):
        _listed(state, lambda content: [file["filename"] for file in content["_data_files"]])


def _listed(path: Path, names_of: Callable[[Any], list[str]]) -> list[str]:
    """The names in such a list."""
    try:
        names = names_of(json.loads(path.read_text("utf-8")))
        wrong = [name for name in names if not _is_inside(name)]
    except (OSError, *_BROKEN) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot be read as a data set: {type(error).__name__}: {said}; expected what save_to_disk writes", path
        ) from None
    if wrong:
        raise DataError(
            f"its file {str(wrong[0])[:200]!r} leads out of the data set's folder; expected names of files inside it",
            path,
        )
    return names


def _is_inside(name: Any) -> bool:
    """Whether it names something in the folder itself; a double colon would make an address of it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not any(x in name for x in ("/", "\\", "::"))


def plain_columns(data: Any) -> Any:
    """The data without columns of pictures, sounds and the like: those would be opened, wherever a row says."""
    strange = [name for name, feature in data.features.items() if not _is_plain(feature)]
    return data.remove_columns(strange) if strange else data


def _is_plain(feature: Any) -> bool:
    if isinstance(feature, dict):
        return all(_is_plain(part) for part in feature.values())
    if isinstance(feature, list):
        return all(_is_plain(part) for part in feature)
    inner = getattr(feature, "feature", None)
    return _is_plain(inner) if inner is not None else type(feature).__name__ in _PLAIN


def _front_matter(path: Path) -> Any:
    """What a card says, found as the library finds it: otherwise it would see what is not looked at here."""
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        if path.suffix == ".md":
            match = REGEX_YAML_BLOCK.search(text)
            text = match[2] if match else ""
        return yaml.safe_load(text)
    except (OSError, yaml.YAMLError, *_BROKEN) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"is no card of a data set: {said}; expected YAML without tags, or no card", path) from None


def _places(content: Any) -> Iterator[tuple[str, str]]:
    """Every name of a file or folder in a card, with the key it stands under."""
    waiting = [("", content)]
    while waiting:
        key, part = waiting.pop()
        if isinstance(part, dict):
            waiting += [(name if name in _PLACES else key, inner) for name, inner in part.items()]
        elif isinstance(part, list):
            waiting += [(key, inner) for inner in part]
        elif isinstance(part, str) and key in _PLACES:
            yield key, part
