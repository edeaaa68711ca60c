"""Tiny encoders of several architectures with a real tokenizer, a cache of the session's own, the data pack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

import tiny_encoders
from tiny_encoders import ARCHITECTURES

# The default run draws the same examples every time, so that it fails for a reason only; HYPOTHESIS_PROFILE=explore
# draws new ones, as `make test-slow` does.
# No time limits for an example: a busy machine would break them, and speed is measured in benchmarks/.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

LONGEST_FILES = (
    "faults/test_faults.py", "test_run.py", "test_sweep.py", "align/test_align_command.py", "train/test_torchrun.py",
    "train/test_objectives.py", "report/test_report_html.py", "test_projecting.py",
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """Files that take long come first: a process that got one at the end would work while the others are done."""
    here = Path(__file__).parent
    long = {here / name for name in LONGEST_FILES}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """The starter is converted once for all workers, unless the environment names a cache that may have it."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("XREALIGN_CACHE"):
            base = tmp_path_factory.getbasetemp()
            cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
            cache.mkdir(exist_ok=True)
            patch.setenv("XREALIGN_CACHE", str(cache))
        yield Path(os.environ["XREALIGN_CACHE"])


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The data pack's folder, or a skip."""
    chosen = os.environ.get("XREALIGN_DATA")
    if not chosen:
        pytest.skip("needs the data pack: set XREALIGN_DATA to its folder")
    return Path(chosen)


@pytest.fixture(scope="session")
def udhr_lines() -> dict[str, list[str]]:
    """The first 20 segments of the Universal Declaration in a dozen languages and nine scripts, by tag."""
    return tiny_encoders.udhr_lines()


@pytest.fixture(scope="session")
def tiny_tokenizer(udhr_lines):
    """A fast Unigram tokenizer of some 800 pieces, built as the starter's is."""
    return tiny_encoders.tiny_tokenizer(udhr_lines)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory, tiny_tokenizer):
    """Folder of a tiny random encoder by architecture, made when first asked for, the same bits every time."""
    made: dict[str, Path] = {}

    def folder_of(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(f"tiny-{architecture}")
            made[architecture] = tiny_encoders.write_tiny_encoder(folder, architecture, tiny_tokenizer)
        return made[architecture]

    return folder_of


@pytest.fixture(scope="session")
def tiny_encoder_folder(tiny_folders) -> Path:
    """A tiny random BERT: 4 blocks, 32 wide, 4 heads, some 800 subwords."""
    return tiny_folders("bert")


def _load(folder_of, architecture: str):
    from xrealign.model.encoder import load_encoder

    attention = "eager" if architecture == "deberta-v2" else "sdpa"  # transformers has no other for DeBERTa
    return load_encoder(str(folder_of(architecture)), attention=attention)


@pytest.fixture
def tiny_encoder(request, tiny_folders):
    """A tiny encoder freshly loaded; a BERT unless parametrised indirectly with another architecture."""
    return _load(tiny_folders, getattr(request, "param", "bert"))


@pytest.fixture(params=ARCHITECTURES)
def any_tiny_encoder(request, tiny_folders):
    """A tiny encoder of each architecture in turn, freshly loaded."""
    return _load(tiny_folders, request.param)


@pytest.fixture(scope="session")
def starter(session_cache) -> Path:
    """The starter encoder's folder."""
    from xrealign.model.starter import starter_folder

    return starter_folder()
