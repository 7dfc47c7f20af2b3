"""The warehouse on a cluster: Parquet tables that Spark reads and writes, partitioned by what is replaced together.

Two kinds of tables. *Large* ones (features, labels, history, samples: their rows grow with the customers) stay in
Spark, and every statement about them runs there. *Small* ones (plans, registry, runs: `warehouse/tables.py`) are Spark
tables of one Parquet file each, which dbt and everybody else reads there; the job works on a copy in memory, with the
same SQL as on one machine, and writes them whole.

Parquet has no transactions. Whatever is changed is first written beside the tables (`StagedChanges`); then a journal
names it, which is the moment it counts; then it is put in place, which may be done twice. A process that is killed
before the journal has changed nothing, and one that is killed after it is finished by the next that opens the
warehouse. Only who opens it reads it, under its lock; BI reads published files.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa
import pyarrow.parquet

from segmentation_job.data_dictionary import column_descriptions
from segmentation_job.durable_files import written_whole
from segmentation_job.errors import MisconfiguredError
from segmentation_job.lock_holder import holding
from segmentation_job.settings import Settings
from segmentation_job.spark_session import connected
from segmentation_job.warehouse.common_queries import columns_to_add, feature_query, key_condition, sample_query
from segmentation_job.warehouse.duckdb_engine import DuckDBWarehouse
from segmentation_job.warehouse.interface import Query, Row, Work
from segmentation_job.warehouse.staged_changes import StagedChanges, condition_of, partition_of
from segmentation_job.warehouse.tables import SCHEMAS, TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

LAYERS: Final = ("input", "staging", "intermediate", "marts", *SCHEMAS)
PARTITIONED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "candidate.labels": ("as_of_date", "lens"),
    "promoted.labels": ("as_of_date", "lens"),
    "promoted.label_history": ("lens",),
    "candidate.customer_forecasts": ("as_of_date",),
    "promoted.customer_forecasts": ("as_of_date",),
    "candidate.model_samples": ("run_date", "model_version"),
    "promoted.model_samples": ("model_version",),
    "candidate.model_origins": ("run_date", "model_version"),
    "promoted.model_origins": ("model_version",),
}
"""The large tables among those that the job makes. Every other table that it does not make is dbt's, by as-of date."""

READ_WHOLE: Final = frozenset(
    {
        "candidate.feature_inputs",
        "promoted.feature_inputs",
        "candidate.category_month_demand",
        "promoted.category_month_demand",
        "intermediate.int_input_hashes",
        "intermediate.int_input_scope",
        "intermediate.int_row_accounts",
        "marts.profiled_dates",
        "pipeline.profile_dates",
    }
)
"""Tables that dbt makes and that are small: a statement about nothing else is run on a copy in memory."""

SMALL: Final = frozenset(table for table, _ in TABLES if table not in PARTITIONED_BY)

_NAME: Final = re.compile(rf"\b({'|'.join(LAYERS)})\.\"?([a-z_][a-z0-9_]*)\"?")
_CHANGED: Final = re.compile(r"\s*(?:insert into|delete from|update)\s+([a-z_]+\.[a-z_0-9]+)")
_NUMBERED: Final = re.compile(r"\$(\d+)")
_SPARK_TYPES: Final = {"varchar": "string", "double[]": "array<double>", "integer": "int"}


class SparkWarehouse:
    """The Spark tables of a source, opened for writing, with the pipeline's own tables in place.

    Raises WarehouseLockedError where another process of this machine has it open, MisconfiguredError where no Spark
    answers.
    """

    # What is in a table of Parquet files is not changed by the row.
    facts_grow_by_file = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = holding(settings.spark_lock_path)
        self._lock.__enter__()
        try:
            self._session: SparkSession | None = None
            self._memory = DuckDBWarehouse(
                Path(":memory:"), threads=settings.threads, memory_limit=settings.memory_limit
            )
            self._in_memory: set[str] = set()
            self._columns: dict[str, dict[str, str]] = {}
            self._temporary: dict[str, DataFrame] = {}
            self._in_transaction = False
            self._changed: set[str] = set()
            self._staged = StagedChanges(settings.spark_warehouse, settings.source)
            if self._staged.is_decided:
                self._put_in_place()
            self._staged.clear()
            self._put_tables_in_place()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._memory.__exit__(kind, error, trace)
            if self._session is not None:
                self._session.stop()
        finally:
            self._lock.__exit__(kind, error, trace)

    # What runs ask.

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        changed = _CHANGED.match(sql)
        if self._is_small(sql):
            if changed is None:
                return self._memory.rows(sql, parameters)
            with self._changing(changed[1]):
                return self._memory.rows(sql, parameters)
        if changed is not None:
            raise MisconfiguredError(f"{changed[1]} is large, and on Spark no statement changes rows of it one by one.")
        found = self._query(sql, parameters).toArrow()
        # By place: two columns of a query may have one name.
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def batches(self, sql: str, parameters: Sequence[object], batch_size: int) -> Iterator[pa.RecordBatch]:
        if self._is_small(sql):
            yield from self._memory.batches(sql, parameters, batch_size)
            return
        table = self._query(sql, parameters).toArrow().combine_chunks()
        yield from table.to_batches(max_chunksize=batch_size)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._in_transaction = True
        loaded = set(self._in_memory)
        try:
            with self._memory.transaction():
                yield
                for table in sorted(self._changed):
                    self._staged.write_whole(table, self._memory.arrow(f"select * from {table} order by all"))
                self._staged.decide()
            self._put_in_place()
        except BaseException:
            if not self._staged.is_decided:
                # What was read into memory meanwhile went with the transaction, or is what is taken back.
                self._in_memory = loaded - READ_WHOLE
                self._staged.clear()
            raise
        finally:
            self._in_transaction = False
            self._changed.clear()

    def has_table(self, table: str) -> bool:
        return bool(self.columns(table))

    def columns(self, table: str) -> dict[str, str]:
        if table in SMALL:
            return self._memory.columns(table)
        if table not in self._columns:
            if not self._spark().catalog.tableExists(self._full(table)):
                return {}
            found = self._spark().table(self._full(table)).dtypes
            # As the models list them: Spark puts what a table is partitioned by behind the others.
            behind = self._partitions(table)
            self._columns[table] = dict(sorted(found, key=lambda column: column[0] not in behind))
        return self._columns[table]

    def append(self, table: str, rows: pa.Table) -> None:
        with self._changing(table):
            if table in SMALL:
                self._memory.append(table, rows)
            else:
                self._staged.add_rows(table, rows)

    def delete(self, table: str, key: Mapping[str, object]) -> None:
        if table not in SMALL and not self.has_table(table):
            return
        with self._changing(table):
            if table in SMALL:
                self._memory.delete(table, key)
            else:
                self._staged.take_away(table, key)

    def copy_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        with self._changing(destination):
            if destination in SMALL:
                self._load(origin)
                self._memory.copy_rows(origin, destination, key)
            else:
                names = ", ".join(f'"{column}"' for column in self.columns(destination))
                self._add(destination, self._of_key(origin, key, names))

    def move_rows(self, origin: str, destination: str, key: Mapping[str, object]) -> None:
        with self._changing(destination):
            if destination in SMALL:
                self._load(origin)
                self._memory.move_rows(origin, destination, key)
                return
            self._give_columns(destination, self.columns(origin), origin)
            self._staged.take_away(destination, key)
            self._add(destination, self._of_key(origin, key, ", ".join(f'"{each}"' for each in self.columns(origin))))

    def replace_rows(self, table: str, key: Mapping[str, object], old: tuple[str, Sequence[object]], new: str) -> None:
        condition, parameters = old
        names = ", ".join(f'"{column}"' for column in self.columns(table))
        fixed, values = key_condition(key, after=len(parameters))
        with self._changing(table):
            rows = self._query(
                f"select {names} from {table} where {fixed} and not coalesce({condition}, false)"
                f" union all select {names} from {new}",
                [*parameters, *values],
            )
            # Written before the rows that it reads are taken away.
            path = self._write(table, rows)
            self._staged.take_away(table, key)
            self._staged.add_written(table, path)

    def create_temporary(self, name: str, rows: str | pa.Table, parameters: Sequence[object] = ()) -> None:
        frame = self._query(rows, parameters) if isinstance(rows, str) else self._frame_of(rows)
        self._temporary[name] = frame
        frame.createOrReplaceTempView(name)

    def drop_temporary(self, *names: str) -> None:
        for name in names:
            if self._temporary.pop(name, None) is not None:
                self._spark().catalog.dropTempView(name)

    def content_hash(self, table: str, key: Mapping[str, object]) -> str:
        if table in SMALL or table in READ_WHOLE:
            self._load(table)
            return self._memory.content_hash(table, key)
        texts = [
            f'coalesce(cast(try_cast(round("{column}" * 1000000) as decimal(38, 0)) as string),'
            f" cast(\"{column}\" as string), '~')"
            if kind == "double"
            else f"coalesce(cast(\"{column}\" as string), '~')"
            for column, kind in sorted(self.columns(table).items())
        ]
        condition, values = key_condition(key)
        found = self.rows(
            f"select count(*), coalesce(sum(cast(conv(substr(md5(concat_ws('|', {', '.join(texts)})), 1, 15), 16, 10)"
            f" as decimal(38, 0))), 0) from {table} where {condition}",
            values,
        )
        return f"{found[0][0]}:{found[0][1]}"

    def give_back_room(self) -> None:
        # Files that nothing names any more are gone already.
        return

    def bytes_in_use(self) -> int:
        return self._staged.bytes_of_tables()

    def feature_sql(
        self, schema: str, columns_by_table: Mapping[str, Sequence[str]], text_columns: Collection[str]
    ) -> str:
        existing = {table: self.columns(f"{schema}.{table}") for table in columns_by_table}
        return feature_query(schema, columns_by_table, text_columns, existing, not_numbers=("string", "date"))

    def sampled_customers(self, schema: str, as_of: date, sample_size: int) -> list[str]:
        found = self.rows(sample_query(schema), (as_of, sample_size))
        return sorted(str(customer_id) for (customer_id,) in found)

    def compute_by_customer(
        self, table: str, queries: Mapping[str, Query | pa.Table], work: Work, batch_size: int
    ) -> Iterator[Mapping[str, list[int]]]:
        frames: list[DataFrame] = []
        columns: dict[str, dict[str, str]] = {}
        names: dict[tuple[str, str], str] = {}
        for number, (name, query) in enumerate(queries.items()):
            frame = self._frame_of(query) if isinstance(query, pa.Table) else self._query(query[0], query[1])
            columns[name] = {}
            for column, kind in frame.dtypes[1:]:
                columns[name][names.setdefault((column, kind), f"c{len(names)}")] = column
            frames.append(frame.toDF("customer_id", *columns[name]).selectExpr("*", f"{number} as query_number"))
        together = frames[0]
        for frame in frames[1:]:
            together = together.unionByName(frame, allowMissingColumns=True)
        kinds = self.columns(table)
        schema = ", ".join([*(f"`{column}` {kind}" for column, kind in kinds.items()), "figures string"])
        done = self._staged.new_folder()
        (
            together.repartition("customer_id")
            .sortWithinPartitions("customer_id")
            .mapInArrow(PartOfCustomers(columns, tuple(kinds), work, batch_size), schema)
            .write.parquet(str(done))
        )
        with self._changing(table):
            found = self._spark().read.parquet(str(done))
            self._staged.add_written(table, self._write(table, found.where("figures is null").drop("figures")))
        for row in found.where("figures is not null").select("figures").toArrow().to_pylist():
            yield json.loads(row["figures"])

    @contextmanager
    def marts_file(self, folder: Path) -> Iterator[Path]:
        path = folder / ".unfinished.marts.duckdb"
        path.unlink(missing_ok=True)
        order = {table: [each for each in columns if each] for table, columns in column_descriptions().items()}
        with DuckDBWarehouse(path, threads=self._settings.threads, memory_limit=self._settings.memory_limit) as file:
            for each in self._spark().catalog.listTables(self._full("marts")):
                if each.isTemporary:
                    continue
                rows = self._spark().table(f"{self._full('marts')}.{each.name}").toArrow()
                # Spark puts what a table is partitioned by behind the others, where the models do not have it.
                wanted = order.get(each.name, [])
                rows = rows.select(wanted) if sorted(wanted) == sorted(rows.column_names) else rows
                file.create_from(f"marts.{each.name}", _without_zone(rows))
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    # How it is done.

    def _spark(self) -> "SparkSession":
        if self._session is None:
            self._session = connected(self._settings.spark_connect)
        return self._session

    def _frame_of(self, rows: pa.Table) -> "DataFrame":
        if rows.num_rows:
            return self._spark().createDataFrame(rows)
        # Of no rows it says that it cannot know their types.
        from pyspark.sql.pandas.types import from_arrow_schema

        return self._spark().createDataFrame([], from_arrow_schema(rows.schema))

    def _full(self, table: str) -> str:
        return f"{self._settings.source}_{table}"

    def _partitions(self, table: str) -> tuple[str, ...]:
        if table in PARTITIONED_BY:
            return PARTITIONED_BY[table]
        return ("as_of_date",) if table.startswith(("candidate.", "promoted.")) else ()

    def _names(self, sql: str) -> list[str]:
        return sorted({f"{schema}.{name}" for schema, name in _NAME.findall(sql)})

    def _is_small(self, sql: str) -> bool:
        """Say whether a statement is about small tables alone; then they are in memory."""
        names = self._names(sql)
        temporary = any(re.search(rf"\b{name}\b", sql) for name in self._temporary)
        if temporary or not all(name in SMALL or name in READ_WHOLE for name in names):
            return False
        for name in names:
            self._load(name)
        return True

    def _load(self, table: str) -> None:
        """Have a small table in memory, as the files or, of what dbt makes, Spark has it."""
        if table in self._in_memory or (table not in SMALL and table not in READ_WHOLE):
            return
        self._in_memory.add(table)
        if table in SMALL:
            files = sorted(self._staged.folder_of(table).glob("*.parquet"))
            if files:
                self._memory.append(table, pa.parquet.read_table(files[0]))
        else:
            rows = self._spark().sql(f"select * from {self._relation(table)}").toArrow()
            self._memory.create_from(table, _without_zone(rows))

    @contextmanager
    def _changing(self, table: str) -> Iterator[None]:
        """A change of one table; a transaction of its own where none is under way."""
        if table in SMALL:
            self._load(table)
        if not self._in_transaction:
            with self.transaction():
                yield from self._noting(table)
            return
        yield from self._noting(table)

    def _noting(self, table: str) -> Iterator[None]:
        yield
        if table in SMALL:
            self._changed.add(table)
        else:
            self._in_memory.discard(table)

    def _query(self, sql: str, parameters: Sequence[object] = ()) -> "DataFrame":
        """A query with its tables under Spark's names, as this transaction has changed them."""
        named = _NAME.sub(lambda match: self._relation(f"{match[1]}.{match[2]}"), sql)
        if _NUMBERED.search(named):
            numbered = {f"p{number}": value for number, value in enumerate(parameters, start=1)}
            return self._spark().sql(_NUMBERED.sub(r":p\1", named), args=numbered)
        return self._spark().sql(named, args=list(parameters)) if parameters else self._spark().sql(named)

    def _relation(self, table: str) -> str:
        view = f"now_{table.replace('.', '_')}"
        if table in SMALL:
            self._load(table)
            rows = self._memory.arrow(f"select * from {table}")
            self._frame_of(rows).createOrReplaceTempView(view)
            return view
        if table not in self._staged.large:
            return self._full(table)
        names = ", ".join(f"`{column}`" for column in self.columns(table))
        change = self._staged.large[table]
        gone = f" where not ({condition_of(change.gone)})" if change.gone else ""
        parts = [f"select {names} from {self._full(table)}{gone}", *self._written(table)]
        self._spark().sql(" union all ".join(parts)).createOrReplaceTempView(view)
        return view

    def _written(self, table: str) -> list[str]:
        """The queries for the rows that the changes under way bring to a large table, in its own types."""
        change = self._staged.large[table]
        names = ", ".join(f"cast(`{column}` as {kind}) as `{column}`" for column, kind in self.columns(table).items())
        return [
            f"select {names} from parquet.`{folder}`"
            + (f" where not ({condition_of(change.gone[after:])})" if change.gone[after:] else "")
            for folder, after in change.written
        ]

    def _of_key(self, origin: str, key: Mapping[str, object], names: str) -> "DataFrame":
        condition, values = key_condition(key)
        return self._query(f"select {names} from {origin} where {condition}", values)

    def _add(self, table: str, rows: "DataFrame") -> None:
        self._staged.add_written(table, self._write(table, rows))

    def _write(self, table: str, rows: "DataFrame") -> Path:
        folder = self._staged.new_folder()
        rows.select(*(f"`{column}`" for column in self.columns(table) if column in rows.columns)).write.parquet(
            str(folder)
        )
        return folder

    def _give_columns(self, destination: str, columns: Mapping[str, str], origin: str) -> None:
        """Make a large table, or give it the columns that it lacks. Both may be there before anything counts."""
        existing = self.columns(destination)
        if not existing:
            self._create(destination, columns)
            return
        for column, kind in columns_to_add(origin, columns, destination, existing).items():
            self._spark().sql(f"alter table {self._full(destination)} add columns (`{column}` {kind})").collect()
            self._columns.pop(destination, None)

    def _create(self, table: str, columns: Mapping[str, str]) -> None:
        definitions = ", ".join(f"`{column}` {kind}" for column, kind in columns.items())
        partitions = self._partitions(table)
        by = f" partitioned by ({', '.join(partitions)})" if partitions and table not in SMALL else ""
        self._spark().sql(f"create table if not exists {self._full(table)} ({definitions}) using parquet{by}").collect()
        self._columns.pop(table, None)

    def _put_in_place(self) -> None:
        """Do what the journal says, in a way that doing it again changes nothing; then the changes are done."""
        for table, change in self._staged.large.items():
            for key in change.gone:
                self._spark().sql(
                    f"alter table {self._full(table)} drop if exists partition ({partition_of(key)})"
                ).collect()
            if change.written:
                behind = self._partitions(table)
                before = [column for column in self.columns(table) if column not in behind]
                names = ", ".join(f"`{column}`" for column in [*before, *behind])
                rows = " union all ".join(self._written(table))
                # Partitions that are there by now are those of the same rows.
                self._spark().sql(f"insert overwrite table {self._full(table)} select {names} from ({rows})").collect()
            self._spark().catalog.refreshTable(self._full(table))
        self._staged.put_small_in_place()
        self._staged.clear()

    def _put_tables_in_place(self) -> None:
        """Create the databases and the pipeline's own tables, and bring older ones to this version's columns."""
        version = hashlib.sha256(repr((TABLES, PARTITIONED_BY)).encode()).hexdigest()
        marker = self._staged.folder_of("pipeline.tables_version").with_suffix(".txt")
        if marker.exists() and marker.read_text() == version:
            return
        for layer in LAYERS:
            self._spark().sql(f"create database if not exists {self._full(layer)}").collect()
        for table, _ in TABLES:
            wanted = {
                column: _SPARK_TYPES.get(kind.lower(), kind.lower())
                for column, kind in self._memory.columns(table).items()
            }
            if table in SMALL:
                # Their files stay: rows of an older version have nulls in what is new.
                folder = self._staged.folder_of(table)
                folder.mkdir(parents=True, exist_ok=True)
                definitions = ", ".join(f"`{column}` {kind}" for column, kind in wanted.items())
                self._spark().sql(f"drop table if exists {self._full(table)}").collect()
                self._spark().sql(
                    f"create table {self._full(table)} ({definitions}) using parquet location '{folder}'"
                ).collect()
            else:
                self._give_columns(table, wanted, table)
        with written_whole(marker) as path:
            path.write_text(version)


@dataclass(frozen=True)
class PartOfCustomers:
    """What an executor does with the rows of its part of the customers.

    columns: by query, the name of each column here and in the query. kinds: the columns of the table.
    """

    columns: Mapping[str, Mapping[str, str]]
    kinds: tuple[str, ...]
    work: Work
    batch_size: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = list(batches)
        if not found:
            return
        rows = pa.Table.from_batches(found)
        numbers = rows.column("query_number").to_numpy()
        names = list(self.columns)

        def read(name: str) -> Iterator[pa.RecordBatch]:
            own = rows.filter(pa.array(numbers == names.index(name)))
            chosen = own.select(["customer_id", *self.columns[name]]).rename_columns(
                ["customer_id", *self.columns[name].values()]
            )
            yield from chosen.combine_chunks().to_batches(max_chunksize=self.batch_size)

        for made, figures in self.work(read):
            told = pa.table({column: made.column(column) for column in self.kinds})
            yield from told.append_column("figures", pa.nulls(made.num_rows, pa.string())).to_batches()
            nothing = {field.name: pa.nulls(1, field.type) for field in told.schema}
            yield from pa.table({**nothing, "figures": pa.array([json.dumps(figures)])}).to_batches()


def _without_zone(rows: pa.Table) -> pa.Table:
    """Rows with moments in UTC as DuckDB's plain timestamps."""
    moment = pa.timestamp("us")
    kinds = [(each.name, moment if pa.types.is_timestamp(each.type) else each.type) for each in rows.schema]
    return rows.cast(pa.schema(kinds))
