# The only verbs of this repository. Everything they install goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
PYTHON3 ?= python3

.PHONY: help install demo test test-all contract e2e fuzz up down lint proto docs bench milvus package \
	sbom images lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## make .venv with everything in it

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON3) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install ## raw photos to an answered query, in one command
	$(PYTHON) -m demo run

up: install ## start the three services with the demo's bundle and index, and leave them running
	$(PYTHON) -m demo up

down: ## stop what `make up` started
	$(PYTHON) -m demo down

# Two processes, whatever the machine: each trains, exports and starts services of its own.
PYTEST = -m pytest --numprocesses 2 --dist loadfile

test: install ## run the tests, but for the long ones
	$(PYTHON) $(PYTEST)

# A third of the cases of Hypothesis are enough for each change.
test-all: install ## run every test, and hold coverage to its levels: before a release, and before work is called done
	$(PYTHON) -m coverage erase
	LOOKALIKE_TEST_EXAMPLES=3 $(PYTHON) -m coverage run $(PYTEST) -m 'long or not long'
	$(PYTHON) -m scripts.coverage_gate

contract: install ## the index's contract on milvus-lite
	LOOKALIKE_CONTRACT_BACKEND=milvus-lite $(PYTHON) $(PYTEST) tests/contract

e2e: install ## the containers too: builds the images and runs the compose stack
	LOOKALIKE_E2E_DOCKER=1 $(PYTHON) -m pytest tests/e2e/test_compose.py tests/e2e/test_compose_tls.py

fuzz: install ## look for input that must not fail, for SECONDS (600)
	$(PYTHON) -m tests.fuzz --seconds $(or $(SECONDS),600)

package: install ## build sdist and wheel into var/dist, and use the wheel in an environment of its own
	$(PYTHON) -m scripts.package
	$(PYTHON) -m pytest -m '' tests/e2e/test_package.py

sbom: install ## what the images and the wheel are made of (CycloneDX), into var/sbom
	$(PYTHON) -m scripts.sbom

WORKFLOWS = --builtin-schema vendor.github-workflows .github/workflows/*.yml

lint: install ## ruff, mypy, buf lint, buf breaking, fresh stubs, versions, workflows, vulnerabilities
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(PYTHON) -m scripts.protos check
	$(PYTHON) -m scripts.settings_table check
	$(PYTHON) -m scripts.release check
	$(VENV)/bin/check-jsonschema $(WORKFLOWS)
	$(PYTHON) -m scripts.audit
	$(PYTHON) -m scripts.protos lint
	$(PYTHON) -m scripts.protos breaking

proto: install ## generate the stubs from protos/
	$(PYTHON) -m scripts.protos generate

docs: install ## write docs/configuration.md from the settings classes
	$(PYTHON) -m scripts.settings_table

bench: install ## measure the whole way through
	$(PYTHON) -m benchmarks slice

milvus: install ## an environment with a real Milvus, which test-all tests too (0.5 GB)
	$(PYTHON) -m scripts.milvus_environment

images: install ## build the three services' images, labelled with version and revision
	$(PYTHON) -m scripts.images

lock: install ## write requirements/*.txt, what the images install, from constraints.txt
	$(PYTHON) -m scripts.lock

clean: ## remove what the demo, tests and tools wrote, but not .venv
	rm -rf var .mypy_cache .pytest_cache .ruff_cache .hypothesis
