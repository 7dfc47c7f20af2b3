"""Rows of whole schemas as text, types included, so that two files can be compared."""

from collections.abc import Collection
from dataclasses import dataclass
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


@dataclass(frozen=True)
class TableDifference:
    """How the rows of a table differ from those of its reference, each row counted as often as it stands there.

    compared: rows of the reference. lost: rows that it alone has. added: rows that it does not have, or not so often;
    doubled: those of them that it has.
    """

    compared: int
    lost: int
    added: int
    doubled: int

    @property
    def different(self) -> int:
        return self.lost + self.added


def count_differences(
    path: Path, reference: Path, schema: str, leave_out: Collection[str] = ()
) -> dict[str, TableDifference]:
    """Compare every table of a schema with the reference's of the same name, inside the engine; views are left out.

    A table that one of the two lacks counts as one without rows.
    """
    found: dict[str, TableDifference] = {}
    with duckdb.connect() as connection:
        for name, file in (("own", path), ("reference", reference)):
            quoted = str(file.resolve()).replace("'", "''")
            connection.execute(f"attach '{quoted}' as {name}_file (read_only)")
        tables = {
            name: {
                str(table)
                for (table,) in connection.execute(
                    "select table_name from duckdb_tables() where database_name = ? and schema_name = ?",
                    [f"{name}_file", schema],
                ).fetchall()
            }
            for name in ("own", "reference")
        }

        def count(sql: str) -> int:
            return int(connection.execute(f"select count(*) from ({sql})").fetchall()[0][0])

        for table in sorted((tables["own"] | tables["reference"]) - set(leave_out)):
            own, other = f"own_file.{schema}.{table}", f"reference_file.{schema}.{table}"
            if table not in tables["own"]:
                rows = count(f"from {other}")
                found[table] = TableDifference(rows, rows, 0, 0)
            elif table not in tables["reference"]:
                found[table] = TableDifference(0, 0, count(f"from {own}"), 0)
            else:
                added = f"select * from {own} except all select * from {other}"
                found[table] = TableDifference(
                    count(f"from {other}"),
                    count(f"select * from {other} except all select * from {own}"),
                    count(added),
                    count(f"({added}) intersect all select * from {other}"),
                )
    return found
