"""Promoted and candidate features as a matrix, and as a hash of their content."""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute

from segmentation_job.segments.encoding import FloatArray
from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES

READ_AT_A_TIME = 250_000


def features_hash(warehouse: Warehouse, schema: str, as_of: date) -> str:
    """Return a hash of the features of a date, over all four tables; it begins with the number of customers."""
    return "/".join(warehouse.content_hash(f"{schema}.{table}", {"as_of_date": as_of}) for table in FEATURE_TABLES)


def read_batches(
    warehouse: Warehouse, schema: str, as_of: date, columns: Sequence[str], batch_size: int
) -> Iterator[tuple[pa.Array, FloatArray]]:
    """Yield ids, sorted, and features (n, d) of a date's customers, NaN where null.

    columns: "table.column", in the order of the matrix. batch_size: customers at a time.
    """
    by_table: dict[str, list[str]] = {}
    for name in columns:
        table, _, column = name.partition(".")
        by_table.setdefault(table, []).append(column)
    for batch in warehouse.batches(warehouse.feature_sql(schema, by_table), (as_of,), batch_size):
        # The query groups the columns by table.
        arrays = [batch.column(batch.schema.get_field_index(name)) for name in columns]
        matrix = [array.to_numpy(zero_copy_only=False).astype(np.float64) for array in arrays]
        yield batch.column(0), np.column_stack(matrix)


def read_values(
    warehouse: Warehouse, schema: str, as_of: date, columns: Sequence[str], customers: list[str] | None = None
) -> tuple[list[str], FloatArray]:
    """Return the ids, sorted, and features (n, d) of a date's customers, or of those given."""
    ids: list[str] = []
    parts: list[FloatArray] = []
    wanted = None if customers is None else pa.array(customers, pa.string())
    for found, values in read_batches(warehouse, schema, as_of, columns, READ_AT_A_TIME):
        chosen = None if wanted is None else pa.compute.is_in(found, wanted)
        ids.extend((found if chosen is None else found.filter(chosen)).to_pylist())
        parts.append(values if chosen is None else values[chosen.to_numpy(zero_copy_only=False)])
    return ids, np.concatenate(parts) if parts else np.empty((0, len(columns)))


def has_columns(warehouse: Warehouse, schema: str, columns: Sequence[str]) -> bool:
    """Say whether every "table.column" still exists."""
    existing = {f"{table}.{column}" for table in FEATURE_TABLES for column in warehouse.columns(f"{schema}.{table}")}
    return existing.issuperset(columns)
