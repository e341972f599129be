# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.PHONY: demo test check mutation bench chaos fuzz lock messages screenshots clean

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] else "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install 'uv==0.13.8'
	@touch $@

$(VENV)/.demo: $(VENV)/.uv requirements.lock pyproject.toml
	@echo "installing the packages of requirements.lock (about 350 MB, a minute or two the first time)"
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.uv requirements-dev.lock pyproject.toml
	@echo "installing the packages of requirements-dev.lock"
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --require-hashes -r requirements-dev.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@$(BIN)/anlin demo

test: $(VENV)/.dev messages
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(VENV)/.dev messages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadgroup

mutation: $(VENV)/.dev
	@$(BIN)/python scripts/mutation.py $(ARGS)

bench: $(VENV)/.dev
	@$(BIN)/python -m bench $(ONLY)

# Ten minutes of faults and a week without the hub, about half an hour in all; exit code 1 where
# anything was lost, doubled or opened without a reason. SECONDS=60 EVENTS=20000 ARGS="--seed 1".
chaos: $(VENV)/.dev
	@$(BIN)/python -m anlin.sim.chaos --seconds $(or $(SECONDS),600) \
		--week-events $(or $(EVENTS),1000000) --report docs/proof/chaos.md $(ARGS)

# For each target SECONDS; ARGS names targets.
fuzz: $(VENV)/.dev
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),30) --report docs/proof/fuzz.md $(ARGS)

messages: $(VENV)/.demo
	@$(BIN)/python scripts/compile_messages.py

screenshots: $(VENV)/.dev
	@$(BIN)/python scripts/screenshots.py

lock: $(VENV)/.uv
	$(UV) pip compile pyproject.toml --extra demo $(LOCK_OPTIONS) -o requirements.lock
	$(UV) pip compile pyproject.toml --all-extras -c requirements.lock $(LOCK_OPTIONS) -o requirements-dev.lock
	@! grep -nE 'https?:/''/' requirements.lock requirements-dev.lock

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
