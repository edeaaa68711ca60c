"""Writes requirements.lock and requirements-build.lock: exact versions with the SHA-256 of every file of each.

    make lock

Versions of what constraints.txt names are taken from there; what only other platforms need is resolved beside it. The
first file holds `.[dev]` for every platform and Python that xrealign runs on, the second what builds sources: set-up
installs it first, so that nothing is fetched by name alone. Resolved by uv, which reads the package index that pip's
own variables name; it is installed into a folder of its own and removed again.

Of torch there are two kinds, and each has its hashes in a file of its own. The CPU build has a version of its own
(`+cpu`), which not every index offers: its hash is that of the file that pip finds where this runs. Libraries of CUDA,
which only the index's own build of torch wants, are in no lock: torch itself names the exact version of each.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = "uv==0.13.9"
CUDA = ("nvidia-", "cuda-", "triton")
BUILD = ("setuptools", "setuptools-scm>=8")  # seqeval, a test's oracle, comes as sources alone and is built with both
HEAD = """\
# Made by `make lock` out of pyproject.toml and constraints.txt; do not edit. Each file of each package by its SHA-256.
# {what}
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "build.in").write_text("\n".join(BUILD) + "\n", "utf-8")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", "--target", str(folder / "uv"), UV], check=True)
        everything = resolved(folder, ["pyproject.toml", "--extra", "dev"])
        building = resolved(folder, [str(folder / "build.in")])
        torch = everything["torch"][0]
        subprocess.run([*pip, "download", "--no-deps", "-d", scratch, f"torch=={torch}"], check=True)
        (file,) = folder.glob("torch-*.whl")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    write("requirements.lock", "Installed with --no-deps after requirements-build.lock; CUDA is not in it.", everything)
    write("requirements-build.lock", "What sources are built with.", building)
    if "+cpu" in file.name:
        block = f"torch=={torch}+cpu \\\n    --hash=sha256:{digest}"
        write("requirements-cpu.lock", "The CPU build of torch, where an index offers it.", {"torch": [torch, block]})
    else:
        print(f"no index here offers the CPU build of torch {torch}: requirements-cpu.lock stays as it is")


def resolved(folder: Path, what: list[str]) -> dict[str, list[str]]:
    """name → [version, its block of a requirements file], of all that ``what`` needs, for every platform."""
    command = [
        str(folder / "uv" / "bin" / "uv"), "pip", "compile", "--quiet", *what, "--universal",
        "--python-version", "3.11",
        "--generate-hashes", "--no-header", "--no-annotate", "--constraints", "constraints.txt",
    ]  # fmt: skip
    text = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"UV_NO_CONFIG": "1"}, check=True, capture_output=True, text=True
    ).stdout
    blocks = re.split(r"\n(?=\S)", text.strip())
    found = {}
    for block in blocks:
        name, version = block.split(maxsplit=1)[0].split("==")
        if not name.startswith(CUDA):
            found[name] = [version, block]
    return found


def write(name: str, what: str, blocks: dict[str, list[str]]) -> None:
    text = HEAD.format(what=what) + "\n".join(block for _, block in blocks.values()) + "\n"
    (ROOT / name).write_text(text, "utf-8")
    print(f"{name}: {len(blocks)} packages, {text.count('--hash=')} files")


if __name__ == "__main__":
    main()
