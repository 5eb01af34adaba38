# Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
HAKOIRI := $(VENV)/bin/hakoiri

# Tests that run the whole system wait more than they compute, so two workers more than there are
# processors (on two: 21 minutes in place of 24); a file's tests stay with one (tests/workers.py).
# Longest first: whole systems.
WORKERS := -n $(shell expr $$(nproc) + 2) --dist loadscope --no-loadscope-reorder

# An engine that the caller chose for the docker command is the one that hakoiri uses, too.
ifdef DOCKER_HOST
export HAKOIRI_DOCKER_HOST ?= $(DOCKER_HOST)
endif

.PHONY: help
help: ## Show what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## Run one conversation end to end and show the proofs
	@deployment/setup/host.sh --for demo
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(HAKOIRI) demo

.PHONY: test
test: ## Run all tests but those on machines of their own; pass options to pytest with ARGS="…"
	@deployment/setup/host.sh --for test
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/pytest -m "not guest and not booted and not compose and not alone" $(WORKERS) --durations=30 --durations-min=5 $(ARGS)
	$(VENV)/bin/pytest -m alone $(ARGS) || [ $$? -eq 5 ]  # none of them was chosen

.PHONY: test-runsc
test-runsc: ## Run the tests of whole systems with gVisor as the usual runtime
	@deployment/setup/host.sh --for test
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	HAKOIRI_TESTS_RUNTIME=runsc $(VENV)/bin/pytest tests/e2e -m "not alone" $(WORKERS) $(ARGS)

.PHONY: compose-test
compose-test: ## Bring up the stack of docker-compose.yml, run a turn, look at its rights, upgrade it in the middle of turns
	@deployment/setup/host.sh --for compose
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/pytest tests/compose $(ARGS)

.PHONY: test-apparmor
test-apparmor: ## Try the AppArmor profile and the limits in a virtual machine
	@deployment/setup/host.sh --for guest
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/pytest tests/guest $(ARGS)

.PHONY: test-production
test-production: ## Set a host up by the guide in a virtual machine, and try it as production
	@deployment/setup/host.sh --for guest
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/pytest tests/guest_production $(ARGS)

.PHONY: test-aarch64
test-aarch64: ## Try the system-call filter on an emulated aarch64 machine
	@deployment/setup/host.sh --for aarch64
	@deployment/setup/venv.sh
	$(VENV)/bin/pytest tests/guest_aarch64 $(ARGS)

.PHONY: test-systemd
test-systemd: ## Install the service under a systemd of its own, upgrade it, restart it in a turn
	@deployment/setup/host.sh --for systemd
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/pytest tests/systemd $(ARGS)

.PHONY: mutants
mutants: ## Take each defence out and see its tests fail; ids, or --untried, with ARGS="…"
	@deployment/setup/host.sh --for test
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/python -m tests.mutation $(ARGS)

.PHONY: escape
escape: ## Attack a running Hakoiri and write the penetration test report; some with ARGS="…"
	@deployment/setup/host.sh --for test
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/python -m tests.escape.report $(ARGS)

.PHONY: chaos
chaos: ## Kill what can be killed under load for 30 minutes; ARGS="--minutes 5 --seed 17 --kinds agent,proxy"
	@deployment/setup/host.sh --for test
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/python -m tests.chaos $(ARGS)

.PHONY: endurance
endurance: ## Many conversations through one server, and whether it grows; ARGS="--conversations 200"
	@deployment/setup/host.sh --for demo
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/python -m benchmarks.endurance $(ARGS)

.PHONY: bench
bench: ## Measure starts and turns; ARGS=orchestrator for the whole table beside its peers, ARGS=all for everything
	@deployment/setup/host.sh --for demo
	@deployment/setup/venv.sh
	@$(HAKOIRI) image build
	$(VENV)/bin/python -m benchmarks $(ARGS)

.PHONY: check
check: ## Check format, lint, types and imports
	@deployment/setup/host.sh --for check
	@deployment/setup/venv.sh
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PYTHONPATH=src $(VENV)/bin/lint-imports --no-cache

.PHONY: setup
setup: ## Install and start what demo needs on this machine
	@deployment/setup/host.sh --for demo
	@deployment/setup/venv.sh

.PHONY: venv
venv: ## Make .venv from the hash-pinned requirements
	@deployment/setup/host.sh --for check
	@deployment/setup/venv.sh

.PHONY: image
image: setup ## Build the image that the agents live in
	@$(HAKOIRI) image build

.PHONY: format
format: venv ## Format the code
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

.PHONY: dashboards
dashboards: venv ## Write Grafana's dashboards anew from their source
	$(VENV)/bin/python -m deployment.monitoring.dashboards

.PHONY: lock
lock: ## Write the hash-pinned requirements anew (needs uv)
	uv pip compile pyproject.toml --group install --generate-hashes --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -o requirements/runtime.txt
	uv pip compile pyproject.toml --group install --group dev --generate-hashes --universal --python-version 3.11 \
	  --no-annotate --custom-compile-command "make lock" -o requirements/dev.txt
