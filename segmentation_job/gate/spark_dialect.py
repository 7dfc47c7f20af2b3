"""The SQLAlchemy dialect `spark.connect`: Great Expectations on a session of Spark Connect.

The module is a small driver (PEP 249) for a session that is open already, and the dialect of its SQL. Both of the
engines that Great Expectations makes for a data source read the same session, so that a view is created once. Great
Expectations' own Spark engine is not used: it reads a batch as one data frame, knows no query for offending rows that
could be run again, and judges with other code than on DuckDB.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from uuid import uuid4

from sqlalchemy import types
from sqlalchemy.engine import URL, default
from sqlalchemy.sql import compiler

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"


class Error(Exception):
    """What Spark said of a statement, in its first line."""


class DatabaseError(Error):
    """The same: Spark's errors are not told apart."""


class _SharedSession:
    """A Spark session and the statements that created its views and functions."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._shown: tuple[str, ...] = ()

    def show(self, statements: Sequence[str]) -> None:
        """Create views and functions, but for those that are there already."""
        connection = Connection(self.session)
        for statement in statements:
            if statement not in self._shown:
                connection.execute(statement)
        self._shown = tuple(statements)


_OPEN: dict[str, _SharedSession] = {}


@contextmanager
def address_of(session: Any) -> Iterator[str]:
    """Yield the address under which engines of this process reach a Spark session."""
    name = f"session-{uuid4().hex}"
    _OPEN[name] = _SharedSession(session)
    try:
        yield f"spark+connect://{name}"
    finally:
        del _OPEN[name]


class Cursor:
    """A statement's result, fetched whole when it is executed: what a gate asks for is small."""

    arraysize = 1
    rowcount = -1

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self.description: list[tuple[Any, ...]] | None = None

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> "Cursor":
        """Run a statement with its `?` taken from the parameters; raise Error where Spark refuses it."""
        try:
            result = self._session.sql(statement, args=list(parameters) or None).toArrow()
        except Exception as error:
            raise DatabaseError(str(error).strip().partition("\n")[0]) from error
        self.description = [(name, None, None, None, None, None, None) for name in _distinct(result.column_names)]
        # By position, because two columns may have one name.
        self._rows = iter(list(zip(*(column.to_pylist() for column in result.columns), strict=True)))
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None after the last."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return the next rows, one where no number is given."""
        return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        return list(self._rows)

    def close(self) -> None:
        """Do nothing: the result is here already."""


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the columns whose name came before, as DuckDB does: `a`, `a_1`."""
    return [f"{name}_{count}" if (count := names[:index].count(name)) else name for index, name in enumerate(names)]


class Connection:
    """A session as the drivers of databases have it; it has no transactions."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def cursor(self) -> Cursor:
        """Return a cursor of the session."""
        return Cursor(self._session)

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run a statement on a cursor of its own and return it."""
        return self.cursor().execute(statement, parameters)

    def commit(self) -> None:
        """Do nothing: there is nothing to commit."""

    def rollback(self) -> None:
        """Do nothing: there is nothing to roll back."""

    def close(self) -> None:
        """Do nothing: who opened the session ends it."""


class _Identifiers(compiler.IdentifierPreparer):
    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect, initial_quote="`")


_TYPES: dict[str, Any] = {
    "boolean": types.Boolean,
    "smallint": types.SmallInteger,
    "int": types.Integer,
    "bigint": types.BigInteger,
    "float": types.Float,
    "double": types.Float,
    "decimal": types.Numeric,
    "date": types.Date,
    "timestamp": types.DateTime,
    "string": types.String,
}


class SparkConnect(default.DefaultDialect):
    """The SQL of a Spark session in this process, as far as reading goes."""

    name = "spark"
    driver = "connect"
    preparer: type[compiler.IdentifierPreparer] = _Identifiers
    supports_statement_cache = False
    supports_native_boolean = True
    supports_native_decimal = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return this module, which is its own driver."""
        return sys.modules[__name__]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._shared: _SharedSession | None = None

    def create_connect_args(self, url: URL) -> Any:
        """Return the name of the session in the address."""
        self._shared = _OPEN[str(url.host)]
        return [], {}

    def connect(self, *_: Any, **__: Any) -> Any:
        """Return a connection to the session of the address."""
        assert self._shared is not None
        return Connection(self._shared.session)

    def show(self, statements: Sequence[str]) -> None:
        """Create views and functions in the place of the last ones, for every engine on the session."""
        assert self._shared is not None
        self._shared.show(statements)

    def initialize(self, connection: Any) -> None:
        """Ask nothing of the server: it has one version and one way."""

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """Return a table's columns as Spark describes them."""
        name = ".".join(self.identifier_preparer.quote_identifier(part) for part in (schema, table_name) if part)
        columns = []
        for column, data_type, *_rest in connection.exec_driver_sql(f"describe {name}"):
            if not column or column.startswith("#"):
                break
            columns.append(
                {
                    "name": column,
                    "type": _TYPES.get(data_type.partition("(")[0], types.NullType)(),
                    "nullable": True,
                    "default": None,
                    "comment": None,
                }
            )
        return columns

    def get_pk_constraint(self, *_: Any, **__: Any) -> Any:
        """Return that there is none: what is judged are views."""
        return {"constrained_columns": [], "name": None}
