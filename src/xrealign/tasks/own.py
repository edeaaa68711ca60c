"""A task that a function of the user's makes: ``file.py:load`` beside the configuration, or ``package.module:load``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xrealign.errors import ConfigError
from xrealign.language import Language
from xrealign.tasks.task import Task


def load_own(loader: str, source: Language, targets: Sequence[Language] | None, seed: int) -> Task:
    """What the function returns when called with ``source``, ``targets`` (None for all) and ``seed`` by name.

    The user names the code; it is never taken from a data set or a model's folder.

    Raises:
        ConfigError: there is no such module or function, or it returns something else than a `Task`.
    """
    task = _function(loader)(source=source, targets=targets, seed=seed)
    if not isinstance(task, Task):
        raise ConfigError(f"task.loader = {loader!r} returned {type(task).__name__}, expected xrealign.tasks.task.Task")
    return task


def loader_file(loader: str) -> Path:
    """The file that the function is in: what is in it decides the task.

    Raises:
        ConfigError: it cannot be found.
    """
    name, _, _ = loader.partition(":")
    if name.endswith(".py"):
        path = Path(name)
    else:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        path = Path(found.origin) if found is not None and found.origin else Path()
    if not path.is_file():
        raise ConfigError(f"task.loader = {loader!r}: there is no such file or module")
    return path


def _function(loader: str) -> Callable[..., Any]:
    name, mark, function = loader.partition(":")
    if not (name and mark and function):
        raise ConfigError(f"task.loader = {loader!r}: expected file.py:function or package.module:function")
    path = loader_file(loader)
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(f"_xrealign_task_{path.stem}", path)
        assert spec is not None  # of a file that ends in .py there is one
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(name)
    found = getattr(module, function, None)
    if not callable(found):
        raise ConfigError(f"task.loader = {loader!r}: {path.name} has no function {function!r}")
    return found  # type: ignore[no-any-return]
