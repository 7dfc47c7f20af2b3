"""The warehouse on one machine: a DuckDB file that one process writes at a time."""

import hashlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from segmentation_job.lock_holder import locks_explained
from segmentation_job.warehouse.common_queries import columns_to_add, feature_query, key_condition, sample_query
from segmentation_job.warehouse.interface import Query, Row, Work
from segmentation_job.warehouse.tables import SCHEMAS, TABLES, TABLES_VERSION_TABLE


class DuckDBWarehouse:
    """A DuckDB file, opened for writing, with the pipeline's own tables in place.

    Raises WarehouseLockedError, which names the holder and the remedy, where another process has it open.
    """

    facts_grow_by_file = True

    def __init__(self, path: Path, *, threads: int, memory_limit: str) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with locks_explained(path):
            self._connection = duckdb.connect(str(path), config={"threads": threads, "memory_limit": memory_limit})
        # What a killed process had spilled: nobody else has the file open now, and DuckDB itself leaves it there.
        shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
        self._seen_tables: set[str] = set()
        self._connection.execute("set TimeZone = 'UTC'")
        self._put_tables_in_place()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _put_tables_in_place(self) -> None:
        """Create the pipeline's own tables, and bring those of an older version to this one's columns."""
        version = hashlib.sha256(repr(TABLES).encode()).hexdigest()
        for schema in SCHEMAS:
            self._connection.execute(f"create schema if not exists {schema}")
        self._connection.execute(f"create table if not exists {TABLES_VERSION_TABLE} (version varchar not null)")
        if self.rows(f"select version from {TABLES_VERSION_TABLE}") == [(version,)]:
            return
        with self.transaction():
            for table, columns in TABLES:
                self._connection.execute(f"create table if not exists {table} {columns}")
                self._connection.execute(f"create or replace temporary table wanted_table {columns}")
                self._bring_to(table, "wanted_table")
            self._connection.execute("drop table wanted_table")
            self._connection.execute(f"delete from {TABLES_VERSION_TABLE}")
            self._connection.execute(f"insert into {TABLES_VERSION_TABLE} values (?)", [version])

    def _bring_to(self, table: str, wanted_table: str) -> None:
        """Give a table the columns of another, the new ones last; in them, rows of an older version are null."""
        wanted, existing = self._column_definitions(wanted_table), self._column_definitions(table)
        for column, (kind, nullable) in wanted.items():
            if column not in existing:
                self._connection.execute(f'alter table {table} add column "{column}" {kind}')
            elif nullable and not existing[column][1]:
                self._connection.execute(f'alter table {table} alter column "{column}" drop not null')
        for column in existing:
            if column not in wanted:
                self._connection.execute(f'alter table {table} drop column "{column}"')

    def _column_definitions(self, table: str) -> dict[str, tuple[str, bool]]:
        found = self.rows(f"describe {table}")
        return {str(row[0]): (str(row[1]), row[2] == "YES") for row in found}

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._connection.execute(sql, list(parameters)).fetchall()

    def batches(self, sql: str, parameters: Sequence[object], batch_size: int) -> Iterator[pa.RecordBatch]:
        # A cursor of its own: the caller writes through this connection while it reads the batches.
        cursor = self._connection.cursor()
        try:
            yield from cursor.sql(sql, params=list(parameters)).to_arrow_reader(batch_size)
        finally:
            cursor.close()

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """Return the rows of a query as a table."""
        return self._connection.sql(sql, params=list(parameters)).to_arrow_reader(1_000_000).read_all()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._connection.execute("begin transaction")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def has_table(self, table: str) -> bool:
        # No table of a schema is ever dropped while it is open here, and asking the catalog costs milliseconds.
        if table in self._seen_tables:
            return True
        schema, name = table.split(".")
        found = self.rows(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?", (schema, name)
        )
        if found:
            self._seen_tables.add(table)
        return bool(found)

    def columns(self, table: str) -> dict[str, str]:
        if not self.has_table(table):
            return {}
        return {column: kind for column, (kind, _) in self._column_definitions(table).items()}

    def create_from(self, table: str, rows: pa.Table) -> None:
        """Create a table of some rows, or put it in the place of one of the same name; its schema, too."""
        self._connection.execute(f"create schema if not exists {table.partition('.')[0]}")
        with self._registered(rows):
            self._connection.execute(f"create or replace table {table} as select * from registered_rows")

    def append(self, table: str, rows: pa.Table) -> None:
        with self._registered(rows):
            self._connection.execute(f"insert into {table} by name select * from registered_rows")

    @contextmanager
    def _registered(self, rows: pa.Table) -> Iterator[None]:
        """Let a statement read rows as `registered_rows`."""
        self._connection.register("registered_rows", rows)
        try:
            yield
        finally:
            self._connection.unregister("registered_rows")

    def delete(self, table: str, key: Mapping[str, object]) -> None:
        condition, values = key_condition(key)
        self._connection.execute(f"delete from {table} where {condition}", values)

    def copy_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        names = ", ".join(f'"{column}"' for column in self.columns(destination))
        condition, values = key_condition(key)
        self._connection.execute(
            f"insert into {destination} ({names}) select {names} from {origin} where {condition} order by all", values
        )

    def replace_rows(self, table: str, key: Mapping[str, object], old: tuple[str, Sequence[object]], new: str) -> None:
        condition, parameters = old
        fixed, values = key_condition(key, after=len(parameters))
        self._connection.execute(f"delete from {table} where {fixed} and ({condition})", [*parameters, *values])
        self._connection.execute(f"insert into {table} by name select * from {new} order by all")

    def create_temporary(self, name: str, rows: str | pa.Table, parameters: Sequence[object] = ()) -> None:
        if isinstance(rows, str):
            self._connection.execute(f"create or replace temporary table {name} as {rows}", list(parameters))
            return
        with self._registered(rows):
            self._connection.execute(f"create or replace temporary table {name} as select * from registered_rows")

    def drop_temporary(self, *names: str) -> None:
        for name in names:
            self._connection.execute(f"drop table if exists {name}")

    def move_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        origin_columns = self.columns(origin)
        if not self.has_table(destination):
            self._connection.execute(f"create table {destination} as select * from {origin} where 1 = 0")
        new = columns_to_add(origin, origin_columns, destination, self.columns(destination))
        for column, kind in new.items():
            self._connection.execute(f'alter table {destination} add column "{column}" {kind}')
        self.delete(destination, key)
        names = ", ".join(f'"{column}"' for column in origin_columns)
        condition, values = key_condition(key)
        self._connection.execute(
            f"insert into {destination} by name select {names} from {origin} where {condition} order by {names}", values
        )

    def compute_by_customer(
        self, table: str, queries: Mapping[str, Query | pa.Table], work: Work, batch_size: int
    ) -> Iterator[Mapping[str, list[int]]]:
        def read(name: str) -> Iterator[pa.RecordBatch]:
            query = queries[name]
            if isinstance(query, pa.Table):
                return iter(query.combine_chunks().to_batches())
            return self.batches(query[0], query[1], batch_size)

        for rows, figures in work(read):
            self.append(table, rows)
            yield figures

    @contextmanager
    def marts_file(self, folder: Path) -> Iterator[Path]:  # noqa: ARG002 - nothing has to be made
        self._connection.close()
        yield self._path

    def content_hash(self, table: str, key: Mapping[str, object]) -> str:
        # Doubles count in millionths, as they are rounded by contract: engines write them differently as text. What
        # is no number, or too large, has its text: a candidate that holds it must reach the gate that says so.
        texts = [
            f'coalesce(cast(try_cast(round("{column}" * 1000000) as decimal(38, 0)) as varchar),'
            f" cast(\"{column}\" as varchar), '~')"
            if kind == "DOUBLE"
            else f"coalesce(cast(\"{column}\" as varchar), '~')"
            for column, kind in sorted(self.columns(table).items())
        ]
        condition, values = key_condition(key)
        found = self.rows(
            f"select count(*), coalesce(sum(cast(cast('0x' || substr(md5(concat_ws('|', {', '.join(texts)})), 1, 15)"
            f" as bigint) as decimal(38, 0))), 0) from {table} where {condition}",
            values,
        )
        return f"{found[0][0]}:{found[0][1]}"

    def give_back_room(self) -> None:
        self._connection.execute("checkpoint")

    def bytes_in_use(self) -> int:
        found = self.rows(
            "select sum(block_size * used_blocks) from pragma_database_size() where database_name = current_database()"
        )
        return int(found[0][0] or 0)

    def feature_sql(
        self, schema: str, columns_by_table: Mapping[str, Sequence[str]], text_columns: Collection[str]
    ) -> str:
        existing = {table: self.columns(f"{schema}.{table}") for table in columns_by_table}
        return feature_query(schema, columns_by_table, text_columns, existing, not_numbers=("VARCHAR", "DATE"))

    def sampled_customers(self, schema: str, as_of: date, sample_size: int) -> list[str]:
        found = self.rows(sample_query(schema), (as_of, sample_size))
        return sorted(str(customer_id) for (customer_id,) in found)

    def copy_to(self, path: Path) -> None:
        """Write everything into a new file, which holds nothing of what was ever deleted; nothing is left in a log."""
        self._connection.execute("checkpoint")
        name = self.rows("select current_database()")[0][0]
        self._connection.execute(f"attach '{_quoted(path)}' as rewritten")
        try:
            self._connection.execute(f'copy from database "{name}" to rewritten')
            self._connection.execute("checkpoint rewritten")
        finally:
            self._connection.execute("detach rewritten")

    def replace_in_views(self, old: str, new: str) -> None:
        """Let the views that read files at paths with one beginning read them at paths with another."""
        for (sql,) in self.rows("select sql from duckdb_views() where not internal and contains(sql, ?)", (old,)):
            changed = str(sql).replace(old, new)
            self._connection.execute(changed.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
