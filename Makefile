# How to run, test and maintain AgentMem. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests side by side.
JOBS ?= auto
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder --numprocesses
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--generate-hashes --no-header
LOCK := $(COMPILE) pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test lint types imports unit bench bench-recall chaos lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: $(VENV)/.installed-local ## start the local stack and see it work; ONCE=1 ends after the demonstration
	@exec setpriv --pdeathsig TERM -- $(BIN)/agentmem run $(if $(filter-out 0,$(ONCE)),--once)

test: lint types imports ## all checks and all tests, with coverage
	$(BIN)/pytest $(SIDE_BY_SIDE) $(JOBS) --cov --cov-report term --cov-fail-under 85

lint: $(VENV)/.installed-dev ## style, and what ruff finds wrong
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.installed-dev ## which package may import which
	$(BIN)/lint-imports

unit: $(VENV)/.installed-dev ## the tests that need no stores
	$(BIN)/pytest tests/unit

chaos: $(VENV)/.installed-dev ## the fault matrix, within an hour; CASE=name for one; ARGS="--seed N"
	$(BIN)/pytest tests/chaos --matrix --verbose $(if $(CASE),--only $(CASE),$(SIDE_BY_SIDE) 2) $(ARGS)

bench: $(VENV)/.installed-dev ## throughput, latency and the gateway on this machine; ARGS=--quick for rough numbers
	$(BIN)/python -m tests.bench $(ARGS)

bench-recall: $(VENV)/.installed-dev ## what searches find on real conversations, beside an exact search; ARGS="--data FILE"
	$(BIN)/python -m tests.bench.recall $(ARGS)

# onnxruntime-gpu brings the same module as onnxruntime: of two that are installed one overwrites the other.
lock: ## make the hashed locks anew from pyproject.toml; needs uv
	@command -v uv > /dev/null || { echo 'make lock needs uv: https://docs.astral.sh/uv/' >&2; exit 1; }
	$(LOCK) --upgrade --extra local --extra dev --output-file requirements/dev.lock
	$(LOCK) --constraints requirements/dev.lock --extra local --output-file requirements/local.lock
	$(LOCK) --constraints requirements/dev.lock --output-file requirements/runtime.lock
	$(LOCK) --constraints requirements/dev.lock --extra cuda --no-emit-package onnxruntime \
		--output-file requirements/cuda.lock
	$(LOCK) --constraints requirements/dev.lock --extra openvino --output-file requirements/openvino.lock
	$(COMPILE) infra/deploy/build.in --constraints requirements/dev.lock --output-file infra/deploy/build.lock

clean: ## remove the virtual environment and what tools left here; caches and data of stacks stay
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last: an interrupted step is done again.
$(VENV)/.created:
	@command -v $(PYTHON) > /dev/null || \
		{ echo 'There is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo '$(PYTHON) is older than Python 3.11: install a newer one, or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo '$(PYTHON) lacks the venv module: install it (Debian: python3-venv)' >&2; exit 1; }
	@echo 'Making a virtual environment in $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed-local: requirements/local.lock pyproject.toml $(VENV)/.created
	$(call install,local)
	@touch $@

$(VENV)/.installed-dev: requirements/dev.lock pyproject.toml $(VENV)/.created
	$(call install,dev)
	@touch $(VENV)/.installed-local $@

define install
	@echo 'Installing the Python packages of requirements/$(1).lock'
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement requirements/$(1).lock \
		&& $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable . \
		|| { echo 'The Python packages could not be installed: see above; check the network and the disk, then start again.' >&2; exit 1; }
endef
