# On a fresh machine with Python (3.10 or newer) and make, `make demo` and `make test` do all the set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test coverage numerics lint format docs bench mini constraints clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,eval,listen,mqtt,plot,ray,search,serve]'
	@touch $@

demo: $(INSTALLED) ## tag and localize the recordings in examples/
	$(BIN)/peaudio tag examples/recordings --top-k 3
	$(BIN)/peaudio localize examples/recordings/scene.mp3 -l 'a rooster crowing,rain falling,a dog barking'

test: $(INSTALLED) ## run the whole suite; ARGS='-k events' picks some of it
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

coverage: $(INSTALLED) ## run the suite and print which lines and branches of the package it misses
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov --cov-report term $(ARGS)

numerics: $(INSTALLED) ## run the numeric tests with fewer instructions and threads, as on other processors
	.ci/numerics $(BIN)/python

lint: $(INSTALLED) ## ruff, and mypy for each system, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(foreach system,linux darwin win32,$(BIN)/mypy --platform $(system) --cache-dir .mypy_cache/$(system) &&) true

format: $(INSTALLED) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## write the page of commands and build the documentation in build/site
	$(BIN)/python docs/scripts/commands.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(INSTALLED) ## measure the speed against transformers; ARGS=--long for hour-long recordings
	$(BIN)/python -m benchmarks $(ARGS)

mini: $(INSTALLED) ## train the checkpoint that is to ship: ESC10, POOL, TEACHER, STRANGERS=FOLDER; hours, Debian's packages
	$(BIN)/python -m training build/mini --esc10 '$(ESC10)' --pool '$(POOL)' --teacher '$(TEACHER)' --strangers '$(STRANGERS)'

constraints: $(BIN)/python ## pin the newest versions that pyproject.toml allows, for every Python and system
	$(BIN)/python -m pip install --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 --no-python-downloads \
	  --upgrade --no-annotate --quiet --custom-compile-command 'make constraints' --output-file constraints.txt

clean: ## remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
