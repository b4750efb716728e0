# Each target does its own set-up. Python 3.11+ and make are all that must be there.
SHELL := /bin/sh
PYTHON ?= python3
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
CYCLONEDX_VERSION := 7.5.0
ADVISORIES ?= pypi
UV := .uv/bin/uv
BIN := .venv/bin
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

.PHONY: help run setup test test-llm e2e image check lint types layers fuzz coverage mutate eval bench bench-http bench-overload faults soak \
        screenshot simulate docs lock openapi audit sbom clean
.DEFAULT_GOAL := help

help: ## what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## set up, load the corpus on first start, serve on http://127.0.0.1:4000
	$(BIN)/sengol-api serve

setup: .venv/.dev ## everything that development needs

test: .venv/.dev ## every test that needs nothing from outside the package registry
	$(BIN)/pytest

test-llm: .venv/.dev .llm/.made ## the OpenAI client against a real model server; the first time compiles it, which takes minutes
	LLM_PYTHON=.llm/bin/python $(BIN)/pytest -m llm

e2e: .venv/.dev ## four replicas behind haproxy, with Valkey and PostgreSQL: rolling restart, kill -9, outages; takes minutes
	$(BIN)/pytest -m replicas tests/replicas

image: .venv/.dev ## the container image, built by buildah and run without an engine (Debian, root; apt-get install buildah debootstrap)
	$(BIN)/pytest -m image tests/image

check: lint types layers fuzz ## style, types, layers, and hostile requests from the OpenAPI document

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy
	$(BIN)/mypy eval/run.py bench/main_job.py

layers: .venv/.dev
	$(BIN)/lint-imports --no-cache

fuzz: .venv/.dev ## schemathesis against the real server
	$(BIN)/python tests/fuzz.py

coverage: .venv/.dev ## do the toolkit's own tests visit every line and branch of it? The long simulations are left out
	$(BIN)/pytest tests/unit/resilience --ignore=tests/unit/resilience/test_simulations.py -q \
	    --cov=sengol_api.resilience --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

mutate: .venv/.dev ## does a test fail for every small fault in the resilience toolkit? MODULES="retry.py breaker/*.py" for some
	$(BIN)/python tools/mutate.py $(MODULES)

eval: .venv/.dev ## quality of the search and of the questions' evidence, against BM25 and random
	$(BIN)/python eval/run.py
	$(BIN)/python eval/assist.py

bench: .venv/.bench ## speed and size of the main job, the clients and the toolkit on this machine, the latter beside other libraries
	$(BIN)/python bench/main_job.py
	$(BIN)/python bench/capacity.py
	$(BIN)/python bench/clients_openai.py
	$(BIN)/python bench/stores.py
	$(BIN)/python bench/clients_dvecdb.py
	$(BIN)/python bench/toolkit
	$(BIN)/python bench/observability.py

faults: .venv/.dev ## both upstreams dead, in six ways: what is answered, how late, and what is still sent to them
	$(BIN)/python bench/faults.py

soak: .venv/.dev ## half an hour at half capacity while dependencies fail and come back: memory, tasks, sockets
	$(BIN)/python bench/soak.py

bench-http: .venv/.dev ## requests per second beside a Fastify service, on one core each (needs node, npm and wrk)
	$(BIN)/python bench/fastify

bench-overload: .venv/.dev ## ten times what one worker can do, for a minute: goodput, latency, health, a greedy user (needs two cores and taskset)
	$(BIN)/python bench/overload.py

simulate: .venv/.dev ## an outage and an overload on virtual time: pictures in docs/resilience/pictures
	$(BIN)/python simulations

screenshot: .venv/.dev ## pictures of the status page, of a real server in trouble (needs chromium; five minutes)
	$(BIN)/python tools/status_pictures.py

docs: .venv/.dev ## write the tables of settings and of the toolkit's options from the code
	$(BIN)/python tools/configuration.py
	$(BIN)/python tools/reference.py

openapi: .venv/.run ## print the OpenAPI document
	$(BIN)/sengol-api openapi

lock: $(UV) ## resolve the dependencies again (hash-pinned, for every platform)
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header pyproject.toml -o locks/run.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header pyproject.toml --extra tracing -c locks/run.txt -o locks/tracing.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header pyproject.toml --group dev -c locks/tracing.txt -o locks/dev.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header --group bench -c locks/dev.txt -o locks/bench.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header --group llm -o locks/llm.txt

audit: $(UV) ## are there advisories about a dependency? Needs an advisory service: ADVISORIES=pypi or osv
	@$(UV) tool run --quiet --from pip-audit==$(PIP_AUDIT_VERSION) pip-audit --strict --progress-spinner off --vulnerability-service $(ADVISORIES) \
	    --disable-pip --require-hashes --requirement locks/run.txt \
	    || { echo "There are advisories (above), or $(ADVISORIES) could not be asked about every dependency: nothing is known to be fine."; exit 1; }

sbom: $(UV) ## write dist/sbom.cdx.json: what a locked installation consists of, with licences (CycloneDX)
	@rm -rf .sbom && $(UV) venv --quiet --python $(PYTHON) .sbom
	@$(UV) pip install --quiet --python .sbom/bin/python --require-hashes -r locks/run.txt
	@$(UV) pip install --quiet --python .sbom/bin/python --no-deps .
	@mkdir -p dist && $(UV) tool run --quiet --from cyclonedx-bom==$(CYCLONEDX_VERSION) cyclonedx-py environment --pyproject pyproject.toml \
	    --mc-type application --output-reproducible --spec-version 1.6 --output-file dist/sbom.cdx.json .sbom/bin/python
	@rm -rf .sbom && echo "dist/sbom.cdx.json"

clean: ## remove what set-up made (not the data directory)
	rm -rf .venv .uv .llm

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Sengol API needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11 (or newer).")'
	@$(PYTHON) -m venv .uv || { echo "Could not make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.made: | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@touch $@

.venv/.run: pyproject.toml locks/run.txt | .venv/.made
	@echo "Setting up (the first time takes about a minute) ..."
	@$(INSTALL) --require-hashes -r locks/run.txt
	@$(INSTALL) --no-deps -e .
	@touch $@

.venv/.dev: pyproject.toml locks/dev.txt | .venv/.made
	@echo "Setting up for development ..."
	@$(INSTALL) --require-hashes -r locks/dev.txt
	@$(INSTALL) --no-deps -e .
	@touch $@ .venv/.run

.venv/.bench: locks/bench.txt .venv/.dev
	@echo "Setting up what the bench compares with ..."
	@$(INSTALL) --require-hashes -r locks/bench.txt
	@touch $@

.llm/.made: locks/llm.txt | $(UV)
	@echo "Compiling the model server (5 to 15 minutes the first time; needs a C++ compiler) ..."
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .llm
	@CMAKE_ARGS="-DLLAVA_BUILD=OFF" $(UV) pip install --quiet --python .llm/bin/python --no-deps --require-hashes -r locks/llm.txt
	@touch $@
