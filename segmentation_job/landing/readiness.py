"""Is the landing complete, readable and fresh enough for an as-of date?"""

import glob
import hashlib
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.landing.declaration import LandingTable, SourceDeclaration


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
                found.append(_inspect(connection, table, as_of, timezone))
            except SourceNotReadyError as error:
                problems.append(str(error))
    if problems:
        raise SourceNotReadyError(
            f"The landing of {declaration.name} is not ready:\n  " + "\n  ".join(problems) + "\nNothing was written."
        )
    return found


def require_day_over(as_of: date, now: datetime, timezone: str) -> None:
    """Raise SourceNotReadyError where the day before the as-of date is not over yet in the business time zone.

    now: with its time zone.
    """
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
        for path in _files(table):
            stat = path.stat()
            digest.update(f"{table.name}|{path.name}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _files(table: LandingTable) -> list[Path]:
    # A location may be a pattern with folders in it, which Path.glob would take relative to one of them only.
    return [Path(path) for path in sorted(glob.glob(table.path, recursive=True))]  # noqa: PTH207


def _inspect(connection: duckdb.DuckDBPyConnection, table: LandingTable, as_of: date, timezone: str) -> LandedTable:
    if not _files(table):
        raise SourceNotReadyError(f"{table.name}: no file at {table.path}")
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
        row = connection.execute(
            f"select count(*), max({event}) filter (where {event} >= ? and {event} < ?) from {table.location}",
            [datetime(1970, 1, 1), _begin_of_day(as_of, timezone)],  # noqa: DTZ001
        ).fetchall()[0]
    except duckdb.Error as error:
        raise SourceNotReadyError(f"{table.name}: {table.path} cannot be read: {str(error).splitlines()[0]}") from error
    if table.event_column and row[1] is None:
        raise SourceNotReadyError(
            f"{table.name}: {table.path} holds no row before {as_of} with a readable {table.event_column}"
        )
    return LandedTable(table.name, int(row[0]), _business_date(row[1], timezone))


def _begin_of_day(day: date, timezone: str) -> datetime:
    """The moment, in UTC without a zone, at which a business day begins."""
    begin = datetime.combine(day, time(), tzinfo=ZoneInfo(timezone))
    return begin.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)


def _business_date(newest: datetime | None, timezone: str) -> date | None:
    if newest is None:
        return None
    return newest.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(timezone)).date()
