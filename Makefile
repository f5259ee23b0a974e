# Two commands: `make lab` opens the workbench, `make test` runs every check. Both set everything up first.
# The environment is .venv, or the virtual environment that is active.

PYTHON ?= python3
VENV := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.spine-workbench-ready
FRONTEND := $(wildcard frontend/*.json frontend/*.mjs frontend/src/*)
NOTEBOOK ?= notebooks/00-start-here.ipynb

.PHONY: lab app test soak fuzz check setup bench clean

lab: $(READY)
	$(BIN)/spine-workbench lab $(NOTEBOOK)

app: $(READY)
	$(BIN)/spine-workbench app

# Two at a time: much of a test's time is spent waiting for a process of its own to start.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

soak: $(READY)
	$(BIN)/python -m pytest -m soak -s --durations=0 tests

fuzz: $(READY)
	$(BIN)/python -m pytest -m fuzz -s --durations=0 tests

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks

setup: $(READY)

# Again only when what is installed has changed; the code itself is used where it lies. uv takes a tenth of pip's
# time, but does not read pip's settings: where only those lead to the packages, pip it is.
$(READY): requirements.txt pyproject.toml hatch_build.py $(FRONTEND)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --system-certs --compile-bytecode \
	    --reinstall-package spine-workbench -r requirements.txt \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf .venv dist workbench/widgets/static frontend/node_modules
