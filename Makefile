# make demo: everything from a fresh clone to a PCK table.   make test: the test suite.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format env figures clean

env: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: env
	$(BIN)/python eval.py

test: env
	$(BIN)/python -m pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All that the README shows of the model that ships, of the page and of a report (these two need Chromium), and the model's card.
# curve.png needs runs of states of the model from while it was trained, python -m sdcorr.toybox.making.curve RUN ...; the plot of
# speed is drawn by what measures it, python benchmarks/waterfall.py (its head has the command).
figures: env
	$(BIN)/python -m sdcorr.toybox.making.showcase
	$(BIN)/python eval.py run_dir=outputs/figures logger=none
	$(BIN)/python -m docs.screenshots outputs/figures

clean:
	rm -rf .venv outputs
