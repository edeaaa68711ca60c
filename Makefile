# Two commands do everything: `make demo` runs the main job, `make test` passes the tests. Both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
export OMP_WAIT_POLICY ?= passive

.PHONY: setup demo demo-full test test-slow lint types format bench-align clean

setup: $(STAMP)

# Exact versions come from constraints.txt; the pinned torch is the CPU build where an index offers one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xrealign needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/xrealign run configs/demo.toml

demo-full: setup
	$(BIN)/xrealign run configs/demo-full.toml

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n auto --dist loadfile --durations=15

test-slow: setup
	HYPOTHESIS_PROFILE=explore OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --durations=15

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# AER of every aligner on the data pack's gold sets: all tables of docs/align.md, about two hours on two cores.
bench-align: setup
	$(BIN)/python benchmarks/align_gold.py
	$(BIN)/python benchmarks/align_gold.py --layers 6,7,8 --level subword --aligners argmax,itermax,softmax
	$(BIN)/python benchmarks/align_statistical.py
	$(BIN)/python benchmarks/align_tuned.py --confirm
	$(BIN)/python benchmarks/align_dictionary.py
	$(BIN)/python benchmarks/align_romanised.py
	$(BIN)/python benchmarks/align_supervised.py --budget 60000 --confirm

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
