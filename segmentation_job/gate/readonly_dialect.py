"""The SQLAlchemy dialect `duckdb.readonly`: Great Expectations on a DuckDB file that it cannot change."""

from collections.abc import Sequence
from typing import Any

import duckdb_engine


class ReadOnlyDuckDB(duckdb_engine.Dialect):  # type: ignore[misc]
    """DuckDB opened read-only, each of its connections with the same temporary views."""

    driver = "readonly"
    supports_statement_cache = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._statements: tuple[str, ...] = ()
        self._connections: list[Any] = []
        self._columns: dict[tuple[str, str | None], list[Any]] = {}

    def show(self, statements: Sequence[str]) -> None:
        """Create views on the connections that are open and on those to come, in the place of the last ones."""
        self._statements = tuple(statements)
        for connection in self._connections:
            self._create_views(connection)

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Open the file read-only and create the views."""
        connection = super().connect(*arguments, read_only=True, **options)
        self._create_views(connection)
        self._connections.append(connection)
        return connection

    def do_close(self, connection: Any) -> None:
        """Close a connection and forget it."""
        self._connections = [opened for opened in self._connections if opened is not connection]
        super().do_close(connection)

    def _create_views(self, connection: Any) -> None:
        for statement in self._statements:
            connection.execute(statement)

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **options: Any) -> list[Any]:
        """Return a table's columns, asked for once: they are the same at every date of a file that does not change."""
        # Fifty milliseconds a table, for PostgreSQL's catalogue is asked, which DuckDB mimics.
        key = (table_name, schema)
        if key not in self._columns:
            self._columns[key] = list(super().get_columns(connection, table_name, schema=schema, **options))
        return [dict(column) for column in self._columns[key]]

    # Great Expectations fetches after its connection went back to the pool; the rollback of that return
    # would drop DuckDB's pending result.
    def do_begin(self, connection: Any) -> None:
        """Do nothing: a read-only session needs no transaction."""

    def do_commit(self, connection: Any) -> None:
        """Do nothing: there is nothing to commit."""

    def do_rollback(self, connection: Any) -> None:
        """Do nothing: a rollback would drop the result that is still to be fetched."""
