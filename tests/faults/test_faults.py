"""The fast part of the fault suite, one test for each of its modules; `make faults` runs all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from run import MODULES

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def rows(tmp_path_factory, session_cache):
    """What came of each fault."""
    found = tmp_path_factory.mktemp("faults") / "outcomes.json"
    command = [sys.executable, HERE / "run.py", "--fast", "--json", found]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=900)
    assert found.is_file(), done.stderr[-3000:]
    return json.loads(found.read_text("utf-8"))


LONG_ONLY = ("fault_memory",)  # what a slope of memory shows takes thousands of steps: nothing of it in the fast part


@pytest.mark.parametrize("module", [module for module in MODULES if module not in LONG_ONLY])
def test_what_was_promised_holds(rows, module):
    own = [row for row in rows if row["module"] == module]
    assert any(row["outcomes"] for row in own)
    assert [
        f"{row['fault']}: {outcome['case']}: {outcome['detail']}"
        for row in own
        for outcome in row["outcomes"]
        if not outcome["survived"]
    ] == []
