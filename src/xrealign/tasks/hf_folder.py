"""What of a Hugging Face data set would lead elsewhere or open something: looked at before its library does.

The library `datasets` runs no code of a data set. But a folder's card may send it to any file or address, and columns
of pictures or sounds are opened wherever their rows say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from xrealign.errors import DataError

CARDS = ("README.md", ".huggingface.yaml")
_PLACES = ("data_files", "data_dir")
_PLAIN = ("Value", "ClassLabel", "Translation", "TranslationVariableLanguages")


def check_cards(folder: Path) -> None:
    """Passes when the cards of a data set's folder name no file outside it.

    Raises:
        DataError: one does, or it is not YAML without tags.
    """
    for path in (folder / name for name in CARDS if (folder / name).is_file()):
        for key, value in _places(_front_matter(path)):
            pure = PurePosixPath(value)
            if "://" in value or "\\" in value or pure.is_absolute() or ".." in pure.parts or value.startswith("~"):
                raise DataError(
                    f"its {key} {value!r} leads out of the data set's folder; expected files inside it. Take that out "
                    "of the card, or give the file itself",
                    path,
                )


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
    import yaml  # type: ignore[import-untyped]

    try:
        text = path.read_text("utf-8")
        if path.suffix == ".md":
            parts = text.lstrip("\ufeff").split("---", 2)
            text = parts[1] if len(parts) == 3 and not parts[0].strip() else ""
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
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
