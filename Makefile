# make book    build the site: environment, execution of every notebook, HTML; warnings are errors
# make test    everything that must hold: lint, the site's build, library, notebooks and pages in a real browser
# make teach   what goes to a class: slides, and quizzes for other systems, from teach/ into _build/teach
# make elsewhere    the chapters with other seeds, threads and processor capabilities
# make gpu-rehearsal | gpu-test    README and the chapters on a pretended GPU (FULL=1: whole trainings), or on a real one
# make quick | oldest    lint and the library's tests in minutes; the tests with the oldest versions of pyproject.toml
# make pdf    the book as one PDF in _build/pdf, or some chapters as work sheets: make pdf CHAPTERS="made flows"
# make env | serve | lint | unit | site-test | bench | colab-test | clean     the parts; see the README
# make format | first-cells | lock | repository URL=... BRANCH=...             the commands that rewrite files

PYTHON ?= python3
BIN := .venv/bin
NOTEBOOKS := $(wildcard book/*.ipynb teach/exercises/*.ipynb)
THREADS ?= 1
SHIFT ?= 1
OUT ?= .
# what is held back below the newest version, to be moved by hand together with a look at every number in the book
HELD ?= torch==2.13.0
# Values given on the command line reach the scripts as text, through the environment and in quotes; without this,
# make would expand them and the shell would run what stands behind a semicolon.
override URL := $(value URL)
override BRANCH := $(value BRANCH)
override CHAPTERS := $(value CHAPTERS)
override HELD := $(value HELD)
override THREADS := $(value THREADS)
override SHIFT := $(value SHIFT)
override FULL := $(value FULL)
override OUT := $(value OUT)
export URL BRANCH CHAPTERS HELD THREADS SHIFT FULL OUT

# as many processes as there are cores, each with one thread unless THREADS says more; who is done takes from the others
PYTEST := OMP_NUM_THREADS="$$THREADS" $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# A notebook server's leftovers would remove the figures; progress bars would fill the pages.
unexport MPLBACKEND
export TQDM_DISABLE := 1
# Threads that wait should not spin: on a busy machine they would take the processor from those that work.
export OMP_WAIT_POLICY := PASSIVE
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: book teach test quick oldest elsewhere gpu-rehearsal gpu-test env serve lint unit site-test bench colab-test clean format first-cells lock
.PHONY: repository browser pdf
.DEFAULT_GOAL := book

env:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) tools/env.py

book: env
	@$(BIN)/python tools/fresh.py
	@$(BIN)/python tools/execute.py
	@$(BIN)/jupyter-book build . --warningiserror --nitpick --keep-going --quiet
	@$(BIN)/python tools/times.py
	@echo "The book is in _build/html/index.html; to see it in a browser: make serve"

serve: book
	@echo "http://localhost:8000 (stop with Ctrl-C)"
	@$(BIN)/python -m http.server 8000 --bind localhost --directory _build/html

pdf: book browser
	$(BIN)/python tools/pdf.py $$CHAPTERS

teach: env
	@$(BIN)/python tools/slides.py
	@$(BIN)/python -m hybridlib.teach build
	@$(BIN)/python -m hybridlib.teach export gift --out _build/teach/export
	@$(BIN)/python -m hybridlib.teach export qti --out _build/teach/export

test: lint book teach browser
	$(PYTEST)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint hybridlib/page/explorers teach/slides/static
	$(BIN)/nbstripout --keep-id --verify $(NOTEBOOKS)

# what executes neither chapters nor the site's pages
QUICK := --ignore tests/site --ignore tests/test_notebooks.py --ignore tests/test_answers.py --ignore tests/teach/test_corpora.py --ignore tests/test_gpu_rehearsal.py

quick: lint
	$(PYTEST) $(QUICK)

# old packages below new ones warn of their age, so warnings are no errors here; and so do the old kernels of test_execute
oldest:
	$(PYTHON) -m venv --clear .cache/oldest
	$(PYTHON) tools/oldest.py > .cache/oldest/constraints.txt
	.cache/oldest/bin/python -m pip install -qq --constraint .cache/oldest/constraints.txt --editable ".[dev]"
	OMP_NUM_THREADS=1 .cache/oldest/bin/python -m pytest -W default --numprocesses auto --dist worksteal $(QUICK) --ignore tests/test_execute.py

unit: env
	$(PYTEST) --ignore tests/site --ignore tests/test_notebooks.py

site-test: book teach browser
	$(PYTEST) tests/site tests/test_notebooks.py

browser: env
	@$(BIN)/python tools/browser.py

elsewhere: env
	@OMP_NUM_THREADS="$$THREADS" $(BIN)/python tools/execute.py --shift "$$SHIFT" $$CHAPTERS

gpu-rehearsal: env
	$(BIN)/python tools/gpu_rehearsal.py $${FULL:+--full} $$CHAPTERS

gpu-test: env
	$(BIN)/python tools/gpu_test.py $$CHAPTERS

colab-test: env
	$(BIN)/python tools/colab_test.py $$CHAPTERS

bench: env
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; \
	$(BIN)/python $$script --output "$$OUT/$$(basename $$script .py).json" || exit 1; done

clean:
	rm -rf _build .venv .cache build dist *.egg-info

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-id $(NOTEBOOKS)

first-cells: env
	$(BIN)/python tools/first_cells.py

lock:
	$(PYTHON) tools/lock.py $$HELD

repository: env
	$(BIN)/python tools/repository.py "$$URL" "$$BRANCH"
