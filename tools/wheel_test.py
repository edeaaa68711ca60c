"""Builds the wheel from the source distribution and tests what it installs, the repository out of sight.

    make wheel-test                                  # Python 3.11, 3.12 and 3.13
    make wheel-test PYTHONS="python3.11 /opt/python3.13/bin/python3"
    .venv/bin/python tools/wheel_test.py --verbs-only --keep ~/wheel-test python3.12

For each interpreter: a fresh virtual environment with the versions of constraints.txt, the wheel with its extras, every
verb that a first user tries (help, doctor, licences, select, align, tasks check, a whole run with its report), and the
tests, which are copied beside nothing of src. Where the index has no CPU build of torch for an interpreter, its build
for CUDA is taken: 3 GB to fetch, 6 GB on disk while the test lasts. Exit code 1 when something failed or an interpreter
that was asked for is not there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("tests", "docs", "configs", "benchmarks", "tools", "papers")
FILES = ("pyproject.toml", "constraints.txt", "README.md", "NOTICE", "LICENSE", "Makefile", "SECURITY.md")
NEEDS_SOURCES = ("tests/test_architecture.py",)
WHERE = "import sys, xrealign; print(xrealign.__file__); sys.exit('site-packages' not in xrealign.__file__)"
PAIRS = "a red house\tein rotes Haus\nthe house is red\tdas Haus ist rot\nI see the house\tich sehe das Haus\n"
TINY = "import sys; sys.path[:0] = ['tests/faults', 'tests']; import tiny, pathlib; tiny.config(pathlib.Path('tiny'))"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="a command, such as python3.12, or a path")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep environments there, and use them again")
    parser.add_argument("--verbs-only", action="store_true", help="leave out the tests, which take ten minutes each")
    parser.add_argument("--tests", action="append", metavar="PATH", help="only these tests, such as tests/select")
    chosen = parser.parse_args()
    tests = [] if chosen.verbs_only else chosen.tests or ["tests"]
    told = []
    with tempfile.TemporaryDirectory(prefix="wheel-test-") as scratch:
        wheel = build(Path(scratch))
        for name in chosen.pythons:
            start = time.monotonic()
            python = find(name)
            if python is None:
                told.append((name, "not found: install it, or leave it out with PYTHONS=…", False))
                continue
            folder = Path(scratch) / f"outside-{len(told)}"
            venvs = chosen.keep or folder
            try:
                said = tested(python, wheel, folder, venvs / f"venv-{version_of(python)}", tests)
            except subprocess.CalledProcessError as error:
                told.append((name, f"FAILED with exit code {error.returncode}: {shown(error.cmd)}", False))
            else:
                told.append((name, f"{said} ({time.monotonic() - start:.0f} s)", True))
            if chosen.keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{wheel.name}, built from its source distribution:")
    for name, line, _ in told:
        print(f"  {name}: {line}")
    return 0 if all(good for *_, good in told) else 1


def find(name: str) -> Path | None:
    """The interpreter of that name or path that runs; those that pyenv keeps count too."""
    minor = name.removeprefix("python")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(name), *sorted(pyenv.glob(f"{minor}.*/bin/python3"), reverse=True)]
    return next((Path(path) for path in candidates if path and version_of(Path(path))), None)


def version_of(python: Path) -> str:
    """Such as ``3.12.1``, or "" where the command does not run (a shim of pyenv for a version that is not chosen)."""
    code = "import platform; print(platform.python_version())"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def build(scratch: Path) -> Path:
    """The wheel, built from an unpacked source distribution of what the working tree holds, git's ignored files not."""
    tree, out = scratch / "tree", scratch / "dist"
    out.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    backend = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"
    run([sys.executable, "-c", backend.format("sdist"), out], cwd=tree, quiet=True)
    (source,) = out.glob("*.tar.gz")
    shutil.unpack_archive(source, scratch, filter="data")
    run(
        [sys.executable, "-c", backend.format("wheel"), out],
        cwd=scratch / source.name.removesuffix(".tar.gz"),
        quiet=True,
    )
    (wheel,) = out.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("xrealign/py.typed", "xrealign/data/catalogue.toml", "xrealign/data/typology_uriel.npz", "/NOTICE"):
        if not any(name.endswith(wanted) for name in names):
            sys.exit(f"{wheel.name} lacks {wanted}")
    if strange := [name for name in names if not name.startswith(("xrealign/", "xrealign-"))]:
        sys.exit(f"{wheel.name} holds what is not xrealign's: {', '.join(strange[:5])}")
    return wheel


def tested(python: Path, wheel: Path, folder: Path, venv: Path, tests: list[str]) -> str:
    """Installs the wheel for ``python`` and tries it; what was done, in words. A failure raises CalledProcessError."""
    folder.mkdir()
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"PYTHONNOUSERSITE": "1", "HF_HUB_OFFLINE": "1", "XREALIGN_CACHE": str(folder / "cache")}
    env |= {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    if not (venv / "bin" / "python").exists():
        run([python, "-m", "venv", venv], cwd=folder, env=env)
    inside = venv / "bin" / "python"
    pip = [inside, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    limits = ["-c", ROOT / "constraints.txt"]
    run([*pip, "install", *limits, "torch=={}".format(pinned("torch"))], cwd=folder, env=env)
    run([*pip, "install", *limits, f"{wheel}[dev]"], cwd=folder, env=env)
    run([*pip, "install", "--force-reinstall", "--no-deps", wheel], cwd=folder, env=env)  # the one just built
    run([inside, "-c", WHERE], cwd=folder, env=env)
    for name in (*BESIDE, *FILES, *(path.name for path in ROOT.glob("requirements*.lock"))):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy2(source, folder / name)
    verbs = try_verbs(venv / "bin" / "xrealign", inside, folder, env)
    if not tests:
        return f"Python {version_of(inside)}: {verbs} commands"
    left_out = [f"--ignore={name}" for name in NEEDS_SOURCES]
    options = ["-m", "not slow", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", *left_out]
    run([inside, "-m", "pytest", *options, *tests], cwd=folder, env=env)
    return f"Python {version_of(inside)}: {verbs} commands; passed {', '.join(tests)} but {', '.join(NEEDS_SOURCES)}"


def try_verbs(xrealign: Path, python: Path, folder: Path, env: Mapping[str, str]) -> int:
    """What a first user would type; returns how many commands that were."""
    (folder / "pairs.tsv").write_text(PAIRS, "utf-8")
    (folder / "labelled.tsv").write_text("yes\tgood\nno\tbad\n", "utf-8")
    run([python, "-c", TINY], cwd=folder, env=env, quiet=True)
    commands = [
        ["--help"], ["--version"], ["doctor"], ["doctor", "--licences"], ["data", "sets"],
        ["select", "--candidates", "deu,fra,swh,tur,jpn", "-k", "2"],
        ["align", "pairs.tsv", "-o", "argmax.txt", "--encoder", "tiny/encoder", "--layer", "2"],
        ["align", "pairs.tsv", "-o", "hmm.txt", "--aligner", "hmm"],
        ["tasks", "list"], ["tasks", "check", "labelled.tsv", "--task", "class"],
        ["check", "tiny/tiny.toml"], ["run", "tiny/tiny.toml"], ["show", "tiny"],
        ["report", "table", "runs/tiny/scores.parquet"],
    ]  # fmt: skip
    for command in commands:
        run([xrealign, *command], cwd=folder, env=env, quiet=True)
    for made in ("argmax.txt", "hmm.txt", "runs/tiny/report.html", "runs/tiny/encoder/config.json"):
        if not (folder / made).stat().st_size:
            sys.exit(f"{made} is empty")
    return len(commands)


def pinned(name: str) -> str:
    """The version that constraints.txt has of a distribution."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{name}=="))


def run(command: list[object], cwd: Path, env: Mapping[str, str] | None = None, quiet: bool = False) -> None:
    """Runs a command that must succeed. ``quiet``: what it prints is shown only if it does not."""
    print(f"+ {shown(command)}", flush=True)
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=quiet, text=True, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    if done.returncode:
        print((done.stdout or "") + (done.stderr or ""), flush=True)
        raise subprocess.CalledProcessError(done.returncode, command)


def shown(command: list[object]) -> str:
    words = [str(part) for part in command]
    return " ".join([Path(words[0]).name, *words[1:]])[:200]


if __name__ == "__main__":
    sys.exit(main())
