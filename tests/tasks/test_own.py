"""A task made by a function of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrealign.config_tables import BUILTIN_TASKS
from xrealign.errors import ConfigError
from xrealign.language import parse_language
from xrealign.tasks.builtin import BUILTIN
from xrealign.tasks.own import load_own, loader_file

ENG, DEU = parse_language("eng"), parse_language("deu")
CODE = """
from xrealign.tasks.task import Example, Task

def load(source, targets, seed):
    one = Example("light on", "on", f"seed {seed}")
    return Task("mine", "class", source, ("on",), (one,), (), {language: (one,) for language in targets or ()})

def wrong(source, targets, seed):
    return "a task"

number = 3
"""


def test_a_function_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE, "utf-8")
    task = load_own(f"{tmp_path / 'mine.py'}:load", ENG, [DEU], seed=5)
    assert (task.name, task.source, list(task.tests), task.train[0].group) == ("mine", ENG, [DEU], "seed 5")


def test_a_function_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_module_of_mine.py").write_text(CODE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_own("a_module_of_mine:load", ENG, None, seed=1).name == "mine"
    assert loader_file("a_module_of_mine:load") == tmp_path / "a_module_of_mine.py"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("absent", "no function 'absent'"),
        ("number", "no function"),
        ("wrong", "returned str"),
        ("", "expected file.py"),
    ],
)
def test_what_is_no_task_is_told(tmp_path: Path, function: str, reason: str) -> None:
    (tmp_path / "mine.py").write_text(CODE, "utf-8")
    with pytest.raises(ConfigError, match=reason):
        load_own(f"{tmp_path / 'mine.py'}:{function}", ENG, None, seed=1)


@pytest.mark.parametrize(
    "loader", ["nowhere.py:load", "no_such_package.module:load", "no_such_module:load", "a..b:load", ":load"]
)
def test_a_loader_that_is_not_there(loader: str) -> None:
    with pytest.raises(ConfigError, match="no such file or module"):
        loader_file(loader)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def load(:\n    pass\n", r"SyntaxError: invalid syntax \(.*mine.py:1\); --debug"),
        ("a = 1\nimport no_module_of_this_name\n", r"ModuleNotFoundError: No module .* \(.*mine.py:2\)"),
        ("def load(source, targets, seed):\n\n    return 1 / 0\n", r"ZeroDivisionError: .* \(.*mine.py:3\)"),
    ],
)
def test_code_that_fails_is_told_with_its_place(tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(code, "utf-8")
    with pytest.raises(ConfigError, match=told):
        load_own(f"{tmp_path / 'mine.py'}:load", ENG, None, seed=0)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("a = 1\nraise RuntimeError('no')\n", r"RuntimeError: no \(.*__init__.py:2\)"),
        ("import no_module_of_this_name\n", r"ModuleNotFoundError: No module .* \(.*__init__.py:1\)"),
        ("raise ValueError('no')\n", r"ValueError: no \(.*__init__.py:1\)"),
    ],
)
def test_a_package_that_fails_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    (tmp_path / "a_broken_package").mkdir()
    (tmp_path / "a_broken_package" / "__init__.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=told):
        loader_file("a_broken_package.module:load")


def test_the_configuration_knows_all_built_in_tasks() -> None:
    assert set(BUILTIN) <= set(BUILTIN_TASKS)


@pytest.mark.parametrize(
    "loader", ["os:system", "subprocess:Popen", "builtins:exec", "pickle:loads", "os.path:join", "antigravity:geohash"]
)
def test_what_is_pythons_own_is_not_even_imported(loader: str) -> None:
    with pytest.raises(ConfigError, match="is a part of Python"):
        load_own(loader, ENG, None, seed=1)


@pytest.mark.parametrize("signature", ["", "source", "source, targets", "source, targets, seed, more", "*names"])
def test_a_function_that_takes_other_arguments_is_not_called(tmp_path: Path, signature: str) -> None:
    called = tmp_path / "called"
    (tmp_path / "mine.py").write_text(f"def load({signature}):\n    open({str(called)!r}, 'w').close()\n", "utf-8")
    with pytest.raises(ConfigError, match="it was not called"):
        load_own(f"{tmp_path / 'mine.py'}:load", ENG, None, seed=1)
    assert not called.exists()
