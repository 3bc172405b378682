# Everything a person does with the repository. `make` alone lists it.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
STAMP := .venv/installed
SOURCES := libs services simulator deploy parley tests

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## Create .venv and install what requirements.lock names; PYTHON=... chooses the interpreter
	@:

$(STAMP): requirements.lock pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
		"$(or $(PYTHON),python3)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "Parley needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not; name one with make install PYTHON=..." >&2; \
			exit 1; }; \
		echo "Creating .venv"; "$(or $(PYTHON),python3)" -m venv .venv; fi
	@echo "Installing what requirements.lock names; the first time this takes a minute or two"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: lock
lock: ## Write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --group dev --extra local pyproject.toml \
		-o requirements.lock --custom-compile-command "make lock"

.PHONY: wheel
wheel: install ## Write the wheel under dist, and print how to run the cluster from it
	@rm -rf build dist
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python
	@echo "uvx --from 'parley[local] @ file://$$(ls $(CURDIR)/dist/*.whl)' parley up"

.PHONY: up
up: install ## Run the whole cluster on this machine until Ctrl-C
	@$(BIN)/parley up

.PHONY: down
down: install ## Stop the cluster that `make up` runs elsewhere
	@$(BIN)/parley down

.PHONY: fmt
fmt: install ## Format the code, and mend what ruff can mend by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lint
lint: install ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)

.PHONY: test
test: lint ## Check, then run every test that needs no credential; PYTEST=... adds options
	$(BIN)/pytest $(PYTEST)

.PHONY: unit
unit: install ## Run the unit tests
	$(BIN)/pytest tests/unit

.PHONY: golden
golden: install ## Rewrite the golden files; review the difference
	$(BIN)/pytest tests/golden --rewrite

.PHONY: contract
contract: install ## Run the tests of what services, and the outside, agree on
	$(BIN)/pytest tests/contract

.PHONY: e2e
e2e: install ## Run the tests of the whole cluster
	$(BIN)/pytest tests/e2e

.PHONY: clients-install
clients-install: install ## Install the clients of README.md's table, and Node for some of them, under var/clients
	@$(BIN)/python -m tests.clients.environments install

.PHONY: clients
clients: clients-install ## Run each client of README.md's table, and write the table
	@$(BIN)/python -m pytest tests/clients/test_clients.py -p tests.clients.recording; \
		status=$$?; $(BIN)/python -m tests.clients.table; exit $$status

.PHONY: clients-lock
clients-lock: install ## Write the locks of the clients anew from their pins
	@$(BIN)/python -m tests.clients.environments lock

.PHONY: bench
bench: install ## Measure this machine; BENCH="--quick", section names or --out FILE narrow it
	@$(BIN)/python -m tests.bench $(BENCH)

.PHONY: profile
profile: install ## Show where the edge spends its time; PROFILE=calls looks at calls, not at streams
	@$(BIN)/python -m tests.bench.profile $(PROFILE)

.PHONY: faults
faults: install ## Break a cluster on purpose and count what holds; FAULTS="walk --seed 7" or --quick narrows it
	@$(BIN)/python -m tests.faults $(FAULTS)

.PHONY: mutants
mutants: install ## Change the code a little and list the changes that no unit test notices; MUTANTS="libs.translate.*" narrows it
	@nice $(BIN)/python -m tests.mutants $(MUTANTS)

.PHONY: mutants-lock
mutants-lock: install ## Write the lock of the mutation tester anew from its pin
	@$(BIN)/python -m tests.mutants lock

.PHONY: clean
clean: ## Remove caches and build output; .venv and var stay
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
