# Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: help
help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: check
check: ## Format, lint, types, imports
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PYTHONPATH=src $(VENV)/bin/lint-imports --no-cache

.PHONY: format
format: ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: lock
lock: ## Write the hash-pinned requirements anew (needs uv)
	uv pip compile pyproject.toml --group install --generate-hashes --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -o requirements/runtime.txt
	uv pip compile pyproject.toml --group install --group dev --generate-hashes --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -o requirements/dev.txt
