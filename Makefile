# Everything is installed into .venv, nothing outside it, and again only when a requirements file changes.

PYTHON ?= python3
VENV   := .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check -qq
MILVUS := milvus-2.3.5
RUFF   := ruff==0.17.5
WORKERS ?= 3

# The compiled files name every package, so pip need not look up any dependency; and Python compiles what it imports, not all
# that is installed. Together that halves the wait.
INSTALL := $(PIP) install --no-deps --no-compile

.PHONY: help demo test lint circleci-validate environment requirements clean
.DEFAULT_GOAL := help

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.kit  ## a promotion and a rollback from start to end, on this machine, without servers
	@$(VENV)/bin/python -m scripts demo $(ARGS)

# Most tests wait for a server, so a few files at a time cost little more than one; each worker starts servers of its own.
test: environment  ## the tests, with real Milvus and MLflow servers (ARGS="-m 'not server'" leaves those out)
	@$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: | $(VENV)/bin/python  ## ruff, over the kit and its tests
	@$(PIP) install $(RUFF)
	@$(VENV)/bin/ruff check --no-cache --line-length 150 --select E,F,W,I,B,UP --ignore E501,B008,B905 scripts tests

# CircleCI's own program compiles the file in CircleCI's cloud, so it needs an account; the tests check the file without either.
circleci-validate:  ## .circleci/config.yml, by CircleCI's own program
	@command -v circleci >/dev/null || { echo "circleci is not installed, see https://cli.circleci.com (the npm package circleci-cli is another program)." >&2; exit 1; }
	@circleci config validate

environment: $(VENV)/.test $(VENV)/.$(MILVUS)  ## install what the tests need

requirements: | $(VENV)/bin/python  ## compile requirements*.txt from pyproject.toml (ARGS=--upgrade moves the pins)
	@$(PIP) install uv
	@$(COMPILE) pyproject.toml $(ARGS) -o requirements.txt
	@$(COMPILE) --group test -c requirements.txt $(ARGS) -o requirements-test.txt
	@$(COMPILE) --group ray -c requirements.txt $(ARGS) -o requirements-ray.txt

clean:  ## remove the environment, the caches and what the demo left
	@rm -rf $(VENV) demo_run .pytest_cache
	@find scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# One set of pins for every Python and platform, so that a bug seen on one of them is a bug seen on all.
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
          --no-emit-index-url --custom-compile-command "make requirements"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.kit: requirements.txt | $(VENV)/bin/python
	@echo "Installing requirements.txt into $(VENV) (a minute or two) ..."
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.kit
	@$(INSTALL) -r requirements-test.txt
	@touch $@

# The real Milvus stays out of the kit's own packages: --target, in a folder of its own.
$(VENV)/.$(MILVUS): | $(VENV)/bin/python
	@echo "Installing the Milvus server $(MILVUS) into $(VENV) ..."
	@$(INSTALL) --upgrade --target $(VENV)/$(MILVUS) milvus==$(MILVUS:milvus-%=%)
	@touch $@
