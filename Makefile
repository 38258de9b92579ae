# Every target does its own set-up: `make quickstart` and `make test` work in a fresh clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES := $(shell nproc 2>/dev/null || echo 2)

.PHONY: quickstart demo test soak check format bench wheel clean chromium

# The whole chain on the embedded Hub: corpus, model, evaluation, Space.
quickstart: $(VENV)/.installed
	$(BIN)/hubkit quickstart

# The same, and Hub and Space stay up until Ctrl-C.
demo: $(VENV)/.installed
	$(BIN)/hubkit quickstart --serve

# Everything but what is too long for each change; what took longest is listed at the end.
test: $(VENV)/.installed chromium
	$(BIN)/python -m pytest -m "not soak" -n $(CORES) --dist loadfile --no-loadscope-reorder --durations=30

# What is too long for `make test`: a hundred kills, builds at full size, the whole quickstart.
soak: $(VENV)/.installed chromium
	$(BIN)/python -m pytest -m soak

# Lint, format, types.
check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/gallery.py --check
	$(BIN)/pyright

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	$(BIN)/python scripts/bench/corpora.py
	$(BIN)/python scripts/bench/lorenz.py
	$(BIN)/python scripts/bench/text.py
	$(BIN)/python scripts/bench/tokens.py
	$(BIN)/python scripts/bench/startup.py
	$(BIN)/python scripts/bench/training.py

wheel: $(VENV)/.installed
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf $(VENV) dist build runs .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "hubkit needs Python 3.11 or later; set PYTHON="'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The browser tests drive Debian's chromium; where it can't be installed they skip and say so.
chromium:
	@command -v chromium >/dev/null 2>&1 || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  { apt-get update -qq; apt-get install -y -qq --no-install-recommends chromium fonts-liberation; } >/dev/null 2>&1; \
	} || echo "chromium is not installed; the browser tests will be skipped"
