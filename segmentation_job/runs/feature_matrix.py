"""Promoted and candidate features as the algorithms take them, and as a hash of their content."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute

from segmentation_job.errors import SegmentationError
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.warehouse.interface import Query, Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES

READ_AT_A_TIME = 250_000
CUSTOMERS_QUERY = "customers"


class Features(Protocol):
    """The features of some dates: of everybody, or of the customers that one machine has to work on."""

    @property
    def arrivals(self) -> tuple[date, ...]:
        """Return the days on which some customer was seen first, ascending."""
        ...

    def batches(
        self, day: date, columns: Sequence[str], text_columns: Collection[str]
    ) -> Iterator[tuple[pa.Array, FeatureValues]]:
        """Yield ids, sorted, and features of a date's customers."""
        ...

    def customers(self, day: date) -> pa.Array:
        """Return the ids of a date's customers, sorted."""
        ...


@dataclass(frozen=True)
class ReadFeatures:
    """The features of the dates of some queries, as whoever runs a piece of work reads them. All have the same columns.

    read: gives the rows of a query by its name; see `queries_for`.
    """

    read: Callable[[str], Iterator[pa.RecordBatch]]
    arrivals: tuple[date, ...]

    def batches(
        self, day: date, columns: Sequence[str], text_columns: Collection[str]
    ) -> Iterator[tuple[pa.Array, FeatureValues]]:
        """Yield ids, sorted, and features of a date's customers."""
        for batch in self.read(day.isoformat()):
            yield batch.column(0), values_of(pa.Table.from_batches([batch]), columns, text_columns)

    def customers(self, day: date) -> pa.Array:  # noqa: ARG002 - the work is for one date
        """Return the ids of the customers of the date that the work is for, sorted."""
        parts = [batch.column(0) for batch in self.read(CUSTOMERS_QUERY)]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


@dataclass(frozen=True)
class DatedFeatures:
    """The features of every date that a run may read: of those that it computes the candidate, else the promoted.

    computed: the dates that this run computes. batch_size: customers read at a time. arrivals: ascending, the days
    on which some customer was seen first.
    """

    warehouse: Warehouse
    computed: frozenset[date]
    batch_size: int
    arrivals: tuple[date, ...]
    _hashes: dict[date, str] = field(default_factory=dict, compare=False, repr=False)

    def schema(self, day: date) -> str:
        """Where the features of a date lie."""
        return "candidate" if day in self.computed else "promoted"

    def has(self, days: Collection[date]) -> bool:
        """Say whether the features of all dates are there."""
        missing = {day for day in days if day not in self.computed}
        if not missing:
            return True
        kept = {day for (day,) in self.warehouse.rows("select as_of_date from promoted.dates")}
        return missing <= kept

    def batches(
        self, day: date, columns: Sequence[str], text_columns: Collection[str]
    ) -> Iterator[tuple[pa.Array, FeatureValues]]:
        """Yield ids, sorted, and features of a date's customers; raise SegmentationError where it is not kept."""
        self._require([day])
        return read_batches(self.warehouse, self.schema(day), day, columns, text_columns, self.batch_size)

    def values(
        self, day: date, columns: Sequence[str], text_columns: Collection[str], customers: list[str] | None = None
    ) -> tuple[list[str], FeatureValues]:
        """Return the ids, sorted, and features (n, d) of a date's customers, or of those given."""
        return read_values(self.warehouse, self.schema(day), day, columns, text_columns, customers)

    def has_columns(self, day: date, columns: Sequence[str]) -> bool:
        """Say whether every "table.column" still exists."""
        return has_columns(self.warehouse, self.schema(day), columns)

    def queries_for(
        self, as_of: date, days: Collection[date], columns: Sequence[str], text_columns: Collection[str]
    ) -> dict[str, Query]:
        """Return what `ReadFeatures` reads: the customers of a date, and features of some dates.

        Raises SegmentationError where the features of one are not kept.
        """
        self._require(days)
        by_table = columns_by_table(columns)
        return {CUSTOMERS_QUERY: self._customers_query(as_of)} | {
            day.isoformat(): (self.warehouse.feature_sql(self.schema(day), by_table, text_columns), (day,))
            for day in sorted(days)
        }

    def _require(self, days: Collection[date]) -> None:
        for day in sorted(days):
            if not self.has([day]):
                raise SegmentationError(
                    f"The features of {day} are needed and are not kept: build the features of the run again, "
                    "which computes them."
                )

    def _customers_query(self, day: date) -> Query:
        table = f"{self.schema(day)}.purchase_features"
        return f"select customer_id from {table} where as_of_date = ? order by customer_id", (day,)

    def customers(self, day: date) -> pa.Array:
        """Return the ids of a date's customers, sorted."""
        sql, parameters = self._customers_query(day)
        parts = [batch.column(0) for batch in self.warehouse.batches(sql, parameters, READ_AT_A_TIME)]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())

    def content(self, day: date) -> str:
        """Return the hash of a date's features; empty where there are none."""
        if day in self.computed:
            # The candidate of a date stays what it is while a step reads it.
            if day not in self._hashes:
                self._hashes[day] = features_hash(self.warehouse, "candidate", day)
            return self._hashes[day]
        found = self.warehouse.rows("select content_hash from promoted.dates where as_of_date = ?", (day,))
        return str(found[0][0]) if found else ""


def features_hash(warehouse: Warehouse, schema: str, as_of: date) -> str:
    """Return a hash of the features of a date, over all four tables; it begins with the number of customers."""
    return "/".join(warehouse.content_hash(f"{schema}.{table}", {"as_of_date": as_of}) for table in FEATURE_TABLES)


def read_batches(
    warehouse: Warehouse,
    schema: str,
    as_of: date,
    columns: Sequence[str],
    text_columns: Collection[str],
    batch_size: int,
) -> Iterator[tuple[pa.Array, FeatureValues]]:
    """Yield ids, sorted, and features (n, d) of a date's customers, NaN where null.

    columns: "table.column", in the order of the matrix. text_columns: those of them that are read as texts.
    batch_size: customers at a time.
    """
    for batch in _batches(warehouse, schema, as_of, columns, text_columns, batch_size):
        yield batch.column(0), values_of(pa.Table.from_batches([batch]), columns, text_columns)


def read_values(
    warehouse: Warehouse,
    schema: str,
    as_of: date,
    columns: Sequence[str],
    text_columns: Collection[str],
    customers: list[str] | None = None,
) -> tuple[list[str], FeatureValues]:
    """Return the ids, sorted, and features (n, d) of a date's customers, or of those given."""
    wanted = None if customers is None else pa.array(customers, pa.string())
    parts = [
        batch if wanted is None else batch.filter(pa.compute.is_in(batch.column(0), wanted))
        for batch in _batches(warehouse, schema, as_of, columns, text_columns, READ_AT_A_TIME)
    ]
    if not parts:
        return [], FeatureValues(
            np.empty((0, len(columns))), {index: () for index, name in enumerate(columns) if name in text_columns}
        )
    table = pa.Table.from_batches(parts)
    return table.column(0).to_pylist(), values_of(table, columns, text_columns)


def has_columns(warehouse: Warehouse, schema: str, columns: Sequence[str]) -> bool:
    """Say whether every "table.column" still exists."""
    existing = {f"{table}.{column}" for table in FEATURE_TABLES for column in warehouse.columns(f"{schema}.{table}")}
    return existing.issuperset(columns)


def _batches(
    warehouse: Warehouse,
    schema: str,
    as_of: date,
    columns: Sequence[str],
    text_columns: Collection[str],
    batch_size: int,
) -> Iterator[pa.RecordBatch]:
    sql = warehouse.feature_sql(schema, columns_by_table(columns), text_columns)
    return warehouse.batches(sql, (as_of,), batch_size)


def columns_by_table(columns: Sequence[str]) -> dict[str, list[str]]:
    """Return "table.column" by table, each in the given order."""
    by_table: dict[str, list[str]] = {}
    for name in columns:
        table, _, column = name.partition(".")
        by_table.setdefault(table, []).append(column)
    return by_table


def values_of(table: pa.Table, columns: Sequence[str], text_columns: Collection[str]) -> FeatureValues:
    """The columns of a table side by side, in the given order (n, d), NaN where null; texts as such."""
    numbers = np.empty((table.num_rows, len(columns)), dtype=np.float64)
    texts: dict[int, tuple[str, ...]] = {}
    for index, name in enumerate(columns):
        column = table.column(name)
        if name in text_columns:
            coded = column.combine_chunks().dictionary_encode()
            texts[index] = tuple(coded.dictionary.to_pylist())
            column = coded.indices.cast(pa.float64())
        numbers[:, index] = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    return FeatureValues(numbers, texts)
