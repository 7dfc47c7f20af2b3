"""What a run asks of a warehouse engine. Only the engines behind it know which one they are."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

Row = tuple[Any, ...]
Query = tuple[str, Sequence[object]]
"""A query with its parameters."""
Work = Callable[[Callable[[str], Iterator[pa.RecordBatch]]], Iterator[tuple[pa.Table, dict[str, list[int]]]]]
"""What is made of some customers: it reads queries by name, and yields rows of a table with figures about them."""


class Warehouse(Protocol):
    """An open warehouse. Table names are `schema.table`; values travel as parameters, never in the SQL text."""

    facts_grow_by_file: bool
    """Whether dbt takes up the rows of new landing files alone; else it builds the facts from all of them."""

    def __enter__(self) -> Self:
        """Return the open warehouse."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a query, or of a statement, as tuples."""
        ...

    def batches(self, sql: str, parameters: Sequence[object], batch_size: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query in batches of at most `batch_size` rows."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside take effect together, or none does."""
        ...

    def has_table(self, table: str) -> bool:
        """Say whether the table exists."""
        ...

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table with their types, in their order."""
        ...

    def append(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table, columns matched by name."""
        ...

    def delete(self, table: str, key: Mapping[str, object]) -> None:
        """Take away the rows with the key's values; where the table is large, by columns that its rows are kept by."""
        ...

    def copy_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        """Append the origin's rows with the key's values to the destination, in the columns that it has."""
        ...

    def replace_rows(self, table: str, key: Mapping[str, object], old: tuple[str, Sequence[object]], new: str) -> None:
        """Put the rows of a temporary table in the place of those with the key's values that meet a condition.

        old: the condition in SQL with `$1` and on for its parameters, and these. new: made by `create_temporary`.
        """
        ...

    def create_temporary(self, name: str, rows: str | pa.Table, parameters: Sequence[object] = ()) -> None:
        """Create a table that only this process sees, from a query or from rows; replaces one of the same name."""
        ...

    def drop_temporary(self, *names: str) -> None:
        """Let go of temporary tables, where they are there."""
        ...

    def move_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        """Replace the destination's rows with the key's values by the origin's; the destination gains new columns."""
        ...

    def compute_by_customer(
        self, table: str, queries: Mapping[str, Query | pa.Table], work: Work, batch_size: int
    ) -> Iterator[Mapping[str, list[int]]]:
        """Append to a table what some work makes of every customer, wherever the engine has it done; yield its figures.

        queries: by the name that the work reads them by; each gives the customer's id first, sorted by it. The engine
        may cut the customers into parts, and give all rows of a customer to the same part.
        """
        ...

    def marts_file(self, folder: Path) -> AbstractContextManager[Path]:
        """Give a DuckDB file with the marts in its schema `marts`; what has to be made for it lies in the folder."""
        ...

    def content_hash(self, table: str, key: Mapping[str, object]) -> str:
        """Return a hash of the rows with the key's values: equal content, equal hash, on every engine."""
        ...

    def give_back_room(self) -> None:
        """Let new rows take the room of deleted ones; outside a transaction."""
        ...

    def bytes_in_use(self) -> int:
        """Return the bytes that the rows take on disk, without the room that is free for new ones."""
        ...

    def feature_sql(
        self, schema: str, columns_by_table: Mapping[str, Sequence[str]], text_columns: Collection[str]
    ) -> str:
        """Return the query for (customer_id, features in the given order) of one as-of date parameter.

        Features come as doubles, those among text_columns ("table.column") as texts.
        """
        ...

    def sampled_customers(self, schema: str, as_of: date, sample_size: int) -> list[str]:
        """Return the ids, sorted, of the customers whose hashed id is smallest; the same on every engine."""
        ...
