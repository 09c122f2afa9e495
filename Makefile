# One word per chore; each sets itself up.
.DEFAULT_GOAL := help
.PHONY: help setup llm-blender demo test check up down lock openapi clean

# The first Python of a supported version that really runs.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin

help:  ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## Make .venv and install everything into it (all others do this first)
	@test -n "$(PYTHON)" || { echo "setup: no Python 3.11, 3.12 or 3.13 found; install one or set PYTHON=/path/to/python." >&2; exit 2; }
	@$(PYTHON) scripts/setup.py

llm-blender:  ## Make .venv-llm-blender, what the judge is measured against
	@$(PYTHON) scripts/setup.py --llm-blender

demo: setup  ## Three SPPO rounds and two INPO rounds on tiny models; MODEL=, JUDGE=, PROMPTS= for your own
	@$(BIN)/sparring demo $(if $(MODEL),--model "$(MODEL)") $(if $(JUDGE),--judge "$(JUDGE)") $(if $(PROMPTS),--prompts "$(PROMPTS)")

test: setup  ## All tests that need no Docker and no GPU
	@$(BIN)/python -m pytest $(ARGS)

check: setup  ## Formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

up: setup  ## All services as local processes, until Ctrl-C
	@$(BIN)/sparring up $(if $(MODEL),--model "$(MODEL)") $(if $(JUDGE),--judge "$(JUDGE)")

down: setup  ## End the services that `make up` started
	@$(BIN)/sparring down

openapi: setup  ## Write tests/contract/openapi/*.json anew
	@$(BIN)/python scripts/write_openapi.py

EXTRAS := --extra judge --extra trainer --extra controller --group dev --python-version 3.11 --no-header --no-annotate --upgrade
lock: setup  ## Pin the newest versions that fit pyproject.toml (needs uv)
	uv pip compile pyproject.toml requirements/torch.in --extra generator-cpu $(EXTRAS) --universal \
		--override requirements/overrides.txt --output-file requirements/cpu.txt
	uv pip compile pyproject.toml --extra generator $(EXTRAS) --python-platform x86_64-manylinux_2_31 \
		--output-file requirements/cuda.txt
	uv pip compile requirements/llm-blender.in requirements/torch.in --python-version 3.11 --no-header --no-annotate --upgrade \
		--universal --override requirements/overrides.txt --output-file requirements/llm-blender.txt

clean:  ## Remove .venv and caches; runs/ stays
	rm -rf .venv .venv-llm-blender .pytest_cache .ruff_cache
