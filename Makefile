# One word per chore; each sets itself up.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check compose-test e2e chaos gpu-test judge-parity nightly up down lock versions sbom openapi golden clean

# The first Python of a supported version that really runs.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin

help:  ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## Make .venv and install everything into it (all others do this first)
	@test -n "$(PYTHON)" || { echo "setup: no Python 3.11, 3.12 or 3.13 found; install one or set PYTHON=/path/to/python." >&2; exit 2; }
	@$(PYTHON) scripts/setup.py

demo: setup  ## Three SPPO rounds and two INPO rounds on tiny models; MODEL=, JUDGE=, PROMPTS= for your own
	@$(BIN)/sparring demo $(if $(MODEL),--model "$(MODEL)") $(if $(JUDGE),--judge "$(JUDGE)") $(if $(PROMPTS),--prompts "$(PROMPTS)")

test: setup  ## All tests but those of the stages below
	@$(BIN)/python -m pytest -n auto --dist=loadscope --no-loadscope-reorder $(ARGS)

check: setup  ## Formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

chaos: setup  ## Runs under kill -9, a full disk, a database that hangs, a clock that steps; SHORT=1: five minutes of it
	@PYTHONPATH=tests $(BIN)/python -m chaos $(if $(SHORT),--short) $(ARGS)

compose-test: setup  ## Build the images, docker compose up, a round in containers (starts an engine of its own if it must)
	@$(BIN)/python scripts/compose_test.py

judge-parity:  ## The real llm-blender, in .venv-llm-blender, and our judge give the same numbers
	@$(PYTHON) scripts/setup.py --llm-blender
	@.venv-llm-blender/bin/python -m pytest tests/parity

e2e: setup  ## Rounds with all real processes, some of which are killed on the way
	@SPARRING_E2E=1 $(BIN)/python -m pytest tests/e2e

gpu-test: setup  ## The generator in bf16 and all that benchmarks/gpu.py measures, on the CPU at small sizes
	@SPARRING_GPU_TEST=1 $(BIN)/python -m pytest tests/gpu/test_generator_gpu.py tests/gpu/test_gpu_command.py

nightly: setup  ## What takes too long for every change: comparisons and figures; writes benchmarks/results/nightly.md
	@$(PYTHON) scripts/setup.py --llm-blender
	@$(BIN)/python scripts/nightly.py

golden:  ## Write tests/golden/pairrm.json anew with the real llm-blender
	@$(PYTHON) scripts/setup.py --llm-blender
	@.venv-llm-blender/bin/python tests/golden/write_golden.py

up: setup  ## All services as local processes, until Ctrl-C
	@$(BIN)/sparring up $(if $(MODEL),--model "$(MODEL)") $(if $(JUDGE),--judge "$(JUDGE)")

down: setup  ## End the services that `make up` started
	@$(BIN)/sparring down

openapi: setup  ## Write tests/contract/openapi/*.json anew
	@$(BIN)/python scripts/write_openapi.py

lock: setup  ## Pin the newest versions that fit pyproject.toml, for machines and images (needs uv); KEEP=1: keep what fits
	@$(BIN)/python scripts/lock.py $(if $(KEEP),--keep)

versions: setup  ## Which pins `make lock` would change; changes nothing (needs uv)
	@$(BIN)/python scripts/lock.py --show

sbom: setup  ## A CycloneDX bill of materials per image, in dist/sbom/
	@$(BIN)/python scripts/sbom.py

clean:  ## Remove .venv and caches; runs/ stays
	rm -rf .venv .venv-llm-blender .pytest_cache .ruff_cache
