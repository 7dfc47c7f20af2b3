"""Two published files, table by table and row by row, exactly: what two engines, or two ways to one date, must share.

python -m tests.support.published_comparison one.duckdb other.duckdb
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

_SHOWN_ROWS = 3

NOT_COMPARED: Mapping[str, Mapping[str, str]] = {
    "run_log": {
        "run_id": "drawn anew by each run",
        "started_at": "the time of day at which a step began",
        "ended_at": "the time of day at which a step ended",
        "details": "names the published file, whose name holds the time of day, and how the facts were built",
    },
}
"""Reviewed: by table, the columns that two runs of the same dates may differ in, each with its reason."""


@dataclass(frozen=True)
class PublishedDifference:
    """How a table of one published file differs from that of another.

    columns: those that differ in name, order or type, in words. rows: of each file. only_in_one, only_in_other: the
    first rows that the other file does not have so often, each with how many there are.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[int, int]
    only_in_one: tuple[int, tuple[str, ...]]
    only_in_other: tuple[int, tuple[str, ...]]

    def __str__(self) -> str:
        lines = [f"{self.table}: {self.rows[0]:,} rows against {self.rows[1]:,}", *self.columns]
        for where, (count, first) in (("the first", self.only_in_one), ("the second", self.only_in_other)):
            if count:
                lines += [f"{count:,} rows only in {where} file, such as", *first]
        return "\n  ".join(lines)


def compare_published(
    one: Path, other: Path, not_compared: Mapping[str, Mapping[str, str]] = NOT_COMPARED
) -> list[PublishedDifference]:
    """Return how each table or view that is not the same differs; the order of rows says nothing.

    The rows are compared inside the engine and each is counted as often as it stands there. Columns of another name,
    order or type are a difference, and so is a table that one file lacks.

    Parameters: `one` and `other`, the files; `not_compared`, by table, columns to leave out with their reasons.
    Raises: ValueError for a file without tables, or for a column to leave out that a file's table does not have.
    """
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("other", other)):
            quoted = str(path.resolve()).replace("'", "''")
            connection.execute(f"attach '{quoted}' as {name}_file (read_only)")
        described = {name: _columns(connection, f"{name}_file") for name in ("one", "other")}
        for path, tables in zip((one, other), described.values(), strict=True):
            if not tables:
                raise ValueError(f"{path} has no tables")
            for table, columns in not_compared.items():
                if unknown := set(columns) - set(tables.get(table, dict.fromkeys(columns, ""))):
                    raise ValueError(f"{path}: {table} has no column {sorted(unknown)[0]} to leave out")
        found = (
            _difference(connection, table, described["one"].get(table), described["other"].get(table), not_compared)
            for table in sorted(described["one"].keys() | described["other"].keys())
        )
        return [difference for difference in found if difference is not None]


def _columns(connection: duckdb.DuckDBPyConnection, file: str) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_catalog = ? and table_schema = 'main' order by table_name, ordinal_position",
        [file],
    ).fetchall():
        tables.setdefault(table, {})[column] = kind
    return tables


def _difference(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    one: dict[str, str] | None,
    other: dict[str, str] | None,
    not_compared: Mapping[str, Mapping[str, str]],
) -> PublishedDifference | None:
    counts = tuple(
        0 if columns is None else int(_rows(connection, f'select count(*) from {name}_file.main."{table}"')[0][0])
        for name, columns in (("one", one), ("other", other))
    )
    if one is None or other is None:
        lacks = f"the {'first' if one is None else 'second'} file has no such table"
        return PublishedDifference(table, (lacks,), (counts[0], counts[1]), (0, ()), (0, ()))
    words = tuple(
        f"column {column} is {one.get(column, 'missing')} against {other.get(column, 'missing')}"
        for column in dict.fromkeys([*one, *other])
        if one.get(column) != other.get(column)
    )
    if not words and list(one) != list(other):
        words = (f"columns in the order {', '.join(one)} against {', '.join(other)}",)
    compared = [column for column in one if column in other and column not in not_compared.get(table, {})]
    chosen = ", ".join(f'"{column}"' for column in compared)
    only = []
    for name, another in (("one", "other"), ("other", "one")):
        rows = (
            f'select {chosen} from {name}_file.main."{table}"'
            f' except all select {chosen} from {another}_file.main."{table}"'
        )
        count = int(_rows(connection, f"select count(*) from ({rows})")[0][0])
        first = _rows(connection, f"from ({rows}) order by all limit {_SHOWN_ROWS}") if count else []
        only.append((count, tuple(str(dict(zip(compared, row, strict=True))) for row in first)))
    if not words and not only[0][0] and not only[1][0]:
        return None
    return PublishedDifference(table, words, (counts[0], counts[1]), only[0], only[1])


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return connection.execute(sql).fetchall()


if __name__ == "__main__":
    differing = compare_published(Path(sys.argv[1]), Path(sys.argv[2]))
    for difference in differing:
        print(difference)
    print(f"{len(differing)} tables differ." if differing else "Every published table is the same in both files.")
    raise SystemExit(bool(differing))
