# hashmargin: everything a newcomer needs. Wants Python 3.11+, make and a package index; nothing else.

PYTHON ?= python3
UV_VERSION := 0.13.8
BENCH ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)

.DEFAULT_GOAL := help
.PHONY: help demo test e2e check bench docs dashboards format clean

help:  ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME)  ## A simulated mining site and the exporter against it, until Ctrl-C (ARGS="--rigs 1000")
	@exec $(BIN)/hashmargin demo $(ARGS)

test: $(DEV)  ## Unit, contract and golden tests; no network, no other programs
	$(BIN)/python -m pytest -m "not e2e" --ignore=tests/bench --numprocesses=auto --dist=loadfile

e2e: $(DEV)  ## Against a real Prometheus and Alertmanager, Chromium and an image build (see .ci/run for the packages)
	$(BIN)/python -m pytest -m e2e tests

check: $(DEV)  ## Linters, types, import layers, and that generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy grafana/src
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generators --check
	$(BIN)/python grafana/src/build.py --check

bench: $(DEV)  ## Speed and size against their rivals (BENCH=name for one)
	@$(BIN)/python -m tests.bench $(BENCH)

docs: $(DEV)  ## Write the generated documentation anew
	$(BIN)/python -m docs.generators

dashboards: $(DEV)  ## Write the Grafana dashboards anew
	$(BIN)/python grafana/src/build.py

format: $(DEV)  ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove everything that was built here
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Install Python 3.11 or newer, or say which: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version), but 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV), first uv, which installs the rest:"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --no-cache-dir uv==$(UV_VERSION)

# --inexact: whoever has the development tools already keeps them.
$(RUNTIME): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing hashmargin and what it needs:"
	@$(BIN)/uv sync --frozen --no-dev --inexact --no-cache --link-mode copy
	@touch $@

$(DEV): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing hashmargin, what it needs, and the development tools:"
	@$(BIN)/uv sync --frozen
	@touch $@ $(RUNTIME)
