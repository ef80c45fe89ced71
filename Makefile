# The door. `make` alone lists what there is. Needs only make and Python 3.11 or newer; never root.
# Everything is installed into .venv/ here, with the exact versions of constraints.txt.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# `make test PYTHON=/path/to/python3.12` chooses the interpreter; it matters only while .venv is made.
PYTHON ?=
# How many pytest processes `make test` uses: more than two cores are worth, because many tests wait for a deadline.
# WORKERS=0 runs all in one, which is nicer for a debugger.
WORKERS ?= 4
# Extra arguments for pytest, for example ARGS='-k heals -x'.
ARGS ?=
# Names of benchmarks and options for `make bench`, for example BENCH='one_way --json'.
BENCH ?=

BIN := .venv/bin
STAMP := .venv/.installed
TYPED := $(patsubst %/,%,$(sort $(dir $(wildcard litz/*.py inproc/*.py outproc/*.py tests/*.py examples/*.py benchmarks/*.py))))

.PHONY: help
help: ## list the targets
	@echo "litz: send by destination id over wires that break, and lose nothing."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(STAMP) ## three nodes, three kinds of wire killed one by one, nothing lost (ends by itself)
	@$(BIN)/litz demo

.PHONY: test
test: lint ## what a contributor runs: lint, types, house rules, tests (at most 10 minutes)
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not prove and not soak" $(ARGS)

.PHONY: prove
prove: $(STAMP) ## real processes and servers, a million messages, latency bounds (at most 35 minutes)
	@$(BIN)/python -m pytest -m "prove and not soak" $(ARGS)

.PHONY: soak
soak: $(STAMP) ## hours: more seeds, more fuzz; knobs in CONTRIBUTING.md
	@$(BIN)/python -m pytest -m soak $(ARGS)

.PHONY: bench
bench: $(STAMP) ## side by side with bare websockets, as ratios
	@$(BIN)/python -m benchmarks $(BENCH)

.PHONY: lint
lint: $(STAMP) ## ruff (rules and format) and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --strict $(TYPED)

.PHONY: clean
clean: ## remove .venv and everything else that was generated
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv that cannot start (moved, or its Python is gone) is made anew. One that starts but is too old is
# not ours to delete: say so, and say the cure.
$(STAMP): pyproject.toml constraints.txt
	@if [ -e .venv ] && ! $(BIN)/python -c "" 2>/dev/null; then rm -rf .venv; fi
	@if [ ! -e .venv ]; then \
	    found=""; \
	    for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	        if "$$candidate" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
	            found="$$candidate"; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "litz needs Python 3.11 or newer, and none was found as: $(or $(PYTHON),python3 or python3.11 to python3.14)." >&2; \
	        echo "Install one, or name it: make test PYTHON=/path/to/python3.11" >&2; \
	        exit 1; \
	    fi; \
	    "$$found" -m venv .venv || { \
	        rm -rf .venv; \
	        echo "$$found could not make .venv. On Debian and Ubuntu: apt install python3-venv" >&2; \
	        exit 1; \
	    }; \
	fi
	@$(BIN)/python -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo ".venv has $$($(BIN)/python --version), and litz needs 3.11 or newer." >&2; \
	    echo "Cure: make clean, then make test PYTHON=python3.11 (or newer)" >&2; \
	    exit 1; \
	}
	@echo "litz: installing into .venv (once; about half a minute) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
