"""What the gate asks of the engine that holds a warehouse; all else is the same text on each of them."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from segmentation_job.settings import Settings


class GateStore(Protocol):
    """A warehouse as the gate reads it: one class for each engine.

    `functions` are statements that create the functions that suites call beside those of the SQL that the engines
    share: `days_between(start, end)`, `months_after(day, months)`, `is_blank(text)`, `isfinite(number)`. `quintiles`
    is the expression for the inner quintiles of `value`, as distribution_shift.py reads it.
    """

    functions: tuple[str, ...]
    quintiles: str

    def connected(self) -> AbstractContextManager[str]:
        """Yield the address by which SQLAlchemy reads the warehouse; it is free for a writer afterwards.

        The address's dialect has a method `show(statements)`, which creates temporary functions and views in the
        place of those that it created last, and its connections `execute(statement, parameters)` as DuckDB's have.
        """
        ...

    def tables(self, connection: Any) -> set[tuple[str, str]]:
        """Return schema and name of every table and view, as the models name them."""
        ...

    def name(self, schema: str, table: str) -> str:
        """Return how SQL names a table of a schema."""
        ...


def gate_store(settings: Settings) -> GateStore:
    """Return the warehouse of the settings' source on the engine that they name; nothing is opened yet."""
    if settings.target == "spark":
        from segmentation_job.gate.spark_store import SparkStore

        return SparkStore.of(settings)
    from segmentation_job.gate.duckdb_store import DuckDBStore

    return DuckDBStore(settings.warehouse_path, threads=settings.threads, memory_limit=settings.memory_limit)
