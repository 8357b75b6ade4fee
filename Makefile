# Everything a fresh machine needs is Python 3.10 or newer (with venv) and make.
#
#   make demo       real calls for two workspaces, one under ZDR, side by side
#   make test       the whole test suite
#   make lint       ruff and mypy
#   make bench      measure it and its peers, and write docs/performance.md
#   make collector  build the OpenTelemetry Collector the tests use (needs Go)

VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# The newest of these that is new enough; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.10 python3.14; do \
	  "$$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$name" && break; done)

# So that the workers of a parallel run collect the same tests in the same order.
export PYTHONHASHSEED := 0

.PHONY: demo test lint bench collector clean missing
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed-demo
	@$(BIN)/otel-zdr demo

test: $(VENV)/.installed-test missing
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/run.py

collector:
	@sh collector-config/build.sh

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What is not here is said in one line each; the tests that need it are left out (with CI set they fail).
missing:
	@sh collector-config/build.sh >/dev/null
	@for name in chromium chromium-browser google-chrome chrome; do command -v $$name >/dev/null && exit 0; done; \
	  echo "Chromium is not installed, so the report's page is not tried in a browser"

# Stamps: the second time is quick, and a changed pyproject.toml installs anew.
$(VENV)/.installed-demo: pyproject.toml hatch_build.py .ci/install
	@sh .ci/install $(VENV) "$(PYTHON)" '.[demo]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml hatch_build.py .ci/install
	@sh .ci/install $(VENV) "$(PYTHON)" '.[clients,cli,demo]' --group test --group lint
	@touch $@ $(VENV)/.installed-demo
