# `make quickstart` and `make test` do all set-up themselves; the first time it takes some minutes.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

# Nothing is reported to anybody, and TensorFlow (inside Reverb) keeps its start-up messages to itself.
export RAY_USAGE_STATS_ENABLED := 0
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help docs quickstart test reliability soak format clean

help:
	@echo "make quickstart   pretrain a policy, improve it online, compare (about 10 minutes on two cores)"
	@echo "make test         ruff, mypy, pytest"
	@echo "make test-slow    the tests that take more than half a minute each: hosts, faults, tutorials"
	@echo "make reliability  inject faults into real runs, and write the table of docs/reliability.md"
	@echo "make soak         an hour of faults at random, with the memory of every process (MINUTES=60)"
	@echo "make docs         build the documentation into site/"
	@echo "make format       ruff format, and its repairs"
	@echo "make clean        remove the installation (.venv); runs stay"

quickstart: $(INSTALLED)
	$(BIN)/ocelot quickstart

# Whole runs (tests/cluster) come last and by themselves: their processes want all that the machine has.
test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile --ignore tests/cluster
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile tests/cluster

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

reliability: $(INSTALLED)
	OCELOT_RELIABILITY=1 $(BIN)/pytest tests/cluster/test_finetune.py tests/cluster/test_faults.py tests/cluster/test_hosts.py

MINUTES ?= 60
soak: $(INSTALLED)
	$(BIN)/python -m tests.cluster.soak --minutes $(MINUTES) --json benchmarks/results/soak.json \
		--page docs/reliability.md

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv

# PyTorch first and alone: its pin must hold before anything else asks for some version of it.
$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Error: no Python found. On Debian 12: apt-get install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) cluster/preflight.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check torch -c constraints.txt
	$(BIN)/pip install --disable-pip-version-check -e '.[test,docs]' -c constraints.txt
	touch $@
