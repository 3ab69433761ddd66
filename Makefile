# Needs make, Python 3.11 or newer and pip. Everything installed goes to .venv.

VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-long test-engines test-frameworks cover lint fix docs bench pictures bench-peers lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s%s\n", $$1, $$2 }' Makefile

run: $(VENV)/run-installed ## Start the site with everything around it, on this machine
	@exec $(BIN)/webui demo $(WITH:%=--with %)

# Three processes on two cores: a browser waits more than it computes.  Without browsers a third one
# would only keep Redis waiting.  Rooms with long files come first, so that none ends long after the others.

PYTEST := pytest --dist loadfile --no-loadscope-reorder
TESTS := tests/journeys tests/chat tests/rules tests/site tests/library

test: lint ## Run every check but the long ones
	$(BIN)/python -m $(PYTEST) -m "not long" --numprocesses 3 tests/browser $(TESTS)

test-long: $(VENV)/test-installed ## Run the tests that take longer than five seconds each
	$(BIN)/python -m $(PYTEST) -m long --numprocesses 3 tests/browser $(TESTS)

# The library and the journeys on a Cluster and on Sentinels, and what only fleets can suffer.  Tests that
# read along on the wire of one server skip there; `make test` has run them.
ENGINE_TESTS := tests/library tests/journeys/test_going_on.py tests/journeys/test_newest_truth.py \
	tests/journeys/test_forwarded_links.py tests/journeys/test_ways_back.py \
	tests/journeys/test_protocol_truth.py tests/site/test_connections_site.py tests/site/test_support.py
ENGINE_KINDS := cluster sentinel

test-engines: $(VENV)/test-installed ## Run the tests of the library and the journeys on every kind of Redis
	$(BIN)/python -m pytest -q tests/engines
	for kind in $(ENGINE_KINDS); do \
		REDIS_KIND=$$kind $(BIN)/python -m $(PYTEST) -q --numprocesses 2 $(ENGINE_TESTS) || exit 1; \
	done

# Their packages are sixty more than all others need, so the examples for them are tried apart.
test-frameworks: $(VENV)/frameworks-installed ## Run the examples for FastMCP and LangGraph, and check their types
	$(BIN)/mypy examples/*.py tests/frameworks/*.py
	REQUIRE_FRAMEWORKS=1 $(BIN)/python -m pytest -q tests/frameworks

# Measuring doubles the time, and a test may miss a deadline for it: `make test` judges the tests,
# and this how much of the code they run.  1 is the status of pytest if a test failed.
# Left out, with the rules, are files that take long and run what others run too.
UNMEASURED := tests/journeys/test_benchmarks.py tests/journeys/test_nginx.py \
	tests/journeys/test_protocol_truth.py tests/journeys/test_redis_faults.py \
	tests/journeys/test_damaged_records.py tests/journeys/test_deploy.py tests/journeys/test_fleets.py \
	tests/journeys/test_vendors.py tests/journeys/test_other_languages.py \
	tests/journeys/test_guide_of_demo.py tests/journeys/test_alerts.py tests/journeys/test_hostile_names.py
cover: $(VENV)/test-installed ## Run the tests but the browser's and long ones, and fail if they run too little of the code
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST) -m "not long" --numprocesses 3 \
		$(filter-out tests/rules,$(TESTS)) $(UNMEASURED:%=--ignore %) || test $$? = 1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/test-installed ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/test-installed ## Correct style and format where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs-installed ## Build the documents as a site, into build/docs, and check every link within
	$(BIN)/python -m mkdocs build --clean

bench: $(VENV)/test-installed ## Measure the product on this machine, and fail if something is beyond its limit
	@$(BIN)/python -m bench

pictures: $(VENV)/test-installed ## Take a picture of every screen in every width and scheme, into pictures/
	@$(BIN)/python -m tests.kit.pictures $(SCREENS)

PEERS := .venv-peers
bench-peers: ## Measure other libraries at the same work, in an environment of their own
	@$(MAKE) --no-print-directory VENV=$(PEERS) $(PEERS)/test-installed
	@pip=$$(cat $(PEERS)/pip-command) && $$pip install --quiet --requirement bench/peers/requirements.txt
	@$(PEERS)/bin/python -m bench.peers

# Resolves everything anew, for every Python from 3.11 on and every platform at once:
# run.txt is what production imports, build.txt makes the wheel, demo.txt and test.txt have both;
# metrics.txt is run.txt with the extra metrics, for the image; docs.txt and frameworks.txt
# are what `make docs` and `make test-frameworks` need besides.
UPGRADE := --upgrade
COMPILE = uv --no-config pip compile --quiet $(UPGRADE) --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

lock: ## Resolve the versions in lock/ again
	@command -v uv >/dev/null || { echo 'make lock needs uv: pip install uv' >&2; exit 1; }
	$(COMPILE) pyproject.toml --output-file lock/run.txt
	$(COMPILE) --group build --constraint lock/run.txt --output-file lock/build.txt
	$(COMPILE) pyproject.toml --extra demo --group build --constraint lock/run.txt \
		--constraint lock/build.txt --output-file lock/demo.txt
	$(COMPILE) pyproject.toml --extra test --group build --constraint lock/demo.txt \
		--output-file lock/test.txt
	$(COMPILE) pyproject.toml --extra metrics --constraint lock/test.txt --output-file lock/metrics.txt
	$(COMPILE) --group docs --constraint lock/test.txt --output-file lock/docs.txt
	$(COMPILE) --group frameworks --constraint lock/test.txt --output-file lock/frameworks.txt

clean: ## Remove everything that make made
	rm -rf $(VENV) $(PEERS) .venv-moving build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis \
		.coverage .coverage.*

$(VENV)/run-installed: lock/demo.txt pyproject.toml $(VENV)/pip-command
	@echo 'Installing into $(VENV); the first time this takes a minute.'
	@pip=$$(cat $(VENV)/pip-command) && \
	$$pip install --quiet --require-hashes --requirement lock/demo.txt && \
	$$pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test-installed: lock/test.txt $(VENV)/run-installed
	@echo 'Installing what the tests need.'
	@pip=$$(cat $(VENV)/pip-command) && \
	$$pip install --quiet --require-hashes --requirement lock/test.txt
	@touch $@

$(VENV)/frameworks-installed: lock/frameworks.txt $(VENV)/test-installed
	@echo 'Installing the frameworks of the examples.'
	@pip=$$(cat $(VENV)/pip-command) && \
	$$pip install --quiet --require-hashes --requirement lock/frameworks.txt
	@touch $@

$(VENV)/docs-installed: lock/docs.txt $(VENV)/run-installed
	@echo 'Installing what makes a site of the documents.'
	@pip=$$(cat $(VENV)/pip-command) && \
	$$pip install --quiet --require-hashes --requirement lock/docs.txt
	@touch $@

# The environment, and the command that installs into it: its own pip, or, where Python came
# without ensurepip (Debian without python3-venv), any pip of this machine pointed at it.
$(VENV)/pip-command:
	@for python in python3 python3.14 python3.13 python3.12 python3.11 none; do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	done; \
	if [ $$python = none ]; then \
		echo 'This needs Python 3.11 or newer, and found none on PATH (python3, python3.11 to python3.14).' >&2; \
		exit 1; \
	fi; \
	rm -rf $(VENV); \
	$$python -m venv $(VENV) >/dev/null 2>&1 || { \
		rm -rf $(VENV); $$python -m venv --without-pip $(VENV) || exit 1; \
	}; \
	for pip in "$(BIN)/python -m pip" "$$python -m pip --python $(BIN)/python" \
		"python3 -m pip --python $(BIN)/python" "pip3 --python $(BIN)/python" \
		"pip --python $(BIN)/python" none; do \
		$$pip --version >/dev/null 2>&1 && break; \
	done; \
	if [ "$$pip" = none ]; then \
		echo 'This needs pip 22.3 or newer, and found none (python3 -m pip, pip3, pip).' >&2; \
		exit 1; \
	fi; \
	echo "$$pip --disable-pip-version-check" > $@
