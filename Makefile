# Everything from a bare machine: Python 3.11 or newer and make are all that is needed.
#
#   make demo       install into .venv, then learn the digits and report
#   make test       the tests of every change, in JOBS=2 processes
#   make test-full  the long ones too
#   make lint       ruff, and mypy as a user of the installed package sees it
#   make clean      remove what was built; `make distclean` removes .venv as well

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
FOLDERS := snn kernels examples converters hardware experiments cli
BIN := $(abspath $(VENV))/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The editable install links every file, so a file added or removed calls for a new install: the
# stamp's name is a checksum of the list of files. Without the links in build/ no stamp counts.
FILES := $(shell find $(FOLDERS) -type f ! -path '*/__pycache__/*' | LC_ALL=C sort | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(FILES)
ifeq ($(wildcard build/__editable__.snnsim-*),)
$(shell rm -f $(VENV)/.installed-*)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo test test-full lint bench-startup clean distclean

help:
	@sed -n 's/^#   //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("snnsim needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Fix: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: install
	$(BIN)/snnsim run examples/digits_stdp.toml

test: install
	$(BIN)/pytest -m "not full" -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

test-full: install
	$(BIN)/pytest -m "full or not full" -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# mypy runs outside the repository, where only the installed `snnsim` can be found.
lint: install
	$(BIN)/ruff check .
	@outside=$$(mktemp -d) && trap 'rm -rf "$$outside"' EXIT && mkdir -p .cache && cd "$$outside" && \
	echo "mypy -p snnsim" && \
	$(BIN)/mypy -p snnsim --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.cache/mypy

bench-startup: install
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	rm -f $(VENV)/.installed-*
	find $(FOLDERS) tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
