# make demo needs nothing but Python 3.11. make test does all of its own set-up, in .venv.
PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= build/docs-venv
# Not as the caller's locale and PYTHON... variables would have it.
TESTS = $(VENV)/bin/python -E -X utf8 -m
# More interpreters for which the single file of "make dist" is to have compiled code.
PYTHONS ?=

.PHONY: test test-trees demo dist static install packages lint docs docs-html man bench bench-boot bench-messages faults daemons units venv clean

# How many tests run at once: most of what they do is to wait for something to start or to end.
WORKERS ?= 3
# One after the other: PYTEST_ARGS=-n0, or "-p no:xdist".
AT_ONCE = $(if $(findstring no:xdist,$(PYTEST_ARGS)),,-n $(WORKERS) --dist worksteal)

# BRIDGE: another form than the checkout, below this folder, is tested (dist/static/cross-init-bridge, "make static").
test: export CROSS_INIT_TEST_BRIDGE = $(BRIDGE)
test: lint
	$(TESTS) tests.support.trees
	$(TESTS) pytest $(AT_ONCE) $(PYTEST_ARGS)

# The same on new Debians of other releases, in trees; without the machines that tests boot: some minutes for each.
# TREES: which (debian-12 debian-13 debian-sid), --machines: with all.
test-trees: venv
	$(TESTS) tests.support.elsewhere $(TREES) -- $(PYTEST_ARGS)

lint: venv
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

demo:
	@$(PYTHON) -I examples/demo.py

dist:
	$(PYTHON) -I tools/make_single_file.py $(PYTHONS:%=--python %) dist/cross-init-bridge
	ln -sf cross-init-bridge dist/cross-init

# One file that needs no Python. Debian's packages gcc, libc6-dev, libpython3-dev, zlib1g-dev, libseccomp-dev and python3-jeepney.
# STATIC_ARGS: for another architecture, see tools/make_static.py.
static:
	$(PYTHON) -I tools/make_static.py $(STATIC_ARGS) dist/static/cross-init-bridge
	ln -sf cross-init-bridge dist/static/cross-init

# With man pages and completions, for whatever Python 3 is there. DESTDIR: another root, as for a package, whose manager
# compiles the modules.
PREFIX ?= /usr/local
# What the installed programs are started by.
INTERPRETER ?= /usr/bin/python3
MODULES = $(PREFIX)/lib/python3/dist-packages
ZSH ?= $(PREFIX)/share/zsh/site-functions
INSTALL = install -m 0644 -D -t
install: man
	cd src && find cross_init -name '*.py' -o -name py.typed | while read -r file; do \
	  $(INSTALL) "$(DESTDIR)$(MODULES)/$${file%/*}" "$$file" || exit 1; done
	[ "$(DESTDIR)" ] || $(INTERPRETER) -m compileall -q "$(MODULES)/cross_init"
	$(INSTALL) "$(DESTDIR)$(PREFIX)/bin" -m 0755 bin/cross-init-bridge
	ln -sf cross-init-bridge "$(DESTDIR)$(PREFIX)/bin/cross-init"
	$(INSTALL) "$(DESTDIR)$(PREFIX)/share/man/man1" build/man/*.1
	$(INSTALL) "$(DESTDIR)$(PREFIX)/share/man/man7" build/man/*.7
	$(INSTALL) "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" build/completions/bash/*
	ln -sf cross-init-bridge "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/cross-init"
	$(INSTALL) "$(DESTDIR)$(ZSH)" build/completions/zsh/*
	$(INSTALL) "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d" build/completions/fish/*
	$(INSTALL) "$(DESTDIR)$(PREFIX)/share/doc/cross-init-tools" LICENSE README.md CHANGELOG.md

# The sdist and the wheel. Needs setuptools and wheel, as Debian has them.
packages:
	$(PYTHON) tools/build_backend.py dist

docs:
	$(PYTHON) -I tools/make_table.py
	$(PYTHON) -I tools/make_options.py
	$(PYTHON) -I tools/make_directives.py

# The manual pages, and the completions of shells: build/man and build/completions.
man:
	$(PYTHON) -I tools/make_man.py build/man
	$(PYTHON) -I tools/make_completions.py build/completions

# The site: build/html/index.html.
docs-html:
	@$(PYTHON) -I tools/make_venv.py $(DOCS_VENV) docs/requirements.txt
	$(DOCS_VENV)/bin/python -m sphinx -W --keep-going -q docs build/html

bench: venv
	$(VENV)/bin/python benchmarks/startup.py

# Many services at once under a real s6 and a real runit, as root: some minutes.
bench-boot: venv
	$(VENV)/bin/python -m benchmarks.boot $(BOOT_ARGS)

# What a message costs who hears it, beside a real systemd, as root: two minutes.
bench-messages: venv
	$(VENV)/bin/python -m benchmarks.messages

# Every system call of every process of ours fails once: half an hour, as root. The table goes into the document.
faults: venv
	$(TESTS) tests.faults --all --table docs/trust.md $(FAULTS_ARGS)

# Some sixty unmodified daemons of Debian under real inits, as root: ten minutes, and the packages. The table goes into
# the document.
daemons: venv
	$(TESTS) tests.survey --table docs/daemons.md $(DAEMONS_ARGS)

# The same daemons by the units of their packages, with cross-init run; the table is docs/run.md's.
units: venv
	$(TESTS) tests.survey --units --init s6 container --table docs/run.md $(UNITS_ARGS)
	$(TESTS) tests.survey --units --ten --table docs/run.md $(UNITS_ARGS)

# Made anew for other requirements, and for another PYTHON.
venv:
	@$(PYTHON) -I tools/make_venv.py $(VENV) requirements-dev.txt

clean:
	rm -rf $(VENV) build dist
