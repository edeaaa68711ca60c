"""A task that a function of the user's makes: ``file.py:load`` beside the configuration, or ``package.module:load``.

This is the one place where a configuration names code. It has to be a file that is named, or an installed module that
is not Python's own; and what is called has to take what such a function takes, which is looked at before it is called.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from xrealign.errors import ConfigError, XrealignError
from xrealign.language import Language
from xrealign.tasks.task import Task


def load_own(loader: str, source: Language, targets: Sequence[Language] | None, seed: int) -> Task:
    """What the function returns when called with ``source``, ``targets`` (None for all) and ``seed`` by name.

    The user names the code; it is never taken from a data set or a model's folder.

    Raises:
        ConfigError: there is no such module or function, it does not take these three, it fails (the error has file
            and line), or it returns something else than a `Task`.
    """
    arguments = {"source": source, "targets": targets, "seed": seed}
    function = _function(loader)
    _check_takes(loader, function, arguments)
    with _telling(loader):
        task = function(**arguments)
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
    elif name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(
            f"task.loader = {loader!r}: {name} is a part of Python, which makes no tasks; expected a function of your "
            "own, file.py:function or package.module:function"
        )
    else:
        found = _module_spec(loader, name)
        path = Path(found.origin) if found is not None and found.origin else Path()
    if not path.is_file():
        raise ConfigError(f"task.loader = {loader!r}: there is no such file or module")
    return path


def _module_spec(loader: str, name: str) -> ModuleSpec | None:
    """Where a module is, or None; the packages that it is in are imported for that, and what they raise is told."""
    if not all(name.split(".")):  # a name that is none, such as "a..b"
        return None
    with _telling(loader):
        try:
            return importlib.util.find_spec(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):  # what a package imports itself
                raise
            return None


def _check_takes(loader: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Looks whether a function can be called so, without calling it.

    Raises:
        ConfigError: it cannot.
    """
    try:
        inspect.signature(function).bind(**arguments)
    except (TypeError, ValueError) as error:  # ValueError: a function in C that does not say
        raise ConfigError(
            f"task.loader = {loader!r} does not take {', '.join(arguments)} by name ({error}); it was not called"
        ) from None


@contextmanager
def _telling(loader: str) -> Iterator[None]:
    """What the user's code raises becomes one line with its place; ``--debug`` shows the traceback."""
    try:
        yield
    except XrealignError:  # of what it calls of ours
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (last.filename, last.lineno)
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(
            f"task.loader = {loader!r}: {type(error).__name__}: {what} ({place[0]}:{place[1]}); --debug shows more"
        ) from error


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
        with _telling(loader):
            spec.loader.exec_module(module)
    else:
        with _telling(loader):
            module = importlib.import_module(name)
    found = getattr(module, function, None)
    if not callable(found):
        raise ConfigError(f"task.loader = {loader!r}: {path.name} has no function {function!r}")
    return found  # type: ignore[no-any-return]
