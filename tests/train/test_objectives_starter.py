"""Every objective lowers its own held-out loss on the starter encoder: the benchmark's cases, within 50 steps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from xrealign.model.encoder import load_encoder

pytestmark = pytest.mark.slow
FILE = Path(__file__).parents[2] / "benchmarks" / "objectives.py"


def _module():
    spec = importlib.util.spec_from_file_location("objectives_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


BENCHMARK = _module()


@pytest.fixture(scope="module")
def texts(starter):
    return BENCHMARK.read_texts(load_encoder("starter"))


@pytest.mark.parametrize("case", BENCHMARK.CASES, ids=lambda case: case.label)
def test_held_out_loss_falls(texts, case):
    found = BENCHMARK.try_out(case, *BENCHMARK.pairs_of(case, *texts), steps=50)
    assert found["after"][0] < 0.97 * found["before"][0]
