# Each target does all of its own set-up; a second run is quick.
SHELL := /bin/bash
BIN := .venv/bin
RUNTIME_PACKAGES := openssh-client openssh-server openssh-sftp-server bubblewrap rsync
TEST_PACKAGES := faketime git tmux ansible-core
BENCH_PACKAGES := haproxy

.DEFAULT_GOAL := help

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo:  ## start a controller and an endpoint on loopback and show a session (ONCE=1 ends by itself)
	@tools/setup $(RUNTIME_PACKAGES)
	@$(BIN)/python tools/demo.py $(if $(ONCE),--once)

test:  ## run every test
	@tools/setup $(RUNTIME_PACKAGES) $(TEST_PACKAGES)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

check:  ## lint, format, types, import rules, dependencies, generated files
	@tools/setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry src
	$(BIN)/python tools/generate_docs.py --check

bench:  ## measure against real peers; prints a table, writes bench/results/latest.json
	@tools/setup $(RUNTIME_PACKAGES) $(BENCH_PACKAGES)
	@$(BIN)/python -m bench $(BENCH_ARGS)

docs:  ## write the generated parts of docs/
	@tools/setup
	$(BIN)/python tools/generate_docs.py

requirements:  ## pin the dependencies again, with hashes
	@tools/setup
	@tools/pin-requirements

clean:  ## remove what the targets made
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/results

.PHONY: help demo test check bench docs requirements clean
