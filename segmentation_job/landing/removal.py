"""The landing without some people's rows: every file that holds one is written anew, all else as it was."""

import mmap
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from segmentation_job.errors import MisconfiguredError, SegmentationError
from segmentation_job.landing.declaration import LandingTable, SourceDeclaration

READ_AT_A_TIME: Final = 250_000
_FORMATS: Final = {"read_parquet": ".parquet", "read_csv": ".csv", "read_csv_auto": ".csv"}
Found = TypeVar("Found")
_FOUND: Final = ("customer", "places_order", "of_order", "session")


@dataclass(frozen=True)
class PersonalIds:
    """Whose rows go: ids of customers and of their orders, as staging cleans them."""

    customers: frozenset[str]
    orders: frozenset[str]


@dataclass(frozen=True)
class RewrittenFile:
    """A file of the landing, what is to replace it, and how many rows that has less."""

    path: Path
    replacement: Path
    rows_removed: int


def require_removable(declaration: SourceDeclaration, landing_dir: Path) -> None:
    """Raise MisconfiguredError where the declaration does not say whose the rows are, or a file cannot be rewritten."""
    for table in declaration.tables:
        if table.personal is None:
            raise MisconfiguredError(
                f"The source {declaration.name} does not say whose the rows of its table {table.name} are, so nobody "
                f"can be taken out of it. Say it in _{declaration.name}__sources.yml under config.meta of the table: "
                "`personal: {customer: <column>}`, `personal: {order: <column>}`, or `personal: none` (see "
                '"Your own data" in the README).'
            )
        if table.personal.is_of_nobody:
            continue
        function = _function(table)
        files = table.files
        wrong = [path for path in files if path.suffix.lower() != _FORMATS.get(function)]
        if function not in _FORMATS or wrong:
            raise MisconfiguredError(
                f"The landing table {table.name} is read by {table.location}"
                f"{f' from {wrong[0].name}' if wrong else ''}: people can be taken out of .parquet files (read_parquet)"
                " and uncompressed .csv files (read_csv) alone. Nothing was changed."
            )
        outside = [path for path in files if not path.is_relative_to(landing_dir)]
        if outside:
            raise MisconfiguredError(
                f"The landing table {table.name} lies at {outside[0]}, not below {landing_dir}: people can be taken "
                "out of the source's own landing alone. Nothing was changed."
            )


def orders_of(declaration: SourceDeclaration, customers: Collection[str], owners: Mapping[str, str]) -> frozenset[str]:
    """Return the orders of some customers, by the landing.

    owners: of orders that several customers placed, as dirt has it, the one that staging took it for; one that is not
    there is nobody's for certain and is left out.
    """
    wanted = pa.array(sorted(customers), pa.string())
    placed: dict[str, set[str]] = {}
    others: list[tuple[str, str]] = []
    for table in declaration.tables:
        if table.personal is None or table.personal.places_order is None:
            continue
        pairs = _distinct(table, ("customer", "places_order"))
        own = pairs.filter(pa.compute.is_in(pairs.column(0), wanted))
        for customer, order in zip(own.column(0).to_pylist(), own.column(1).to_pylist(), strict=True):
            if order is not None:
                placed.setdefault(order, set()).add(customer)
        contested = pairs.filter(
            pa.compute.and_(
                pa.compute.invert(pa.compute.is_in(pairs.column(0), wanted)),
                pa.compute.is_in(pairs.column(1), pa.array(sorted(placed), pa.string())),
            )
        )
        others += zip(contested.column(1).to_pylist(), contested.column(0).to_pylist(), strict=True)
    claimed = {order for order, customer in others if customer is not None}
    taken_for = {order for order, customer in owners.items() if customer in customers}
    return frozenset({order for order in placed if order not in claimed} | taken_for)


def distinct_ids(declaration: SourceDeclaration) -> tuple[set[str], set[str]]:
    """Return every customer and every order that a landing names."""
    customers: set[str] = set()
    orders: set[str] = set()
    for table in declaration.tables:
        if table.personal is None or table.personal.is_of_nobody:
            continue
        for column in _FOUND[:3]:
            if _expression(table, column) is not None:
                found = _distinct(table, (column,)).column(0).to_pylist()
                (customers if column == "customer" else orders).update(each for each in found if each is not None)
    return customers, orders


def rewrite_landing(declaration: SourceDeclaration, ids: PersonalIds, folder: Path) -> list[RewrittenFile]:
    """Write every file that holds a row of the given people without it into a folder; return those files.

    CSV keeps its other records byte for byte, Parquet its schema, its values and their order. Raises SegmentationError
    where a file's records cannot be told apart as surely as that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rewritten = []
    for table in declaration.tables:
        if table.personal is None or table.personal.is_of_nobody:
            continue
        whose = _sessions_alone(table, ids) if table.personal.session is not None else frozenset()
        for number, path in enumerate(table.files):
            mask = _personal_rows(table, path, ids, whose)
            removed = int(pa.compute.sum(mask).as_py() or 0)
            if removed == 0:
                continue
            replacement = folder / f"{table.name}-{number:05d}{path.suffix}"
            kept = pa.compute.invert(mask)
            if path.suffix.lower() == ".parquet":
                write_parquet_rows(path, replacement, kept)
            else:
                _write_csv_rows(table, path, replacement, kept)
            shutil.copymode(path, replacement)
            rewritten.append(RewrittenFile(path, replacement, removed))
    return rewritten


def rewrite_truth(truth_dir: Path, ids: PersonalIds, folder: Path) -> list[RewrittenFile]:
    """Write what a simulated shop knows of its people without those given, as `rewrite_landing` does."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pa.array(sorted(ids.customers | ids.orders), pa.string())
    rewritten = []
    for number, path in enumerate(sorted(truth_dir.rglob("*.parquet"))):
        rows = pa.parquet.read_table(path)
        mask = pa.array([False] * rows.num_rows, pa.bool_())
        for name in ("customer_id", "record_key"):
            if name in rows.column_names:
                # A key of several columns has a bar between them.
                parts = pa.compute.split_pattern(rows.column(name).combine_chunks().fill_null(""), "|")
                hits = pa.compute.is_in(parts.flatten(), wanted)
                of_row = pa.compute.list_parent_indices(parts).filter(hits)
                places = pa.array(range(rows.num_rows), of_row.type)
                mask = pa.compute.or_(mask, pa.compute.is_in(places, of_row))
        removed = int(pa.compute.sum(mask).as_py() or 0)
        if removed:
            replacement = folder / f"truth-{number:05d}.parquet"
            write_parquet_rows(path, replacement, pa.compute.invert(mask))
            rewritten.append(RewrittenFile(path, replacement, removed))
    return rewritten


def write_parquet_rows(path: Path, target: Path, kept: pa.Array) -> None:
    """Write the rows of a Parquet file that `kept` (n,) says true of, row group by row group, schema and all else."""
    with pa.parquet.ParquetFile(path) as origin:
        if origin.metadata.num_rows != len(kept):
            raise SegmentationError(f"{path} holds {origin.metadata.num_rows} rows, {len(kept)} were read.")
        groups = origin.metadata
        compression = (
            {
                groups.row_group(0).column(index).path_in_schema: groups.row_group(0).column(index).compression
                for index in range(groups.num_columns)
            }
            if groups.num_row_groups
            else "snappy"
        )
        begun = 0
        with pa.parquet.ParquetWriter(target, origin.schema_arrow, compression=compression) as writer:
            for group in range(groups.num_row_groups):
                rows = origin.read_row_group(group)
                writer.write_table(rows.filter(kept.slice(begun, rows.num_rows)))
                begun += rows.num_rows
    with pa.parquet.ParquetFile(target) as written:
        if written.metadata.num_rows != int(pa.compute.sum(kept).as_py() or 0) or not written.schema_arrow.equals(
            origin.schema_arrow, check_metadata=True
        ):
            raise SegmentationError(f"{path} could not be written again with its schema. Nothing was changed.")


def csv_records(data: "mmap.mmap | bytes", delimiter: str, quote: str, escape: str) -> Iterator[tuple[int, int]]:
    """Yield where each record of a CSV file begins and ends, its line end included; raise ValueError where none does.

    A quote opens a field at its beginning alone; within quotes a line end is text.
    """
    d, q, e = (re.escape(text.encode()) for text in (delimiter, quote, escape or quote))
    if not quote:
        field = rb"[^%s\r\n]*+" % d
    else:
        inner = rb"(?:[^%s]|%s%s)*+" % (q, q, q) if e == q else rb"(?:[^%s%s]|%s.)*+" % (q, e, e)
        field = rb"(?:%s%s%s[^%s\r\n]*+|[^%s%s\r\n][^%s\r\n]*+|)" % (q, inner, q, d, d, q, d)
    record = re.compile(rb"%s(?:%s%s)*+(\r\n|\n|\r|\Z)" % (field, d, field), re.DOTALL)
    at, end = 0, len(data)
    while at < end:
        match = record.match(data, at)
        if match is None:
            raise ValueError(f"the record at byte {at} has no end")
        yield match.span()
        at = match.end()


def _write_csv_rows(table: LandingTable, path: Path, target: Path, kept: pa.Array) -> None:
    with duckdb.connect() as connection:
        reading = re.sub(r"^\s*read_csv(_auto)?\b", "sniff_csv", _reading(table, path))
        delimiter, quote, escape, skipped, columns = connection.execute(
            f'select "Delimiter", "Quote", "Escape", "SkipRows", len("Columns") from {reading}'
        ).fetchall()[0]
    quote, escape = ("" if text == "(empty)" else text for text in (quote, escape))
    with (
        path.open("rb") as file,
        target.open("wb") as out,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        try:
            records = list(csv_records(data, delimiter, quote, escape))[skipped:]
        except ValueError as error:
            raise SegmentationError(f"{path}: {error}; nothing was changed.") from error
        # DuckDB passes over empty lines, except where a line is one value.
        full = [span for span in records if columns == 1 or data[span[0] : span[1]].strip(b"\r\n")]
        headers = len(full) - len(kept)
        if headers not in (0, 1):
            raise SegmentationError(
                f"{path}: {len(full)} records were found where DuckDB reads {len(kept)} rows, so that a row cannot be"
                " told from its neighbour for certain. Mend the file, or write it as Parquet. Nothing was changed."
            )
        removed = [full[headers + place] for place, keep in enumerate(kept.to_pylist()) if not keep]
        _copy_without(data, out, removed)
    with duckdb.connect() as connection:
        left = connection.execute(f"select count(*) from {_reading(table, target)}").fetchall()[0][0]
    if left != len(kept) - len(removed):
        raise SegmentationError(f"{path}: {left} rows are left where {len(kept) - len(removed)} should be.")


def _copy_without(data: mmap.mmap, out: BinaryIO, removed: Sequence[tuple[int, int]]) -> None:
    at = 0
    for begin, end in removed:
        out.write(data[at:begin])
        at = end
    out.write(data[at:])


def _personal_rows(table: LandingTable, path: Path, ids: PersonalIds, sessions: frozenset[str]) -> pa.Array:
    """Whose row each is (n,), in the order of the file."""
    columns = [column for column in _FOUND if _expression(table, column) is not None]
    wanted = {
        "customer": pa.array(sorted(ids.customers), pa.string()),
        "places_order": pa.array(sorted(ids.orders), pa.string()),
        "of_order": pa.array(sorted(ids.orders), pa.string()),
    }
    parts = []
    for batch in _batches(table, path, columns):
        mask = pa.array([False] * batch.num_rows, pa.bool_())
        for name, values in wanted.items():
            if name in columns:
                mask = pa.compute.or_(mask, pa.compute.is_in(batch.column(name), values))
        if "session" in columns:
            anonymous = pa.compute.is_null(batch.column("customer"))
            theirs = pa.compute.is_in(batch.column("session"), pa.array(sorted(sessions), pa.string()))
            mask = pa.compute.or_(mask, pa.compute.and_(anonymous, theirs))
        parts.append(mask)
    return pa.concat_arrays(parts) if parts else pa.array([], pa.bool_())


def _sessions_alone(table: LandingTable, ids: PersonalIds) -> frozenset[str]:
    """The sessions in which one of the given customers is named and nobody else is."""
    pairs = _distinct(table, ("customer", "session"))
    own = pa.compute.is_in(pairs.column(0), pa.array(sorted(ids.customers), pa.string()))
    theirs = set(pairs.filter(own).column(1).to_pylist())
    strangers = pairs.filter(pa.compute.and_(pa.compute.invert(own), pa.compute.is_valid(pairs.column(0))))
    return frozenset(session for session in theirs - set(strangers.column(1).to_pylist()) if session is not None)


def _distinct(table: LandingTable, columns: Sequence[str]) -> pa.Table:
    """The distinct values of some of a table's personal columns, over all its files."""
    if not table.files:
        return pa.schema([(column, pa.string()) for column in columns]).empty_table()
    names = ", ".join(f"{_cleaned(table, column)} as {column}" for column in columns)

    def read(connection: duckdb.DuckDBPyConnection) -> pa.Table:
        return connection.sql(f"select distinct {names} from {table.location}").to_arrow_table()

    return _reads(table, read)


def _batches(table: LandingTable, path: Path, columns: Sequence[str]) -> list[pa.RecordBatch]:
    names = ", ".join(f"{_cleaned(table, column)} as {column}" for column in columns)

    def read(connection: duckdb.DuckDBPyConnection) -> list[pa.RecordBatch]:
        # A plain projection: DuckDB hands the rows out in the order of the file.
        return list(connection.sql(f"select {names} from {_reading(table, path)}").to_arrow_reader(READ_AT_A_TIME))

    return _reads(table, read)


def _reads(table: LandingTable, read: Callable[[duckdb.DuckDBPyConnection], Found]) -> Found:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set disabled_optimizers = 'type_pushdown'")
        try:
            return read(connection)
        except duckdb.Error as error:
            raise SegmentationError(
                f"The landing table {table.name} cannot be read by its `personal` columns: {str(error).splitlines()[0]}"
            ) from error


def _cleaned(table: LandingTable, column: str) -> str:
    """An id as staging has it: text without blanks around it, and none where nothing is left."""
    return f"nullif(trim(cast(({_expression(table, column)}) as varchar)), '')"


def _expression(table: LandingTable, column: str) -> str | None:
    if table.personal is None:
        return None
    return {
        "customer": table.personal.customer,
        "places_order": table.personal.places_order,
        "of_order": table.personal.order,
        "session": table.personal.session,
    }[column]


def _reading(table: LandingTable, path: Path) -> str:
    """The expression that reads one file of a table as the whole of it is read."""
    return table.location.replace(table.path, str(path).replace("'", "''"))


def _function(table: LandingTable) -> str:
    return table.location.strip().partition("(")[0].strip().lower()
