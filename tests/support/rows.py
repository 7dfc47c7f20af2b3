"""Rows of whole schemas as text, types included, so that two files can be compared."""

from collections.abc import Collection
from pathlib import Path

import duckdb

Rows = dict[str, list[tuple[str, ...]]]


def schema_rows(path: Path, schema: str, leave_out: Collection[str] = ()) -> Rows:
    """Return the rows of every table and view of a schema, sorted, each value as Python writes it.

    The first row of a table holds its columns with their types.
    """
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = ? order by 1", [schema]
        ).fetchall()
        found: Rows = {}
        for (name,) in names:
            if name in leave_out:
                continue
            described = connection.execute(f"describe select * from {schema}.{name}").fetchall()
            rows = connection.execute(f"select * from {schema}.{name}").fetchall()
            found[name] = [
                tuple(f"{column} {kind}" for column, kind, *_ in described),
                *sorted(tuple(map(repr, row)) for row in rows),
            ]
    return found


def published_rows(path: Path) -> Rows:
    """Return the rows of every published table and view but those that keep the order and the times of runs."""
    return schema_rows(path, "main", leave_out={"run_log", "registry_events"})


def differences(left: Rows, right: Rows) -> dict[str, tuple[object, object]]:
    """Return, by table, a few rows that only the left and only the right has; empty where all are equal."""
    found: dict[str, tuple[object, object]] = {}
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            found[name] = ("there", "missing") if name in left else ("missing", "there")
        elif left[name] != right[name]:
            only_left = sorted(set(left[name]) - set(right[name]))
            only_right = sorted(set(right[name]) - set(left[name]))
            found[name] = (
                (len(left[name]) - 1, only_left[:3]),
                (len(right[name]) - 1, only_right[:3]),
            )
    return found
