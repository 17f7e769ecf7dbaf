# Each target first makes .venv if it is missing and installs what it needs; a stamp file in .venv
# remembers that until pyproject.toml or constraints.txt changes. A fresh start: rm -rf .venv
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# One thread: CPU seconds mean something, and results do not depend on the number of cores.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

.PHONY: help demo test quick test-all fuzz lint docs bench oldest newest dist clean

help:
	@echo "make demo      train a network of 1000 neurons on the breast cancer data (the main job)"
	@echo "make test      linters, then the tests, without the slow ones"
	@echo "make quick     one folder of the tests, PART=metrics, up to the first failure; without linters"
	@echo "make test-all  linters, then all tests"
	@echo "make fuzz      the tests with random input: N=100 examples each, other ones by SEED=7"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the documentation, in docs/_build/html"
	@echo "make bench     all benchmarks"
	@echo "make oldest    the tests with the oldest versions that pyproject.toml allows, in .venv-oldest; make newest: the newest"
	@echo "make dist      wheel and sdist, each installed and tried in an empty environment"
	@echo "make clean     remove caches and what was built; keeps .venv and runs/"

demo: .venv/.dev
	$(BIN)/python -m jko train breast-cancer

# A process for each core; a file's tests stay together, so what a file computes once is computed once.  Files go in
# their order: few tests may take long, and such files must not come last.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

test: lint
	$(BIN)/python -m pytest $(PARALLEL)

PART ?=
quick: .venv/.dev
	$(BIN)/python -m pytest -x -q $(if $(PART),tests/$(PART),$(wildcard tests/test_*.py))

test-all: lint
	$(BIN)/python -m pytest $(PARALLEL) -m ""

N ?= 100
SEED ?= 0
fuzz: .venv/.dev
	FUZZ=$(N) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest $(PARALLEL) -m fuzz --hypothesis-seed=$(SEED)

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: .venv/.docs
	$(BIN)/python -m jko.survey.pages docs
	$(BIN)/sphinx-build -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

bench: .venv/.dev
	set -e; for script in $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script; done

# Environments of their own: no constraints but the floors, or none.  Plain torch on Linux brings some gigabytes.
# torch 2.4 and 2.5 warn whenever a tensor is unpickled.
oldest newest: %: .venv-%/.done
	.venv-$@/bin/python -m pytest $(PARALLEL) -W 'ignore:You are using `torch.load`:FutureWarning' $(TESTS)

.venv-oldest/.done: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	$(PYTHON) .ci/floors.py > .venv-oldest/floors.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/floors.txt --editable '.[test]'
	@touch $@

.venv-newest/.done: pyproject.toml
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable '.[test]'
	@touch $@

# What is built is installed where nothing else is, and tried from an empty folder.
dist: .venv/.dev
	rm -rf dist build
	$(PIP) build
	$(BIN)/python -m build --outdir dist
	set -e; for built in dist/*.whl dist/*.tar.gz; do \
		empty=$$(mktemp -d); echo "== $$built"; $(PYTHON) -m venv $$empty/env; \
		$$empty/env/bin/python -m pip install --quiet --constraint constraints.txt "$$built[plots,data]"; \
		(cd $$empty && env/bin/jko doctor && env/bin/jko train breast-cancer --steps 2 --out run); \
		rm -rf $$empty; done

clean:
	rm -rf build dist docs/_build docs/equations.md docs/errata.md docs/gallery docs/reference docs/sg_execution_times.rst .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path './.venv*' -prune -o -name __pycache__ -prune -exec rm -rf {} +

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jko needs Python >= 3.11, and $(PYTHON) is older: make PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.dev: .venv/.python pyproject.toml constraints.txt
	@echo "Installing jko and its tools into .venv (once, a few minutes)"
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.docs: .venv/.dev
	$(PIP) --editable '.[docs]'
	@touch $@
