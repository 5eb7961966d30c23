# make demo | test | test-fast | lint | docs | benchmark | gpu-check | results | pictures | samples | cards | wheel | package
# QT=pyqt6 uses PyQt6 in an environment of its own.
SHELL := /bin/bash
PYTHON ?= python3
QT ?= pyqt5
ifeq ($(QT),pyqt5)
VENV ?= .venv
else
VENV ?= .venv-$(QT)
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SYSTEM_PACKAGES := xvfb xauth libgl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 libxcb-icccm4 \
	libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-cursor0 libegl1 \
	libnss3 libxcomposite1 libxdamage1 libxrandr2 libxtst6 libasound2
# without a screen, a virtual one
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a -s "-screen 0 1600x1000x24")
DEMO_ARGS := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,--output demo-output)
export OMP_WAIT_POLICY := PASSIVE
export QT_API := $(QT)

.PHONY: help demo test test-night test-fast lint format docs benchmark gpu-check results pictures samples cards wheel package system clean

help:
	@echo "make demo       set up, then open the application on a growth series"
	@echo "make test       set up, then run the tests"
	@echo "make test-fast  set up, then run those that take neither a viewer, nor training, nor long"
	@echo "make test-night run the longest forms of the tests, which takes hours"
	@echo "make lint       ruff, mypy, import contracts, workflows"
	@echo "make docs       build the documentation's site in build/site, and check its links"
	@echo "make benchmark  measure what needs no data from outside, and write docs/results/"
	@echo "make gpu-check  check the graphics card in eight minutes, and train on it (ARGS=\"--output FOLDER\")"
	@echo "make results    make docs/results.md of docs/results/"
	@echo "make pictures   take the screenshots in docs/images/ again (NAMES=\"window measure\": some)"
	@echo "make samples    draw sample_data/ again"
	@echo "make cards      write the model cards to read (.md) from those beside the weights (.json)"
	@echo "make wheel      build the wheel"
	@echo "make package    build wheel and sdist in build/package, and check what is in them"

system:
	@[ "$$(uname)" = Linux ] || exit 0; \
	command -v dpkg-query >/dev/null || { echo "Not Debian: please see that Qt's X11 libraries and Xvfb are installed."; exit 0; }; \
	missing=""; for package in $(SYSTEM_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q "ok installed" || missing="$$missing $$package"; done; \
	if [[ " $$missing " == *" libasound2 "* ]] && dpkg-query -W -f='$${Status}' libasound2t64 2>/dev/null | grep -q "ok installed"; \
	then missing="$${missing/ libasound2/}"; fi; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq; \
		if apt-cache show libasound2t64 >/dev/null 2>&1; then missing="$${missing/libasound2/libasound2t64}"; fi; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else echo "Missing system packages; please install them: sudo apt-get install$$missing"; fi

$(READY): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(QT),all,dev,browser-$(QT)]"
	@touch $(READY)

demo: $(READY)
	$(SCREEN) $(BIN)/napari-leafseg demo $(DEMO_ARGS)

# each of the test processes has a core to itself
test test-fast: export OMP_NUM_THREADS := 1
# and what it and the processes that it begins have compiled is kept
test test-fast: export PYTHONDONTWRITEBYTECODE :=

test: $(READY)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not night"

test-night: $(READY)
	$(BIN)/python -m pytest -m night --timeout 7200

test-fast: $(READY)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not night and not slow and not gui and not train"

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_workflows.py

format: $(READY)
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# the site's tools have an environment of their own: what the extra docs names, and nothing else
DOCS := .venv-docs
$(DOCS)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-r <($(DOCS)/bin/python docs/site/tools.py)
	@touch $@

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(READY) $(DOCS)/.ready
	LEAFSEG_PYTHON=$(abspath $(BIN))/python $(DOCS)/bin/mkdocs build --strict
	$(BIN)/python docs/site/check.py build/site

benchmark: $(READY)
	@mkdir -p build
	$(SCREEN) $(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,max,rounds \
		--benchmark-json build/benchmark.json
	$(BIN)/python -m benchmarks.record build/benchmark.json
	$(SCREEN) $(BIN)/python -m benchmarks.slider --record
	$(SCREEN) $(BIN)/python -m benchmarks.image_list --record
	$(SCREEN) $(BIN)/python -m benchmarks.correct --record
	$(SCREEN) $(BIN)/python -m benchmarks.report --record
	$(BIN)/python -m benchmarks.annotator
	$(BIN)/python -m benchmarks.reading
	$(BIN)/python -m benchmarks.memory --record
	$(BIN)/python -m benchmarks.sweep --record
	$(BIN)/python -m benchmarks.training_step --record
	$(BIN)/python -m benchmarks.tracking --series 8 --record
	$(MAKE) --no-print-directory results

# for eight minutes; without a card on the processor, at a small size
gpu-check: $(READY)
	$(BIN)/python -m benchmarks.gpu_check $(ARGS)

results: $(READY)
	$(BIN)/python -m benchmarks.results

pictures: $(READY)
	$(SCREEN) $(BIN)/python -m benchmarks.screenshots $(NAMES)

samples: $(READY)
	$(BIN)/napari-leafseg synthesize --samples --output sample_data

cards: $(READY)
	$(BIN)/python -m napari_leafseg.models.store.card_document

wheel: $(READY)
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

package: $(READY)
	rm -rf build/package
	$(BIN)/python -m build --outdir build/package
	$(BIN)/python tests/check_package.py build/package

clean:
	rm -rf .venv .venv-pyqt6 .venv-docs demo-output build dist .pytest_cache .mypy_cache .ruff_cache
