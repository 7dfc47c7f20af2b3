"""A source's databases on Spark as the gate reads them: a session of its own over Spark Connect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segmentation_job import spark_session
from segmentation_job.settings import Settings

_LAYERS = ("candidate", "promoted", "intermediate", "staging")


class SparkStore:
    """A source's tables in databases `<source>_<layer>` of a Spark metastore.

    Parameters: `address`, of Spark Connect, such as `sc://127.0.0.1:15002`; `source`, the name before the layers'.
    """

    # A Spark before 4 has no functions in SQL. NaN is greater than infinity there as on DuckDB.
    functions: tuple[str, ...] = (
        "create or replace temporary function days_between(start_day date, end_day date)"
        " returns bigint return cast(date_diff(end_day, start_day) as bigint)",
        "create or replace temporary function months_after(day date, months bigint)"
        " returns date return add_months(day, cast(months as int))",
        # DuckDB trims whatever Unicode calls a space, Spark the space alone.
        r"create or replace temporary function is_blank(content string)"
        r" returns boolean return regexp_like(content, r'^\p{Zs}*$')",
        "create or replace temporary function isfinite(number double)"
        " returns boolean return abs(number) < double('infinity')",
    )
    # DuckDB counts the elements of a list from one, Spark from none.
    quintiles = "array_prepend(percentile_disc(array(0.2, 0.4, 0.6, 0.8)) within group (order by value), null)"

    def __init__(self, address: str, source: str) -> None:
        self._address = address
        self._source = source

    @classmethod
    def of(cls, settings: Settings) -> "SparkStore":
        """Return the store of the settings' source."""
        return cls(settings.spark_connect, settings.source)

    @contextmanager
    def connected(self) -> Iterator[str]:
        """Yield the address of a new session for SQLAlchemy; it ends afterwards, with its views and functions.

        Raises: MisconfiguredError where no Spark answers.
        """
        from sqlalchemy.dialects import registry

        from segmentation_job.gate.spark_dialect import address_of

        registry.register("spark.connect", "segmentation_job.gate.spark_dialect", "SparkConnect")
        # The outcomes carry what went wrong in one line; the client would log each with the server's stack.
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
        session = spark_session.connected(self._address)
        try:
            with address_of(session) as address:
                yield address
        finally:
            session.stop()

    def tables(self, connection: Any) -> set[tuple[str, str]]:
        """Return layer and name of every table and view of the source."""
        databases = {name for (name, *_) in connection.execute("show databases").fetchall()}
        return {
            (layer, name)
            for layer in _LAYERS
            if self._database(layer) in databases
            for (_, name, is_temporary) in connection.execute(f"show tables in {self._database(layer)}").fetchall()
            if not is_temporary
        }

    def name(self, schema: str, table: str) -> str:
        """Return the table's name with that of the source's database before it."""
        return f"{self._database(schema)}.{table}"

    def _database(self, layer: str) -> str:
        return f"{self._source}_{layer}"
