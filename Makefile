# make test does all of its own set-up; make demo needs nothing but Python 3.11.
PYTHON ?= python3
VENV ?= .venv

.PHONY: test demo dist lint bench clean

test: $(VENV)/ready lint
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build dist
