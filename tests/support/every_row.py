"""Reads every row of a published file with whatever DuckDB client there is: run as a process of its own."""

import hashlib
import json
import sys

import duckdb


def digests(connection: duckdb.DuckDBPyConnection) -> dict[str, list[object]]:
    """Return, by table and view, how many rows it has and a hash of their content."""
    found: dict[str, list[object]] = {}
    for (name,) in connection.execute(
        "select table_name from information_schema.tables where table_schema = 'main' order by table_name"
    ).fetchall():
        rows = sorted(repr(row) for row in connection.execute(f"select * from {name}").fetchall())
        found[name] = [len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()]
    return found


if __name__ == "__main__":
    with duckdb.connect(sys.argv[1], read_only=True) as published:
        print(json.dumps({"version": duckdb.__version__, "tables": digests(published)}))
