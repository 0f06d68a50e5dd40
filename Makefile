PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-faults test-statistics check bench bench-quick bench-scale wheel clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/paretune sweep quick

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadfile

test-faults: $(READY)
	FAULTS=whole $(BIN)/python -m pytest tests/faults tests/bench/tune/test_confirm.py -m 'not gpu' -v

test-statistics: $(READY)
	$(BIN)/python -m pytest tests/reports -m slow -v --durations=0

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m tests.peers.speed

bench-quick: $(READY)
	$(BIN)/python -m tests.peers.speed --scale quick

bench-scale: $(READY)
	$(BIN)/python -m tests.peers.scale

wheel: $(READY)
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf .venv build dist *.egg-info
