# On a fresh clone `make demo` and `make test` are all you need: each makes .venv first, and is quick the second time.

PYTHON ?= python3.11
# Where torch's CPU build is fetched from if pip's find-links do not hold it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# `make env GPU=1` takes vLLM and torch for CUDA; the choice stays until `make env GPU=0`.
GPU ?= $(if $(wildcard .venv/gpu.stamp),1,0)

variant := $(if $(filter 1,$(GPU)),gpu,cpu)
stamp := .venv/$(variant).stamp
python := .venv/bin/python

# Where ECGRAY_REAL_DATA names a folder that holds ptbxl/, the demo shows one real recording beside its reconstruction.
real := $(firstword $(sort $(wildcard $(ECGRAY_REAL_DATA)/ptbxl/records500/*/*_hr.hea)))

.DEFAULT_GOAL := help
.PHONY: help env demo serve test check bench lock browser

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

env: $(stamp)  ## make .venv from the pinned versions (GPU=1: vLLM and torch for CUDA)

$(stamp): pyproject.toml locks/$(variant)-py311-linux-x86_64.txt locks/uv.txt locks/install.py
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not there; install CPython 3.11, or name it: make env PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) locks/install.py --variant $(variant) --torch-index "$(TORCH_INDEX)"

demo: $(stamp)  ## the whole path on drawn patients: eight minutes on two idle cores, ends with a report
	@$(python) jobs/demo.py debug $(if $(real),--real $(real))

serve: $(stamp)  ## the page and the API on http://127.0.0.1:8000, with the small models that ship
	@$(python) jobs/serve.py laptop

test: $(stamp)  ## every test: the fast ones first, then those that start a Ray
	@$(python) -m pytest --durations=25

check: $(stamp)  ## lint, format, types, import rules
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	.venv/bin/lint-imports

benchmarks := reading auroc simulator fitting loader training_step vae ingest mapping sampling retrieval serving extract_engine extract_archive

bench: $(stamp)  ## every benchmark, each beside its yardstick: an hour and 5 GB of disk
	@for name in $(benchmarks); do echo "== benchmarks/$$name.py"; $(python) benchmarks/$$name.py || exit 1; done

browser:  ## Debian's Chromium, for the tests of the page (asks for root; they are skipped without)
	@command -v chromium > /dev/null || { apt-get -q update && apt-get -q install -y --no-install-recommends chromium; }

# For who changes pyproject.toml: writes the locks anew.
lock: $(stamp)
	$(python) locks/compile.py
