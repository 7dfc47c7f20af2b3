"""The tables of two engines, row for row and to the last digit: DuckDB's file against Spark's metastore."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SHOWN_ROWS = 3
_CANDIDATES = 300


@dataclass(frozen=True)
class TableDifference:
    """How a table of DuckDB differs from the same table of Spark.

    columns: those that only one of them has, or that have another type, in words. rows: of each. only_in_duckdb,
    only_in_spark: rows that the other does not have, as often. examples: the first of them, in words.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[int, int]
    only_in_duckdb: int
    only_in_spark: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.table}: {self.rows[0]:,} rows in DuckDB, {self.rows[1]:,} in Spark; {self.only_in_duckdb:,} "
                f"only in DuckDB, {self.only_in_spark:,} only in Spark",
                *(f"  {words}" for words in (*self.columns, *self.examples)),
            ]
        )


def comparable(table: pa.Table) -> pa.Table:
    """Return a table in types that both engines share.

    Integers of every width become 64 bits, moments lose their zone (both are UTC), decimals keep their scale and take
    the largest precision, a column of nothing but nulls has a type, and the columns are in the order of their names.
    """
    columns = {name: table.column(name) for name in sorted(table.column_names)}
    return pa.table({name: column.cast(_shared_type(column.type)) for name, column in columns.items()})


def _shared_type(given: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(given):
        return _shared_type(given.value_type)
    if pa.types.is_integer(given):
        return pa.int64()
    if pa.types.is_timestamp(given):
        return pa.timestamp("us")
    if pa.types.is_decimal(given):
        return pa.decimal128(38, given.scale)
    if pa.types.is_large_string(given) or pa.types.is_null(given):
        return pa.string()
    if pa.types.is_list(given) or pa.types.is_large_list(given):
        return pa.list_(_shared_type(given.value_type))
    return given


def difference(
    name: str, of_duckdb: pa.Table, of_spark: pa.Table, ignored: Collection[str] = ()
) -> TableDifference | None:
    """Return how two tables differ, None where they hold the same rows; the order of rows and columns says nothing.

    ignored: columns that only one engine's layout needs.
    """
    left = comparable(of_duckdb.drop_columns([column for column in ignored if column in of_duckdb.column_names]))
    right = comparable(of_spark.drop_columns([column for column in ignored if column in of_spark.column_names]))
    columns = tuple(
        f"column {column}: {left.schema.field(column).type if column in left.column_names else 'missing'} in DuckDB, "
        f"{right.schema.field(column).type if column in right.column_names else 'missing'} in Spark"
        for column in sorted({*left.column_names, *right.column_names})
        if column not in left.column_names
        or column not in right.column_names
        or left.schema.field(column).type != right.schema.field(column).type
    )
    shared = [column for column in left.column_names if column in right.column_names]
    with duckdb.connect() as connection:
        connection.register("of_duckdb", left.select(shared))
        connection.register("of_spark", right.select(shared))
        missing = connection.sql("select * from of_duckdb except all select * from of_spark").to_arrow_table()
        surplus = connection.sql("select * from of_spark except all select * from of_duckdb").to_arrow_table()
    if not columns and not missing.num_rows and not surplus.num_rows:
        return None
    return TableDifference(
        name,
        columns,
        (left.num_rows, right.num_rows),
        missing.num_rows,
        surplus.num_rows,
        tuple(_examples(missing, surplus)),
    )


def _examples(missing: pa.Table, surplus: pa.Table) -> Iterable[str]:
    """Yield the first rows that differ, each beside the row of the other engine that is most like it."""
    others = surplus.slice(0, _CANDIDATES).to_pylist()
    for row in (
        missing.sort_by([(name, "ascending") for name in missing.column_names[:3]]).slice(0, _SHOWN_ROWS).to_pylist()
    ):
        like = max(others, key=lambda other: sum(row[name] == other[name] for name in row), default=None)
        if like is None:
            yield f"only in DuckDB: {row}"
            continue
        same = {name: value for name, value in row.items() if like[name] == value}
        apart = "; ".join(
            f"{name}: {row[name]!r} in DuckDB, {like[name]!r} in Spark" for name in row if name not in same
        )
        yield f"{_key(same)}: {apart}"
    if not missing.num_rows:
        yield from (f"only in Spark: {row}" for row in others[:_SHOWN_ROWS])


def _key(row: Mapping[str, Any]) -> str:
    found = {name: value for name, value in row.items() if isinstance(value, str) or name.endswith(("_date", "_id"))}
    return ", ".join(f"{name}={value}" for name, value in found.items())[:300]


def differences(
    warehouse: Path,
    spark: "SparkSession",
    source: str,
    layers: Iterable[str],
    *,
    omitted: Collection[str] = (),
    ignored: Collection[str] = (),
) -> tuple[list[str], list[TableDifference]]:
    """Compare every table and view of some layers; return the names of those compared, and how they differ.

    warehouse: DuckDB's file. source: before the layer's name in Spark's databases. omitted: tables that are not
    compared, as `layer.table`. Raises AssertionError where one engine has a table that the other lacks.
    """
    compared: list[str] = []
    found: list[TableDifference] = []
    with duckdb.connect(warehouse, read_only=True) as connection:
        for layer in layers:
            of_duckdb = {
                str(name)
                for (name,) in connection.execute(
                    "select table_name from information_schema.tables where table_schema = ?", [layer]
                ).fetchall()
            }
            of_spark = {table.name for table in spark.catalog.listTables(f"{source}_{layer}") if not table.isTemporary}
            kept = {name for name in of_duckdb | of_spark if f"{layer}.{name}" not in omitted}
            assert kept <= of_duckdb & of_spark, (
                f"{layer}: only in DuckDB {sorted(kept - of_spark)}, only in Spark {sorted(kept - of_duckdb)}"
            )
            for name in sorted(kept):
                found_here = difference(
                    f"{layer}.{name}",
                    connection.table(f"{layer}.{name}").to_arrow_table(),
                    spark.table(f"{source}_{layer}.{name}").toArrow(),
                    ignored,
                )
                compared.append(f"{layer}.{name}")
                if found_here:
                    found.append(found_here)
    return compared, found
