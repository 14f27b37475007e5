# Everything needs only Python 3.11 or newer and make; the first call creates .venv.
PYTHON ?= python3
BIN := .venv/bin
STACK ?= local
# Where a machine keeps Python from writing bytecode, every start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve check test lint bench lock

serve: .venv/ready  ## Envoy, hosts, live table and page, and some traffic for them: http://127.0.0.1:8081
	@exec $(BIN)/corral serve --stack $(STACK) --traffic

check: .venv/ready  ## whatever stands in stacks/: it can be deployed, its program runs on mocks, a share edit touches routes only
	@$(BIN)/pytest --quiet --numprocesses=0 tests/test_stacks.py

test: .venv/ready  ## all tests; clients and a Pulumi engine for some of them are built beside the others, once
	@$(BIN)/python -m tests.clients.programs >/dev/null 2>&1 & clients=$$!; \
	$(BIN)/python -m tests.pulumi_engine.programs >/dev/null 2>&1 & engine=$$!; \
	$(BIN)/pytest; status=$$?; kill $$clients $$engine 2>/dev/null; exit $$status

lint: .venv/ready  ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/clang-format --dry-run --Werror components/corral/local/module/*.[ch] tests/local/module/*.c
	@if command -v clang-tidy >/dev/null; then clang-tidy --quiet components/corral/local/module/*.c -- -std=c11; fi
	@$(BIN)/basedpyright --threads 1

bench: .venv/ready  ## the gateway beside others, how it grows, and program start beside a bare program
	@$(BIN)/python -m bench.side_by_side
	@$(BIN)/python -m bench.growth
	@$(BIN)/python -m bench.program
	@$(BIN)/python -m bench.preview

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Corral needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	@echo "setting up .venv (once, some minutes)"
	@$(PYTHON) -m venv .venv
	@# Compiling all of it would take a minute; Python compiles what is imported.  uv takes a sixth of what pip takes, but
	@# does not read pip's settings, with which a machine may get its packages from elsewhere: then pip goes on.
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r .venv/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.lock 2>/dev/null || \
	 $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@# Pulumi looks for a dynamic provider's environment beside the program, not beside Pulumi.yaml.
	@ln -sfn ../.venv stacks/.venv
	@touch $@

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11
lock:  ## brings the files of requirements up to date with pyproject.toml
	@$(COMPILE) --all-extras --group dev pyproject.toml --output-file requirements.lock
	@$(COMPILE) --group clients --output-file tests/clients/requirements.lock
	@$(COMPILE) --constraints requirements.lock images/adapter/requirements.in --output-file images/adapter/requirements.lock
