# Every command of the project, from any directory: make -C PATH_TO_CHECKOUT TARGET.
# Nothing is installed outside the checkout; only Horovod's wheel goes to the user's cache folder.

TF ?= 2.21.0
PYTHON ?= python3
DEMO_FLAGS ?=
PYTEST_FLAGS ?=

SETUP = $(PYTHON) scripts/setup_env.py --tf '$(TF)'
# The environment's Python. The set-up has run by then, so this only asks it for the path; the shell
# then shows the command as it is run.
RUN = @venv="$$($(SETUP))" && set -x && "$$venv/bin/python"

# TensorFlow's information lines (devices, instruction sets) hide the tests' own; warnings stay.
test: export TF_CPP_MIN_LOG_LEVEL ?= 1
# The recorded numbers are those of oneDNN's convolutions, which TensorFlow leaves off on CPUs without
# AVX-512; on those it has no 3-D convolution of channels first either.
test: export TF_ENABLE_ONEDNN_OPTS ?= 1
# Each of some hundred processes would compile the project's modules anew.
test: export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup horovod demo test check clean

help:
	@echo 'make setup    the virtual environment of this TensorFlow and Python'
	@echo 'make demo     train MobileNetV2 on the built-in digits and evaluate it (DEMO_FLAGS=...)'
	@echo 'make test     the tests, workers under mpirun included (PYTEST_FLAGS=...)'
	@echo 'make check    format, lint, types and the import rules'
	@echo 'make horovod  setup, with Horovod built for many workers (make test does this itself)'
	@echo 'make clean    remove the virtual environments and the tools'"'"' caches'
	@echo
	@echo 'TF=2.15.0|2.21.0 chooses the TensorFlow (now $(TF)), PYTHON= the interpreter (now $(PYTHON)).'

setup:
	@$(SETUP) >/dev/null

horovod:
	@$(SETUP) --horovod >/dev/null

demo: setup
	$(RUN) demo_mobilenetv2.py $(DEMO_FLAGS)

# One process more than there are cores (tests/conftest.py), but each takes up to 2 GB of memory.
# PYTEST_FLAGS='-n 0' takes one. Each begins with a part of the files as they come, whose tests share
# what they build, and helps the other ones out when it is done.
test: horovod
	$(RUN) -m pytest -n auto --maxprocesses=4 --dist=worksteal $(PYTEST_FLAGS)

check: setup
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy --cache-dir='.mypy_cache/$(TF)'
	$(RUN) -m pytest -q tests/architecture

clean:
	rm -rf .venv-tf*-py* .pytest_cache .mypy_cache .ruff_cache
