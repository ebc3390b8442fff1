# `make demo` and `make test` are all a newcomer needs; both work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
STUDIES := backtests/buy_and_hold.toml backtests/ma200w_break.toml backtests/support_breach.toml
export TZ := UTC

.PHONY: demo test test-all format pictures clean

demo: .venv/.installed
	@$(BIN)/delever run $(STUDIES)

test: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPY_NUM_WORKERS=2 $(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadgroup

# Every example of the properties; for the night.
test-all: .venv/.installed-dev
	$(BIN)/pytest -n 2 --dist loadgroup --all

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pictures of the documentation; needs chromium.
pictures: .venv/.installed-dev
	$(BIN)/python docs/make_pictures.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "delever needs Python 3.11 or newer; found $$($(PYTHON) --version); set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv || \
	  { echo "no venv module here; on Debian: apt-get install python3-venv"; rm -rf .venv; exit 1; }

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ .venv/.installed

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
