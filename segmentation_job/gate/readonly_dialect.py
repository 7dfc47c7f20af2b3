"""The SQLAlchemy dialect `duckdb.readonly`: Great Expectations on a DuckDB file that it cannot change."""

from datetime import date
from typing import Any

import duckdb_engine

from segmentation_job.gate.batch_views import create_batch_views


class ReadOnlyDuckDB(duckdb_engine.Dialect):  # type: ignore[misc]
    """DuckDB opened read-only, with the views of the batch date named in the URL's query."""

    driver = "readonly"
    supports_statement_cache = False

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Open the file read-only and create the batch views; `batch_date` comes from the URL."""
        batch_date = date.fromisoformat(options["url_config"].pop("batch_date"))
        connection = super().connect(*arguments, read_only=True, **options)
        create_batch_views(connection, batch_date)
        return connection

    # Great Expectations fetches after its connection went back to the pool; the rollback of that return
    # would drop DuckDB's pending result.
    def do_begin(self, connection: Any) -> None:
        """Do nothing: a read-only session needs no transaction."""

    def do_commit(self, connection: Any) -> None:
        """Do nothing: there is nothing to commit."""

    def do_rollback(self, connection: Any) -> None:
        """Do nothing: a rollback would drop the result that is still to be fetched."""
