# One line a verb; CI (.ci/run) uses the same ones.
PYTHON ?= python3
BIN = .venv/bin
AVX2 = +sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe

help:                  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile

serve: .venv/base      ## install, fetch SmolLM2-135M-Instruct, serve it
	$(BIN)/inferflow serve smollm2-135m-instruct

dev: .venv/dev         ## an environment to work in: .venv

test: .venv/dev        ## every test; those of whole models in two processes, one thread each
	$(BIN)/python -m pytest --ignore=tests/numeric --ignore=tests/parity
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 tests/numeric tests/parity
	$(if $(filter x86_64,$(shell uname -m)),$(MAKE) haswell)

haswell: .venv/dev     ## the backend cpu as on a processor that has AVX2 and no more
	OMP_NUM_THREADS=1 NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=$(AVX2) \
	$(BIN)/python -m pytest -n 2 -m "not slow" -k "cpu or isa" tests/numeric

fast: .venv/dev        ## the tests that take seconds
	$(BIN)/python -m pytest -n 2 -m "not slow" --ignore=tests/parity

types: .venv/dev       ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

lint: .venv/dev        ## ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

fix: .venv/dev         ## ruff, writing
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: .venv/dev        ## writes what is made from the code
	$(BIN)/python docs/reference.py > docs/reference.md
	$(BIN)/python docs/cli.py > docs/cli.md
	$(BIN)/python docs/models.py > docs/models.md
	$(BIN)/python docs/kinds.py docs/kinds

site: .venv/dev        ## the documentation, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

record: .venv/dev      ## the pictures: the first five minutes, a network
	$(BIN)/python docs/record.py docs/assets/first-minutes.svg
	$(BIN)/inferflow inspect smollm2-135m-instruct --graph docs/assets/network.svg

wheel-test: .venv/dev  ## the fast tests and the example plugin against the built wheel
	.ci/wheel $(BIN)/python

check: lint types test wheel-test ## all of it

.venv/base: pyproject.toml
	$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q -e . && touch $@

.venv/dev: pyproject.toml
	$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q -e ".[dev]" && touch $@ .venv/base

.PHONY: help serve dev test fast types lint fix docs site record haswell wheel-test check
