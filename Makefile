# Two commands do everything: `make demo` runs the main job, `make test` passes the tests. Both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
export OMP_WAIT_POLICY ?= passive

.PHONY: setup demo demo-full test test-slow lint types format lock wheel-test bench-align faults fuzz clean

setup: $(STAMP)

# Exact versions come from constraints.txt; the pinned torch is the CPU build where an index offers one. CI, and anyone
# with XREALIGN_LOCKED=1, takes every file by its SHA-256 from the lock files (`make lock` writes them). CUDA's libraries
# are in no lock: the line before -e brings them where torch is built for them, and nothing otherwise.
LOCKED := $(filter-out 0 false,$(or $(XREALIGN_LOCKED),$(CI)))
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

$(STAMP): pyproject.toml constraints.txt $(wildcard requirements*.lock)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xrealign needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifneq ($(LOCKED),)
	$(PIP) install --require-hashes --no-deps -r requirements-build.lock
	$(PIP) install --require-hashes --no-deps -r requirements-cpu.lock || echo "no CPU build of torch here: the index's own"
	$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements.lock
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
else
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[dev]'
endif
	@touch $(STAMP)

demo: setup
	$(BIN)/xrealign run configs/demo.toml

demo-full: setup
	$(BIN)/xrealign run configs/demo-full.toml

# A file of tests at a time for each processor, the longest first (tests/conftest.py).
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=15
test: setup
	OMP_NUM_THREADS=1 $(PYTEST) -m 'not slow'

test-slow: setup
	HYPOTHESIS_PROFILE=explore OMP_NUM_THREADS=1 $(PYTEST)

# Everything of docs/reliability.md tried out: signals, full disks, damaged and hostile files; under ten minutes.
faults: setup
	$(BIN)/python tests/faults/run.py

# Coverage-guided fuzzing of every reader, ten minutes each; `make fuzz SECONDS=30 READER="conllu tmx"` for less.
# KEEP=1 saves findings and a few kB of the inputs into tests/faults/fuzz/cases, which `make faults` and `make test` replay.
SECONDS ?= 600
fuzz: setup
	$(BIN)/python tests/faults/fuzz/drive.py --seconds $(SECONDS) $(READER:%=--reader %) $(if $(KEEP),--keep)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock files anew, from pyproject.toml and constraints.txt; needs a package index, half a minute.
lock:
	$(PYTHON) tools/lock.py

# Builds the wheel and the sources and tests the installed wheel, the repository out of sight, with every interpreter.
PYTHONS ?= python3.11 python3.12 python3.13
wheel-test: setup
	$(BIN)/python tools/wheel_test.py $(PYTHONS)

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
