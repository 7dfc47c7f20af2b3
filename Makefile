# Needs Python 3.11, git and make. Everything else comes from uv.lock.
#   make run [AS_OF=2017-10-01] [SOURCE=complete_journey] [FORCE=1] [THREADS=2]
#   make test [TESTS=tests/unit]
#   make bench [CUSTOMERS="10000 100000"]
#   make storm [STORM="--kills 300 --minutes 60"]

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test bi bi-password bi-assets test-bi point-in-time storm recovery foretelling emerging steadiness \
	report-at-scale bench both-engines test-spark any-order year-of-refits stale histories repair runbook backfill-on-postgres \
	evaluate notebook docs spark-cluster dictionary airflow lint lint-sql format lock audit install clean clean-data

AS_OF ?=
FORCE ?=
TESTS ?=
WORKERS ?= 2
PORT ?= 8080
STORM ?=
SPARK ?=
BOTH ?=
CUSTOMERS ?= 10000 100000 1000000

UV_VERSION := 0.13.9
STAMP := .venv/.installed-from-lock
BIN := .venv/bin
# The oldest DuckDB client that published files promise to open in; the tests open them with it.
OLD_CLIENT := .venv/clients/duckdb-1.0.0
# A client in between, for the storm.
MIDDLE_CLIENT := .venv/clients/duckdb-1.5.6
# Abandoned, and never imported: its wheel carries the summary of the CDNOW sample that BG/NBD is held against.
CDNOW_SAMPLE := .venv/clients/lifetimes-0.11.3
# Superset's own environment: it wants other releases of nearly everything.
SUPERSET := .venv/superset
SUPERSET_STAMP := $(SUPERSET)/.installed-from-lock
# Spark as a dependency group of its own (0.5 GB), and the Java that it runs on.
SPARK_STAMP := .venv/.installed-spark
# The browser that the tests open pages in: the system's, or its package.
BROWSER := .venv/browser
# sqlfluff compiles the models, for which dbt opens a warehouse: never the real one, which a run may hold.
EMPTY_WAREHOUSE = mkdir -p .venv/lint/complete_journey && SOURCE=complete_journey SEGMENTATION_DATA_DIR=$(CURDIR)/.venv/lint
DOCS_DIR = $(abspath $(or $(SEGMENTATION_DATA_DIR),data))/docs
DOCS_SOURCE = $(or $(strip $(SOURCE)),complete_journey)

ifneq ($(strip $(SOURCE)),)
export SOURCE
endif
ifneq ($(strip $(THREADS)),)
export SEGMENTATION_THREADS := $(THREADS)
endif

# Without a home to write to, uv keeps its cache and its Python installations beside its own environment.
HOME_IS_WRITABLE := $(shell [ -n "$$HOME" ] && [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes)
ifneq ($(HOME_IS_WRITABLE),yes)
export HOME := $(CURDIR)/.uv/home
export UV_CACHE_DIR ?= $(CURDIR)/.uv/cache
export UV_PYTHON_INSTALL_DIR ?= $(CURDIR)/.uv/python
endif

# A company's own certificate authority stands in the system's store, which uv does not read by itself.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= 1
endif

# A uv on PATH will do; else one is brought along, in an environment of its own.
UV_ON_PATH := $(shell command -v uv 2>/dev/null)
ifeq ($(UV_ON_PATH),)
UV := .uv/bin/uv
UV_TARGET := $(UV)
else
UV := $(UV_ON_PATH)
UV_TARGET :=
endif

help: ## Show this list
	@echo "make <target>, with AS_OF=YYYY-MM-DD SOURCE=<name> FORCE=1 THREADS=<n> where they matter:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

run: $(STAMP) ## Land the data, run the DAG through Airflow for one date, publish the segments
	@$(BIN)/segmentation run $(if $(strip $(AS_OF)),--as-of $(AS_OF)) $(if $(filter-out 0 no false,$(FORCE)),--force)

# By file, for a file's tests share their runs (pytest-xdist 3.8 does not see its groups with pytest 9.2), and in the
# order of the folders, for the longest tests come first in it.
test: $(STAMP) $(SPARK_STAMP) $(OLD_CLIENT) $(CDNOW_SAMPLE) $(BROWSER) ## Run the tests
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

test-spark: $(SPARK_STAMP) ## Run all tests on a Spark cluster: the gates, a whole night against DuckDB's (about 10 minutes)
	@SPARK_TESTS=all $(BIN)/pytest -n 0 tests/integration/test_on_spark.py

# Each date in a scope of its own, so that both workers take dates.
point-in-time: $(STAMP) ## Compute 20 random dates from all data and from data cut before them, and compare (about 25 minutes)
	@POINT_IN_TIME_DATES=$${POINT_IN_TIME_DATES:-20} $(BIN)/pytest -n $(WORKERS) --dist load tests/integration/test_point_in_time.py

storm: $(STAMP) $(OLD_CLIENT) $(MIDDLE_CLIENT) ## Kill every step at random moments, 300 times, while BI reads (about an hour)
	@$(BIN)/python -m tests.measurements.storm $(STORM)

# Measurements of the segments: none is needed to run or to test. The shops that they are made on stay in
# data/measurements.
recovery: $(STAMP) ## Find the latent segments of 20 simulated shops, and compare with StandardScaler and k-means (about 10 minutes)
	@$(BIN)/python -m tests.measurements.recovery --processes $(WORKERS)

foretelling: $(STAMP) ## Tell what the segments of the real data foretell of the next 90 days' spend, beside RFM (1 minute)
	@$(BIN)/python -m tests.measurements.foretelling

report-at-scale: $(STAMP) ## Measure the report of a million customers: seconds, memory, size of the page (1 minute)
	@$(BIN)/python -m tests.measurements.report_at_scale

# Nothing else should run meanwhile. By what 10,000 take, a shop of a million takes 7 GB, its warehouse some 20 GB more.
bench: $(STAMP) ## Measure nights of 10k, 100k and 1M customers beside floors and alternatives (CUSTOMERS="10000"; hours)
	@$(BIN)/python -m tests.measurements.bench --customers $(CUSTOMERS)

steadiness: $(STAMP) ## Measure how still labels stand over 60 nights and a refit, and how late a true move shows (5 minutes)
	@$(BIN)/python -m tests.measurements.steadiness

emerging: $(STAMP) ## Measure how soon an emerging segment is announced, and how often falsely (30 shops, about 20 minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.measurements.emerging --workers $(WORKERS)

any-order: $(STAMP) ## Run 20 dates over three refits in three orders, and compare every row (10 minutes)
	@$(BIN)/python -m tests.measurements.any_order

# Both parts are random, and the same for the same SEED.
histories: $(STAMP) ## Play 200 random histories in process and 10 through the DAG, each held against one run in order (2 hours)
	@$(BIN)/python -m tests.measurements.histories --histories $${HISTORIES:-200} \
		--dag-histories $${DAG_HISTORIES:-10} --seed $${SEED:-1} --processes $(WORKERS)

year-of-refits: $(STAMP) ## Refit every month of the real data's year: who keeps id and name, who moved, what the model moved (5 minutes)
	@$(BIN)/python -m tests.measurements.year_of_refits

# The drivers are a group of their own: an Airflow on SQLite does without.
backfill-on-postgres: $(STAMP) $(UV_TARGET) ## Backfill 30 dates by an Airflow on PostgreSQL, fail two, repair, compare every row (an hour)
	@$(UV) sync --frozen --quiet --inexact --group postgres
	@$(BIN)/python -m tests.measurements.backfill_on_postgres

stale: $(STAMP) ## List the dates that a run today would compute from something else, and why
	@$(BIN)/segmentation stale

repair: $(STAMP) ## Run stale and stopped dates again, ascending (AIRFLOW=http://127.0.0.1:8080 for a running Airflow)
	@$(BIN)/segmentation repair $(if $(strip $(AIRFLOW)),--airflow $(AIRFLOW))

# In a clone of its own, which the commands change: data, sources, lenses.
runbook: $(STAMP) ## Follow docs/runbook.md word for word in a clone, and compare what is printed (about 20 minutes)
	@rm -rf .venv/runbook && git clone --quiet . .venv/runbook && $(MAKE) --no-print-directory -C .venv/runbook install
	@$(BIN)/python -m tests.measurements.runbook .venv/runbook

evaluate: $(STAMP) ## Run a date of the past and compare its forecasts with what came in the 90 days after it
	@$(BIN)/segmentation evaluate $(if $(strip $(AS_OF)),--as-of $(AS_OF))

# JupyterLab is a group of its own: the tests execute the notebook without. It asks nobody for news or newer versions.
notebook: $(STAMP) $(UV_TARGET) ## Open the analysis of the published file in JupyterLab on loopback
	@$(UV) sync --frozen --quiet --inexact --group notebook
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --LabApp.extension_manager=readonly --LabApp.news_url=None \
		--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate \
		$(if $(filter 0,$(shell id -u)),--allow-root) notebooks/segment_analysis.ipynb

# Spark and its dbt adapter are a group of their own: a single machine does without.
spark-cluster: $(SPARK_STAMP) ## Start a Spark cluster on loopback, for TARGET=spark (SPARK="--workers 2 --cores 1 --memory-mb 1536")
	@exec $(BIN)/python -m segmentation_job.spark_cluster $(SPARK)

# From the SQL and YAML alone, on an empty warehouse: the real one may be held by a run, or not be there yet.
docs: $(STAMP) ## Write all models, their columns and their lineage as one page that needs no network
	@mkdir -p .venv/docs/$(DOCS_SOURCE)
	@SOURCE=$(DOCS_SOURCE) SEGMENTATION_DATA_DIR=$(CURDIR)/.venv/docs DO_NOT_TRACK=1 $(BIN)/dbt --quiet docs generate \
		--empty-catalog --project-dir dbt_project --profiles-dir dbt_project \
		--target-path $(CURDIR)/.venv/docs/target --log-path $(CURDIR)/.venv/docs/logs
	@$(BIN)/python -m segmentation_job.lineage_page .venv/docs/target "$(DOCS_DIR)/index.html"

both-engines: $(SPARK_STAMP) ## Run the DAG on a Spark cluster and on DuckDB, and compare every published row (BOTH="--source simulated_shop --customers 100000 --kill")
	@$(BIN)/python -m tests.measurements.both_engines $(BOTH)

dictionary: $(STAMP) ## Write docs/data-dictionary.md from the YAML of the published tables
	@$(BIN)/python -m segmentation_job.data_dictionary >docs/.data-dictionary.md
	@mv docs/.data-dictionary.md docs/data-dictionary.md
	@echo "Written: docs/data-dictionary.md"

airflow: $(STAMP) ## Start Airflow on loopback with the DAG, paused (PORT=8080)
	@$(BIN)/segmentation airflow --port $(PORT)

# A port of its own: 8080 is Airflow's.
bi: $(SUPERSET_STAMP) ## Open the dashboard in Superset on loopback, on what is published (PORT=8088)
	@exec $(SUPERSET)/bin/python bi/superset/serve.py serve --port $(if $(filter command line environment,$(origin PORT)),$(PORT),8088)

bi-password: $(SUPERSET_STAMP) ## Give the dashboard's admin a new password, and print it
	@$(SUPERSET)/bin/python bi/superset/serve.py password

bi-assets: $(STAMP) ## Write the dashboard's files again, after a change of its definitions or of the dbt descriptions
	@$(BIN)/python -m bi.superset.write_assets

test-bi: $(STAMP) $(BROWSER) $(SUPERSET_STAMP) ## Open the dashboard in a browser while a night is published
	@$(BIN)/pytest -n 0 tests/bi

lint: $(STAMP) lint-sql ## Check Python, SQL, types and the lock
	$(UV) lock --check
	$(UV) lock --check --project bi/superset
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-sql: $(STAMP)
	$(EMPTY_WAREHOUSE) $(BIN)/sqlfluff lint dbt_project

format: $(STAMP) ## Rewrite Python and SQL in the project's style, and take outputs out of notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@$(BIN)/python -m tests.support.committed_notebooks
	$(EMPTY_WAREHOUSE) $(BIN)/sqlfluff fix dbt_project

lock: $(UV_TARGET) ## Resolve both pyproject.toml into their uv.lock again
	$(UV) lock
	$(UV) lock --project bi/superset

# uv ends with 2 where it could not ask.
audit: $(UV_TARGET) ## Ask the advisory service (api.osv.dev) about every package of both locks
	@$(UV) audit --frozen && $(UV) audit --frozen --project bi/superset && exit 0; code=$$?; \
	[ $$code -ne 2 ] || echo "Nothing was audited: the service could not be asked. Run it where api.osv.dev is reachable." >&2; \
	exit $$code

install: $(STAMP) ## Create the environment from uv.lock

$(STAMP): pyproject.toml uv.lock $(UV_TARGET)
	@echo "Installing the environment from uv.lock …"
	@$(UV) sync --frozen --compile-bytecode --quiet
	@touch $@

# Java is a program of the system: where there is none, its package manager is asked, by who may ask it.
$(SPARK_STAMP): $(STAMP) $(UV_TARGET)
	@echo "Installing Spark from uv.lock …"
	@$(UV) sync --frozen --quiet --inexact --group spark
	@if [ -z "$$JAVA_HOME" ] && ! command -v java >/dev/null && command -v apt-get >/dev/null; then \
		echo "Installing Java for Spark (apt-get) …"; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
		{ $$as_root apt-get -qq update \
			&& $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
				openjdk-17-jre-headless; \
		} >.venv/java.log 2>&1 || tail -n 5 .venv/java.log >&2; \
	fi
	@touch $@

$(SUPERSET_STAMP): bi/superset/pyproject.toml bi/superset/uv.lock $(UV_TARGET)
	@echo "Installing Superset from bi/superset/uv.lock …"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(SUPERSET) $(UV) sync --project bi/superset --frozen --compile-bytecode --quiet
	@touch $@

# Whole or not at all: the folder takes its name when all of it is there.
$(OLD_CLIENT) $(MIDDLE_CLIENT) $(CDNOW_SAMPLE): | $(STAMP)
	@echo "Bringing $(@F) along for the tests …"
	@rm -rf $@.unfinished
	@$(UV) pip install --quiet --no-deps --python $(BIN)/python --target $@.unfinished \
		"$(subst -,==,$(@F))"
	@mv $@.unfinished $@

# Chromium is a program of the system: where there is none, its package manager is asked, by who may ask it.
$(BROWSER): | $(STAMP)
	@browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }; \
	if ! browser >/dev/null && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the tests (apt-get) …"; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root="sudo -n"; \
		{ $$as_root apt-get -qq update \
			&& $$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium; \
		} >.venv/browser.log 2>&1 || tail -n 5 .venv/browser.log >&2; \
	fi; \
	browser >/dev/null || { echo "The tests open pages in Chromium: install it and put it on PATH." >&2; exit 1; }; \
	ln -sfn "$$(browser)" $@

.uv/bin/uv:
	@echo "Bringing uv $(UV_VERSION) along …"
	@python=$$(command -v python3.11 || command -v python3) \
		|| { echo "Python 3.11 is not on PATH: install it first" >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "$$python is not Python 3.11: put python3.11 on PATH" >&2; exit 1; }; \
	"$$python" -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-cache-dir "uv==$(UV_VERSION)"

clean: ## Remove environments, caches and build output; data stays
	rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

clean-data: ## Remove what runs have made: warehouses, published files, logs, Airflow; landings and their truth stay
	find "$${SEGMENTATION_DATA_DIR:-data}" -mindepth 2 -maxdepth 2 -not -name landing -not -name truth -exec rm -rf {} +
