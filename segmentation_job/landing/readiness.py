"""Is the landing complete, readable and fresh enough for an as-of date?"""

import csv
import hashlib
import os
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.declaration import LandingTable, SourceDeclaration

EARLIEST_DAY = date(1970, 1, 1)
"""Nothing is dated before it: what is, is a typing error or a sentinel."""
LONGEST_LINE = 500
"""Characters of a line of an engine's message shown: a path and what is wrong, not a line of megabytes."""


@dataclass(frozen=True)
class LandedTable:
    """A landing table as it was found: its rows, and the business date of its newest event before the as-of date."""

    name: str
    row_count: int
    newest_date: date | None


def inspect_landing(declaration: SourceDeclaration, as_of: date, timezone: str) -> list[LandedTable]:
    """Read every landing table once.

    as_of: only what is dated before it says how fresh the landing is. timezone: business time zone of the newest
    date. Raises SourceNotReadyError that lists everything missing or unreadable.
    """
    found, problems = [], []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        # DuckDB 2.0 hands try_cast down to the CSV reader as a plain cast: a date that is none would be an error.
        connection.execute("set disabled_optimizers = 'type_pushdown'")
        for table in declaration.tables:
            try:
                landed = _inspect(connection, table, as_of, timezone)
                if not landed.row_count and table.name in declaration.essential_tables:
                    raise SourceNotReadyError(
                        f"{table.name}: {table.path} holds no row, and customers, orders and order lines come from it"
                    )
                found.append(landed)
            except SourceNotReadyError as error:
                problems.append(str(error))
    if problems:
        raise SourceNotReadyError(
            f"The landing of {declaration.name} is not ready:\n  "
            + "\n  ".join(problems)
            + "\nLet the source deliver these files again, or mend them; where the source has changed, mend its "
            f"mapping in dbt_project/sources/{declaration.name}. Nothing was written."
        )
    return found


def require_day_over(as_of: date, now: datetime, timezone: str) -> None:
    """Raise SourceNotReadyError where the day before the as-of date is not over yet in the business time zone.

    now: with its time zone. A date before EARLIEST_DAY is refused as well.
    """
    if as_of <= EARLIEST_DAY:
        raise SourceNotReadyError(
            f"The as-of date {as_of} lies before everything that can be dated: give one after {EARLIEST_DAY}. Nothing "
            "was written."
        )
    today = now.astimezone(ZoneInfo(timezone)).date()
    if as_of > today:
        raise SourceNotReadyError(
            f"The as-of date {as_of} is still to come: in {timezone} it is {today}, and the day before {as_of} is not "
            "over. Nothing was written."
        )


def check_freshness(
    declaration: SourceDeclaration, landed: list[LandedTable], as_of: date, max_source_lag_days: int
) -> None:
    """Raise SourceNotReadyError where the newest row lies more than the allowed days before the as-of date."""
    for table in landed:
        if table.newest_date is None:
            continue
        lag = (as_of - table.newest_date).days
        if lag > max_source_lag_days:
            raise SourceNotReadyError(
                f"{declaration.name}: the newest row of {table.name} is of {table.newest_date}, {lag} days before the "
                f"as-of date {as_of}; at most {max_source_lag_days} are allowed. Wait for the data to land, choose an "
                "earlier date, or raise SEGMENTATION_MAX_SOURCE_LAG_DAYS. Nothing was written."
            )


def landing_fingerprint(declaration: SourceDeclaration) -> str:
    """Return a hash of the landing's files: their names, sizes and times of change."""
    digest = hashlib.sha256()
    for table in declaration.tables:
        for path in table.files:
            stat = path.stat()
            digest.update(f"{table.name}|{path.name}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _inspect(connection: duckdb.DuckDBPyConnection, table: LandingTable, as_of: date, timezone: str) -> LandedTable:
    _require_files(table)
    try:
        described = connection.execute(f"describe select * from {table.location}").fetchall()
        columns = {str(row[0]) for row in described}
        missing = [column for column in table.columns if column not in columns]
        if missing:
            raise SourceNotReadyError(
                f"{table.name}: {table.path} has no column {', '.join(missing)}; it has {', '.join(sorted(columns))}"
            )
        event = f"try_cast({table.event_column or 'null'} as timestamp)"
        # What is dated on the as-of date or later (a typing error, an early order) says nothing of the days before.
        # Counting every column reads every value: a part that is broken or of another shape must not show in dbt only.
        read = "".join(f", count({_identifier(column)})" for column in table.columns)
        row = connection.execute(
            f"select count(*), max({event}) filter (where {event} >= ? and {event} < ?){read} from {table.location}",
            [datetime.combine(EARLIEST_DAY, time()), _begin_of_day(as_of, timezone)],
        ).fetchall()[0]
    except duckdb.Error as error:
        raise SourceNotReadyError(f"{table.name}: {table.path} cannot be read: {_cause(error, table)}") from error
    if table.event_column and row[1] is None:
        raise SourceNotReadyError(
            f"{table.name}: {table.path} holds no row before {as_of} whose time ({table.event_column}) can be "
            "read; a later date may have some"
        )
    return LandedTable(table.name, int(row[0]), _business_date(row[1], timezone))


def _require_files(table: LandingTable) -> None:
    """Raise SourceNotReadyError where there is no file, or one that no engine has to be asked about."""
    found = table.files
    # A pattern such as ** finds folders as well; one that is named like a file stands where a file should.
    folders = [path for path in found if path.is_dir() and path.suffix == Path(table.path).suffix]
    files = [path for path in found if not path.is_dir()]
    if not files and not folders:
        raise SourceNotReadyError(f"{table.name}: no file at {table.path}")
    for wrong, what in (
        (folders, "is a folder, not a file"),
        ([path for path in files if not os.access(path, os.R_OK)], "may not be read by the user who runs this"),
        ([path for path in files if os.access(path, os.R_OK) and not path.stat().st_size], "is empty (0 bytes)"),
    ):
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise SourceNotReadyError(f"{table.name}: {wrong[0]} {what}{more}")


def _cause(error: duckdb.Error, table: LandingTable) -> str:
    """Return what an engine's message says of the data, without its advice on the options of the reader."""
    lines = str(error).split("\nLINE 1")[0].split("Possible ")[0].splitlines()
    cause = "; ".join(line.strip()[:LONGEST_LINE] for line in lines if line.strip())
    if "sniffing" in cause:
        cause = _uneven_line(table) or "its text cannot be divided into the columns that its header names"
    return cause


def _uneven_line(table: LandingTable) -> str | None:
    """Return which line of a CSV file breaks its columns; None where every line has as many fields as the header.

    Commas and double quotes are taken for what divides and encloses fields.
    """
    for path in table.files:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            try:
                width = len(next(rows))
                for row in rows:
                    if row and len(row) != width:
                        return f"{path.name}, line {rows.line_num}: {len(row)} fields, the header has {width}"
            except csv.Error as error:
                return f"{path.name}, line {rows.line_num}: a quote is opened and not closed as it should be ({error})"
            except UnicodeDecodeError:
                return f"{path.name} is not UTF-8 text"
            except StopIteration:
                continue
    return None


def _identifier(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _begin_of_day(day: date, timezone: str) -> datetime:
    """The moment, in UTC without a zone, at which a business day begins."""
    begin = datetime.combine(day, time(), tzinfo=ZoneInfo(timezone))
    return begin.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)


def _business_date(newest: datetime | None, timezone: str) -> date | None:
    if newest is None:
        return None
    return newest.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(timezone)).date()
