# Two commands: `make lab` opens the workbench, `make test` runs every check. Both set everything up first.
# The environment is .venv, or the virtual environment that is active.

PYTHON ?= python3
VENV := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.spine-workbench-ready
FRONTEND := $(wildcard frontend/*.json frontend/*.mjs frontend/src/*)
NOTEBOOK ?= notebooks/00-start-here.ipynb

.PHONY: lab app test soak fuzz check docs setup bench locks clean

lab: $(READY)
	$(BIN)/spine-workbench lab $(NOTEBOOK)

app: $(READY)
	$(BIN)/spine-workbench app

# Two processes, because tests often wait for a process that they started.
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
	$(BIN)/python docs/check_words.py

# The site, in dist/site; a broken link fails. MkDocs wants all pages in one folder, and has an environment of its own.
SITE := dist/docs-env/bin
docs: $(READY)
	test -x $(SITE)/mkdocs || { $(BIN)/uv venv --quiet --clear --python $(BIN)/python dist/docs-env \
	    && $(BIN)/uv pip install --quiet --system-certs --python $(SITE)/python --group docs; }
	rm -rf dist/pages && mkdir -p dist/pages
	tar -cf - *.md LICENSE docs/*.md docs/images benchmarks/README.md notebooks | tar -xf - -C dist/pages
	NO_MKDOCS_2_WARNING=1 $(SITE)/mkdocs build

bench: $(READY)
	$(BIN)/python -m benchmarks

setup: $(READY)

# Runs again when the requirements or the frontend change; the package itself is installed in place. uv needs a
# tenth of pip's time, but it does not read pip's settings. Where it finds no packages, pip installs them.
$(READY): requirements.txt pyproject.toml hatch_build.py $(FRONTEND)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --system-certs --compile-bytecode \
	    --reinstall-package spine-workbench -r requirements.txt \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# Resolve pyproject.toml anew. Pins that still fit are kept: delete a line of requirements.txt to update it, or all.
# pylock.toml names a URL for each file, so it is written where it is needed and not committed.
COMPILE := $(BIN)/uv pip compile --quiet --no-header --no-annotate pyproject.toml
PINS := dist/pins.txt
locks: $(READY)
	mkdir -p dist
	$(COMPILE) --universal --python-version 3.11 --all-extras --group dev --output-file requirements.txt
	cp requirements.txt $(PINS)
	$(COMPILE) --universal --python-version 3.11 --all-extras --constraint $(PINS) --generate-hashes \
	    --output-file requirements-hashed.txt
	$(COMPILE) --python-platform linux --python-version 3.12 --extra lab --constraint $(PINS) \
	    --output-file binder/requirements.txt
	$(COMPILE) --universal --python-version 3.11 --all-extras --constraint $(PINS) --format pylock.toml \
	    --output-file pylock.toml
	for file in requirements.txt binder/requirements.txt; do \
	    printf '# The package itself, in place. `make locks` writes this file.\n-e .\n' >> $$file; done

clean:
	rm -rf .venv dist workbench/widgets/static frontend/node_modules
