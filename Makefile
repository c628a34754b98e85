# Each target sets up what it needs. The first two are all that a new user types.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

READY := .venv/.ready
PEERS := .venv-peers/.ready

.PHONY: run test check board bench serve lock setup

run: $(READY)           ## everything stale, from the web to the print; then the page to open
	python -m pipelines check
	dvc repro
	@echo "Done. Open $(CURDIR)/data/7-report/index.html"

test: check             ## every check and every test; threads of two workers would wait for each other's cores
	OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile

check: $(READY)         ## format, lint, types, architecture, spelling, dependencies
	ruff format --check .
	ruff check .
	lint-imports
	codespell
	deptry . --no-ansi
	pyright

board: $(READY)         ## TensorBoard over what is training and what has trained
	tensorboard --logdir_spec running:.scratch,finished:data/4-models

bench: $(PEERS)         ## make bench NAME=shards QUICK=1
	python -m benchmarks $(NAME) $(if $(QUICK),--quick)

serve: $(READY)         ## a Prefect server and the schedules
	python -m flows deploy

setup: $(READY)

$(READY): requirements.lock
	@$(PYTHON) -c 'import platform, sys; sys.exit(0 if sys.version_info >= (3, 11) and platform.system() == "Linux" and platform.machine() == "x86_64" else f"baren runs on Linux x86-64 with Python 3.11 or newer; this is {platform.system()} {platform.machine()} with Python {platform.python_version()}")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@test -e .git || (mkdir -p .dvc && printf '[core]\n    no_scm = true\n' > .dvc/config.local)
	@touch $@

# Other people's packages, for comparison; they see ours, so that nothing is fetched twice.
$(PEERS): benchmarks/peers.lock $(READY)
	$(PYTHON) -m venv .venv-peers
	.venv/bin/python -c 'import site; print(site.getsitepackages()[0])' \
	    > "$$(.venv-peers/bin/python -c 'import site; print(site.getsitepackages()[0])')/baren.pth"
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/peers.lock
	@touch $@

lock:                   ## resolve pyproject.toml and benchmarks/peers.in anew into their lock files
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv
	.venv-lock/bin/uv lock
	.venv-lock/bin/uv export --frozen --no-emit-project --all-groups --no-header --no-annotate --quiet -o requirements.lock
	.venv-lock/bin/uv pip compile benchmarks/peers.in -c requirements.lock --override benchmarks/peers.overrides \
	    --generate-hashes --no-annotate --no-header --python-version 3.11 --quiet -o benchmarks/peers.lock
