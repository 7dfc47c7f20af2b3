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

    # By inheritance PostgreSQL's catalogue is asked, which DuckDB mimics in fifty milliseconds a table.
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """Return a table's columns as DuckDB describes them."""
        name = ".".join(self.identifier_preparer.quote_identifier(part) for part in (schema, table_name) if part)
        return [
            {
                "name": column,
                "type": self._reflect_type(
                    data_type.lower(), {}, {}, type_description=f"column {column!r}", collation=None
                ),
                "nullable": True,
                "default": None,
                "comment": None,
            }
            for column, data_type, *_ in connection.exec_driver_sql(f"describe {name}")
        ]

    def get_pk_constraint(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return that there is none: what is judged are views."""
        return {"constrained_columns": [], "name": None}

    # Great Expectations fetches after its connection went back to the pool; the rollback of that return
    # would drop DuckDB's pending result.
    def do_begin(self, connection: Any) -> None:
        """Do nothing: a read-only session needs no transaction."""

    def do_commit(self, connection: Any) -> None:
        """Do nothing: there is nothing to commit."""

    def do_rollback(self, connection: Any) -> None:
        """Do nothing: a rollback would drop the result that is still to be fetched."""
