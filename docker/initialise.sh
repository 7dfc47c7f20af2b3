#!/bin/sh
# Runs to its end before any part of Airflow starts; again after an upgrade it migrates.
set -eu

airflow db migrate
airflow pools set duckdb_writer 1 "One writer at a time: DuckDB locks its file against a second process"

# The simple auth manager reads its passwords from a file that it must be able to write.
umask 077
python -c '
import json, os, pathlib
path = pathlib.Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
path.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}) + "\n")
'
