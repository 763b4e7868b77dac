# make demo: everything from a fresh clone to a PCK table.   make test: all tests; make test-fast: those that take seconds.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: demo test test-fast lint types format docs env env-dev figures clean

# What runs the program, and what works on it besides.
env: .venv/ready
env-dev: .venv/ready-dev

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) --constraint constraints.txt --editable "."
	@touch $@

.venv/ready-dev: .venv/ready
	$(PIP) --constraint constraints.txt --editable ".[dev,docs]"
	@touch $@

demo: env
	$(BIN)/python eval.py

# In as many processes as there are processors; files stay whole, for their fixtures, in the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: env-dev
	$(PYTEST)

test-fast: env-dev
	$(PYTEST) -m "not slow"

lint: env-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env-dev
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: env-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, with warnings as errors: outputs/docs/index.html.
docs: env-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder html docs outputs/docs
	@echo outputs/docs/index.html

# All figures of the model that ships, of the page and of a report (these two need Chromium), and the model's card.
# curve.png needs evaluations of the model at several stages of its training, python -m sdcorr.toybox.making.curve RUN ...;
# the plot of speed is drawn by the benchmark that measures it, python benchmarks/waterfall.py (its head has the command).
figures: env-dev
	$(BIN)/python -m sdcorr.toybox.making.showcase
	$(BIN)/python eval.py run_dir=outputs/figures logger=none
	$(BIN)/python -m docs.screenshots outputs/figures

clean:
	rm -rf .venv outputs
