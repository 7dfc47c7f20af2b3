"""Promoted and candidate features as the algorithms take them, and as a hash of their content."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute

from segmentation_job.errors import SegmentationError
from segmentation_job.segments.encoding import FeatureValues
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES

READ_AT_A_TIME = 250_000


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
        if not self.has([day]):
            raise SegmentationError(
                f"The features of {day} are needed and are not kept: build the features of the run again, "
                "which computes them."
            )
        return read_batches(self.warehouse, self.schema(day), day, columns, text_columns, self.batch_size)

    def values(
        self, day: date, columns: Sequence[str], text_columns: Collection[str], customers: list[str] | None = None
    ) -> tuple[list[str], FeatureValues]:
        """Return the ids, sorted, and features (n, d) of a date's customers, or of those given."""
        return read_values(self.warehouse, self.schema(day), day, columns, text_columns, customers)

    def has_columns(self, day: date, columns: Sequence[str]) -> bool:
        """Say whether every "table.column" still exists."""
        return has_columns(self.warehouse, self.schema(day), columns)

    def customers(self, day: date) -> pa.Array:
        """Return the ids of a date's customers, sorted."""
        sql = f"select customer_id from {self.schema(day)}.purchase_features where as_of_date = ? order by customer_id"
        parts = [batch.column(0) for batch in self.warehouse.batches(sql, (day,), READ_AT_A_TIME)]
        return pa.concat_arrays(parts) if parts else pa.array([], pa.string())

    def content(self, day: date) -> str:
        """Return the hash of a date's features; empty where there are none."""
        if day in self.computed:
            return features_hash(self.warehouse, "candidate", day)
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
    by_table: dict[str, list[str]] = {}
    for name in columns:
        table, _, column = name.partition(".")
        by_table.setdefault(table, []).append(column)
    return warehouse.batches(warehouse.feature_sql(schema, by_table, text_columns), (as_of,), batch_size)


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
