# Everything a developer types. Needs Python 3.11 or newer, make, and a package registry; each
# target makes or renews .venv by itself when pyproject.toml or constraints.txt changed.
# ARGS goes to the command behind the target: make test ARGS="-k claim".

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GENERATOR := .venv-proto
GENERATOR_READY := $(GENERATOR)/.ready
MUTATION := .venv-mutation
MUTATION_READY := $(MUTATION)/.ready
PYTHON ?=
ARGS ?=
AGAINST ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types imports api format proto client constraints bench mutation screenshot server console clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything a developer needs

demo: $(READY) ## put a fleet to work on the files of a repository, live on the screen
	$(BIN)/quarterdeck demo $(ARGS)

# Twice as many workers as the smallest machine has cores: half of the time a test waits for a process or a screen.
test: $(READY) ## run every test
	$(BIN)/pytest -n 4 --dist loadfile $(ARGS)

check: lint types imports api ## all that can be checked without running: what CI asks for

lint: $(READY) ## formatting and lint
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(READY) ## strict types
	$(BIN)/mypy

imports: $(READY) ## who may import whom
	$(BIN)/lint-imports

api: $(READY) $(GENERATOR_READY) ## the .proto files: lint, format, breaking changes, generated code fresh
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	scripts/breaking.sh $(BIN)/buf $(AGAINST)
	$(GENERATOR)/bin/python scripts/gen_protos.py --check

format: $(READY) ## format the code and the .proto files, and fix what lint can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/buf format --write

proto: $(GENERATOR_READY) ## generate the Python code of the API
	$(GENERATOR)/bin/python scripts/gen_protos.py

client: $(READY) ## generate the blocking client's methods from the asynchronous ones
	$(BIN)/python scripts/gen_client.py

constraints: $(READY) ## pin the newest versions that fit in constraints.txt
	$(BIN)/python scripts/pin.py

bench: $(READY) ## measure the server, then the console
	$(BIN)/quarterdeck bench $(ARGS)
	$(BIN)/python -m tests.console.load

mutation: $(MUTATION_READY) ## how many small defects of the engine its tests find: nightly, a sample (ARGS="--sample 0" for all)
	$(MUTATION)/bin/python scripts/mutation.py $(ARGS)

screenshot: $(READY) ## draw docs/console.svg anew
	$(BIN)/python scripts/screenshot.py

server: $(READY) ## run a server
	$(BIN)/quarterdeck server $(ARGS)

console: $(READY) ## open the console on a running server
	$(BIN)/quarterdeck console $(ARGS)

clean: ## remove the environments and every cache
	rm -rf $(VENV) $(GENERATOR) $(MUTATION) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first interpreter that is new enough; PYTHON=... overrides.
define make_venv
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$$python -m venv $(1)"; exec $$python -m venv $(1); \
	  fi; \
	done; echo "Quarterdeck needs Python 3.11 or newer" >&2; exit 1
endef

# pip learnt --group in 25.1; the one that comes with the interpreter may be older.
$(READY): pyproject.toml constraints.txt
	$(call make_venv,$(VENV))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all]' --group dev
	@touch $@

$(GENERATOR_READY): scripts/proto-requirements.txt
	$(call make_venv,$(GENERATOR))
	$(GENERATOR)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(MUTATION_READY): pyproject.toml constraints.txt scripts/mutation-requirements.txt
	$(call make_venv,$(MUTATION))
	$(MUTATION)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(MUTATION)/bin/python -m pip install --quiet -c constraints.txt -e '.[all]' --group dev \
	  -r scripts/mutation-requirements.txt
	@touch $@
