"""What of a model's folder could run code, or lead out of the folder: refused before any library opens it.

`transformers` is told never to trust a folder's code, but a folder has more ways in than that switch closes: a kernel
of the hub named as attention, pickles named as shards, an adapter that names another model. A folder is data; these
are looked for here, in its JSON files and at the beginning of its weights, whatever library would read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xrealign.errors import ArtifactError

CONFIG, TOKENIZER, ADAPTER = "config.json", "tokenizer_config.json", "adapter_config.json"
_KNOWN_ATTENTION = ("eager", "sdpa")
_BEGINNINGS = {
    b"PK\x03\x04": "an archive as torch.save makes, with a pickle in it, which is never opened",
    b"\x80": "a pickle, which is never opened",
    b"version https://git-lfs": "a pointer of Git LFS: fetch what it stands for with `git lfs pull`",
}


def check_harmless(folder: Path, name: str) -> None:
    """Passes when nothing in the folder of encoder ``name`` asks for code, a pickle or a file from elsewhere.

    Pickles and Python files that merely lie beside the weights are left alone: nothing opens them.

    Raises:
        ArtifactError: something does, or a file that has to be looked at is damaged.
    """
    if (folder / ADAPTER).is_file():
        raise ArtifactError(
            f"encoder {name!r}: {folder} holds an adapter ({ADAPTER}), which may name any model; merge it into its "
            "model with the library that made it, save that, and give the new folder"
        )
    for file in (CONFIG, TOKENIZER):
        if (folder / file).is_file():
            content = read_json(folder / file)
            if not isinstance(content, dict):
                raise ArtifactError(f"{folder / file} is damaged: it holds a {type(content).__name__}, not a table")
            _check_config(folder / file, name, content)
    for path in sorted(folder.glob("*.safetensors.index.json")):
        _check_index(path)
    for path in sorted(folder.glob("*.safetensors")):
        check_safetensors(path)


def read_json(path: Path) -> Any:
    """What a JSON file of a model's folder holds.

    Raises:
        ArtifactError: it cannot be read, is no JSON, or is nested deeper than can be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ArtifactError(f"{path} is damaged: {error}") from None
    except RecursionError:
        raise ArtifactError(f"{path} is damaged: it is nested deeper than any configuration is") from None


def check_safetensors(path: Path) -> None:
    """Passes when a file begins as safetensors do: the length of a header that is there, and a brace.

    Raises:
        ArtifactError: it does not; says what it seems to be.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(24)
    length = int.from_bytes(start[:8], "little")
    if len(start) > 8 and start[8:9] == b"{" and length <= size - 8:
        return
    found = next((text for known, text in _BEGINNINGS.items() if start.startswith(known)), "damaged or cut short")
    raise ArtifactError(f"{path} is not safetensors: it is {found}; get the weights anew, or convert them")


def _check_config(path: Path, name: str, content: dict[str, Any]) -> None:
    for key, value in _everything_in(content):
        if key == "auto_map" and value:
            raise ArtifactError(
                f"encoder {name!r}: its {path.name} names code to run (auto_map), which is never done; "
                "use a checkpoint of an architecture that transformers itself knows"
            )
        if key.endswith("_implementation") and isinstance(value, str) and not _is_known(key, value):
            raise ArtifactError(
                f"encoder {name!r}: its {path.name} has {key} = {value!r}, a kernel to be fetched and run, which is "
                "never done; take the key out"
            )
    if content.get("transformers_weights"):
        raise ArtifactError(
            f"encoder {name!r}: its {path.name} says which file the weights are in (transformers_weights), which may "
            "be a pickle; name them model.safetensors and take the key out"
        )
    if content.get("quantization_config"):
        raise ArtifactError(
            f"encoder {name!r}: its {path.name} says that the weights are quantised (quantization_config), which "
            "needs code from elsewhere to read; use the checkpoint it was made from"
        )


def _is_known(key: str, value: str) -> bool:
    """Whether it names nothing but a function of transformers; one without underscore is overruled by our own."""
    return value in _KNOWN_ATTENTION or (not key.startswith("_") and value.replace("_", "").isalnum())


def _everything_in(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_index(path: Path) -> None:
    content = read_json(path)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        raise ArtifactError(f"{path} is damaged: it has no weight_map, which says what is in which file")
    for name in dict.fromkeys(names.values()):
        plain = isinstance(name, str) and name.endswith(".safetensors") and not set(name) & set("/\\\0:")
        if not plain:
            raise ArtifactError(
                f"{path}: weights in {name!r}; expected names of .safetensors files in the same folder, nothing else "
                "is ever opened"
            )
        if not (path.parent / name).is_file():
            raise ArtifactError(f"{path.parent / name} is missing, which {path.name} names; get the folder anew")
