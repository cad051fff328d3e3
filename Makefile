# SignalOps. `make` lists what there is; T= narrows the tests, A= passes arguments on.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

# pip compiles on one core; compileall uses all of them. Without it, and with PYTHONDONTWRITEBYTECODE set, each process would compile
# what it imports. It only saves time, so an error in it is ignored, as pip ignores it.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SignalOps needs Python 3.11 or newer: set PYTHON=python3.x")'
@test -x $(BIN)/python || $(PYTHON) -m venv .venv
@echo "Installing $(2) into .venv ..."
@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable '$(1)'
-@$(BIN)/python -m compileall -qq -j 0 .venv/lib
@touch $@
endef

.venv/.run: pyproject.toml
	$(call install,.,SignalOps)

.venv/.dev: pyproject.toml
	$(call install,.[dev],SignalOps and the tools for tests)
	@touch .venv/.run

##@ Use
.PHONY: run psql smoke
run: .venv/.run ## Start everything: PostgreSQL, API, worker, mail and webhook sink
	@$(BIN)/signalops up

psql: .venv/.run ## Open psql on the database
	@$(BIN)/signalops psql $(A)

smoke: .venv/.run ## Walk one event through the running system and time each station
	@$(BIN)/signalops smoke

.PHONY: secrets
# The folder is closed to others; its files are open, since containers read them as a user of their own.
secrets: ## Make the passwords and keys of compose.yaml, in .secrets; what is there is kept
	@mkdir -p .secrets && chmod 700 .secrets && umask 022 && cd .secrets && \
	random() { $(PYTHON) -c 'import secrets; print(secrets.token_hex(24), end="")'; } && \
	make_once() { test -s $$1 || printf %s "$$2" > $$1; } && \
	make_once postgres_password "$$(random)" && \
	make_once database_url "postgresql://signalops_admin:$$(cat postgres_password)@postgres/signalops" && \
	make_once signalops_api_database_url "postgresql://signalops_api:$$(random)@postgres/signalops" && \
	make_once signalops_worker_database_url "postgresql://signalops_worker:$$(random)@postgres/signalops" && \
	make_once signalops_listen_database_url "$$(cat signalops_worker_database_url)" && \
	make_once signalops_platform_database_url "postgresql://signalops_platform:$$(random)@postgres/signalops" && \
	for name in signalops_jwt_secret signalops_metrics_token grafana_password; do make_once $$name "$$(random)"; done && \
	make_once signalops_secret_key \
	  "$$($(PYTHON) -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode(), end="")')" && ls

##@ Develop
.PHONY: check test prove format schema advisories
PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(if $(SEED),--randomly-seed=$(SEED))

test: .venv/.dev ## Run the tests of a change (T=tests/sql for a part, SEED=7 for an order, JOBS=0 in one process)
	@$(PYTEST) -m 'not prove' $(T) $(A)

prove: .venv/.dev ## Run what takes long: processes killed, servers restarted, backups, releases side by side, fuzz (T=, SEED=)
	@$(PYTEST) -m prove $(T) $(A)

check: .venv/.dev ## Check format, lint, types, import contracts and the schema dump
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.sql.dump --check

format: .venv/.dev ## Format the code
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix

schema: .venv/.dev ## Regenerate sql/schema.sql and sql/catalogue.txt
	@$(BIN)/python -m tests.sql.dump

advisories: .venv/.dev ## Ask PyPI whether what is installed has known vulnerabilities
	@$(BIN)/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') --skip-editable \
	  --progress-spinner off

##@ Measure
.PHONY: bench bench-rules bench-send bench-usage bench-access bench-views bench-retention fuzz
bench: .venv/.dev ## Measure throughput and latency (needs wrk)
	@$(BIN)/python -m tests.bench $(A)

bench-rules: .venv/.dev ## Measure the rule engine alone
	@$(BIN)/python -m tests.bench.rules $(A)

bench-send: .venv/.dev ## Measure sending, alone and with a million deliveries waiting (needs wrk)
	@$(BIN)/python -m tests.bench.send $(A)

bench-usage: .venv/.dev ## Measure meters, a year's usage and closing a month
	@$(BIN)/python -m tests.bench.usage $(A)

bench-access: .venv/.dev ## Measure what wrong keys and rate limits cost
	@$(BIN)/python -m tests.bench.access $(A)

fuzz: .venv/.dev ## Fuzz the API by its OpenAPI document (A=100 requests of each operation, SEED=7)
	@FUZZ_EXAMPLES=$(or $(A),50) FUZZ_SEED=$(or $(SEED),7) $(BIN)/python -m pytest --timeout 0 tests/prove/fuzz/test_fuzz.py

bench-views: .venv/.dev ## Measure the views for DBAs on ten million events
	@$(BIN)/python -m tests.bench.views $(A)

bench-retention: .venv/.dev ## Measure what dropping a month of ten million events does to ingest
	@$(BIN)/python -m tests.bench.retention $(A)

##@ Help
.PHONY: help clean
clean: ## Remove the virtual environment and the embedded database, with ALL ITS DATA
	@rm -rf .venv .data

help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
