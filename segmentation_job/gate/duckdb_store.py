"""A DuckDB file as the gate reads it: read-only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DuckDBStore:
    """A warehouse file.

    Parameters: `path`, the file; `threads` and `memory_limit` (such as `4GB`), the bounds of DuckDB.
    """

    functions: tuple[str, ...] = (
        "create or replace temp macro days_between(start_day, end_day) as end_day - start_day",
        "create or replace temp macro months_after(day, months) as cast(day + to_months(months) as date)",
        "create or replace temp macro is_blank(content) as length(trim(content)) = 0",
    )
    quintiles = "quantile_disc(value, [0.2, 0.4, 0.6, 0.8])"

    def __init__(self, path: Path, *, threads: int, memory_limit: str) -> None:
        self._path = path
        self._options: dict[str, str | bool | int | float | list[str]] = {
            "threads": str(threads),
            "memory_limit": memory_limit,
        }

    @contextmanager
    def connected(self) -> Iterator[str]:
        """Yield the file's address for SQLAlchemy.

        Raises: WarehouseLockedError where a writer holds the file; duckdb.IOException where it is missing.
        """
        import sqlalchemy
        from sqlalchemy.dialects import registry

        self._require_readable()
        registry.register("duckdb.readonly", "segmentation_job.gate.readonly_dialect", "ReadOnlyDuckDB")
        yield sqlalchemy.URL.create(
            "duckdb+readonly",
            database=str(self._path.resolve()),
            query={key: str(value) for key, value in self._options.items()},
        ).render_as_string(hide_password=False)

    def _require_readable(self) -> None:
        # A plain connection first, so that a locked or missing file raises DuckDB's own error.
        import duckdb

        from segmentation_job.lock_holder import locks_explained

        with locks_explained(self._path):
            duckdb.connect(str(self._path), read_only=True, config=self._options).close()

    def tables(self, connection: Any) -> set[tuple[str, str]]:
        """Return schema and name of every table and view."""
        return set(
            connection.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
                " union all"
                " select schema_name, view_name from duckdb_views() where database_name = current_database()"
            ).fetchall()
        )

    def name(self, schema: str, table: str) -> str:
        """Return schema and table with a dot between them."""
        return f"{schema}.{table}"
