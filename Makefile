# make demo needs nothing but Python 3.11. make test does all of its own set-up, in .venv.
PYTHON ?= python3
VENV ?= .venv
# The interpreter that the single file of "make dist" starts with.
INTERPRETER ?= /usr/bin/python3

.PHONY: test demo dist lint docs bench clean

test: lint
	$(VENV)/bin/python -m tests.support.trees
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

demo:
	@$(PYTHON) -I examples/demo.py

dist:
	$(PYTHON) -I tools/make_zipapp.py --interpreter $(INTERPRETER) dist/cross-init-bridge
	ln -sf cross-init-bridge dist/cross-init

docs:
	$(PYTHON) -I tools/make_table.py

bench: $(VENV)/ready
	$(VENV)/bin/python benchmarks/startup.py

$(VENV)/ready: requirements-dev.txt
	$(PYTHON) -I tools/make_venv.py $(VENV) requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build dist
