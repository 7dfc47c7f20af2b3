"""The published file: complete, verified, immutable, swapped in atomically, and back to an earlier one.

A file's report lies beside it under the same name and goes where it goes: `reporting` writes it.
"""

import json
import re
import shutil
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from segmentation_job.data_dictionary import LENS, column_descriptions
from segmentation_job.durable_files import one_at_a_time, point_link, sync, written_whole
from segmentation_job.errors import SegmentationError
from segmentation_job.lock_holder import locks_explained
from segmentation_job.run_log import read_run_log
from segmentation_job.settings import CURRENT_LINK_NAME, LATEST_REPORT_NAME, SERVING_REPORT_NAME

# Readable by every DuckDB client from 1.0 on.
STORAGE_VERSION = "v1.0.0"
INTERNAL_MARTS = frozenset({"profiled_dates"})
FILE_PATTERN = re.compile(r"segments_(?P<as_of>\d{4}-\d{2}-\d{2})_(?P<published_at>\d{8}T\d{12}Z)\.duckdb")

# Never qualified by catalog: clients name the catalog after the file that the link points to.
DAILY_VIEW = """
create view customer_segments_daily as
select
    runs.as_of_date,
    history.lens,
    history.customer_id,
    history.segment_id,
    history.segment_name
from (select distinct as_of_date, lens from segmentation_runs) as runs
inner join customer_segment_history as history
    on runs.lens = history.lens
    and history.valid_from <= runs.as_of_date
    and (history.valid_to is null or history.valid_to > runs.as_of_date)
where history.segment_id is not null
"""


@dataclass(frozen=True)
class Publication:
    """A published file: the latest as-of date in it, and the rows of each table."""

    path: Path
    as_of: date
    row_counts: dict[str, int]


@dataclass(frozen=True)
class KeptNight:
    """A published file on disk: the latest as-of date in it, and when it was published (UTC)."""

    path: Path
    as_of: date
    published_at: datetime


@dataclass(frozen=True)
class ServedNight:
    """What a source serves. since: when its link was last pointed (UTC). newer: files published after it."""

    night: KeptNight
    since: datetime
    newer: tuple[KeptNight, ...]


def publish(
    warehouse_path: Path,
    published_dir: Path,
    serving_link: Path,
    run_log_path: Path,
    *,
    kept_nights: int,
    now: datetime,
) -> Publication:
    """Write the marts into a new file, verify it, and let the links point to it.

    kept_nights: the newest file of so many as-of dates stays, and the one that was served until now: a reader may have
    followed the link to it and not opened it yet. now: names the file. Sweeps what a killed publisher left behind.
    Readers of the old file keep it until they reopen the link.
    """
    published_dir.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(published_dir.parent):
        sweep_leftovers(published_dir)
        unfinished = published_dir / ".unfinished.duckdb"
        as_of, row_counts = _write(warehouse_path, unfinished, run_log_path)
        sync(unfinished)
        _verify(unfinished, row_counts)
        path = published_dir / f"segments_{as_of}_{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z.duckdb"
        unfinished.replace(path)
        sync(published_dir)
        current = published_dir / CURRENT_LINK_NAME
        replaced = {link.resolve() for link in (current, serving_link)}
        point_link(current, path)
        point_link(serving_link, path)
        # Until the new night has its report, people read the one before it.
        read = {report.resolve().with_suffix(path.suffix) for _, report in _links(published_dir, serving_link)}
        _remove_old_nights(published_dir, kept_nights, {path, *replaced, *read})
    return Publication(path, as_of, row_counts)


def report_beside(path: Path) -> Path:
    """Return where the report of a published file lies, or would."""
    return path.with_suffix(".html")


def point_reports(published_dir: Path, serving_link: Path) -> None:
    """Let the reports' links point to the reports of what is served, where those are written.

    Only within `one_at_a_time` on the source's folder. Where BI opens another source, its report stays.
    """
    for served, report in _links(published_dir, serving_link):
        target = report_beside(served.resolve())
        if target.exists() and not (report.exists() and report.samefile(target)):
            point_link(report, target)


def _links(published_dir: Path, serving_link: Path) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """The links to what is served, each with the link to its report: the source's own, and the one of all sources."""
    return (
        (published_dir / CURRENT_LINK_NAME, published_dir / LATEST_REPORT_NAME),
        (serving_link, serving_link.with_name(SERVING_REPORT_NAME)),
    )


def kept_files(published_dir: Path) -> list[KeptNight]:
    """Return the published files of a source, in the order in which they were published."""
    found = []
    for path in published_dir.glob("segments_*.duckdb"):
        match = FILE_PATTERN.fullmatch(path.name)
        if match:
            published_at = datetime.strptime(match["published_at"], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
            found.append(KeptNight(path, date.fromisoformat(match["as_of"]), published_at))
    return sorted(found, key=lambda night: night.published_at)


def served_night(published_dir: Path) -> ServedNight:
    """Return what a source serves; raise SegmentationError where that is nothing, or no file of its own."""
    link = published_dir / CURRENT_LINK_NAME
    if not link.exists():
        raise SegmentationError(f"{link} leads to no file: nothing is published yet. Run `make run` first.")
    kept = kept_files(published_dir)
    served = next((night for night in kept if night.path.samefile(link)), None)
    if served is None:
        raise SegmentationError(f"{link} leads to {link.resolve()}, which `segmentation publish` has not made.")
    since = datetime.fromtimestamp(link.lstat().st_mtime, UTC)
    return ServedNight(served, since, tuple(night for night in kept if night.published_at > served.published_at))


def describe_rollback(published_dir: Path) -> str | None:
    """Say that an earlier file is served than the newest on disk; None where the newest is."""
    try:
        served = served_night(published_dir)
    except SegmentationError:
        # Nothing of this source is served, so nothing earlier is.
        return None
    if not served.newer:
        return None
    return (
        f"An earlier night is served: {served.night.path.name} since {served.since:%Y-%m-%d %H:%M} UTC, though"
        f" {served.newer[-1].path.name} is newer. The next publication serves the new night again; to go back to the"
        f" newest now: segmentation rollback --to {served.newer[-1].path.name}"
    )


def roll_back(published_dir: Path, serving_link: Path, wanted: str | None) -> tuple[ServedNight, ServedNight]:
    """Let the links point to a kept file, verified, as atomically as `publish` does; return what was and is served.

    wanted: an as-of date, for the newest file of that night, or a file's name; None for the file that was published
    before the one that is served. Needs no warehouse. The serving link stays where it leads to another source. Raises
    SegmentationError where the file is not kept, is not sound, or is served already.
    """
    with one_at_a_time(published_dir.parent):
        before = served_night(published_dir)
        path = _wanted_night(published_dir, before, wanted).path
        _verify(path)
        if not serving_link.exists() or serving_link.resolve().parent == published_dir.resolve():
            point_link(serving_link, path)
        point_link(published_dir / CURRENT_LINK_NAME, path)
        point_reports(published_dir, serving_link)
        return before, served_night(published_dir)


def _wanted_night(published_dir: Path, served: ServedNight, wanted: str | None) -> KeptNight:
    kept = kept_files(published_dir)
    names = ", ".join(night.path.name for night in kept)
    if wanted is None:
        earlier = [night for night in kept if night.published_at < served.night.published_at]
        if not earlier:
            raise SegmentationError(
                f"{served.night.path.name} is served, and no file is kept that was published before it ({names})."
            )
        return earlier[-1]
    chosen = [night for night in kept if wanted in (str(night.as_of), night.path.name) or night.path == Path(wanted)]
    if not chosen:
        raise SegmentationError(
            f"{wanted} is not kept in {published_dir}: give the date of a night or the name of a file. There are:"
            f" {names}. What is served is unchanged."
        )
    if chosen[-1].path == served.night.path:
        raise SegmentationError(f"{served.night.path.name} is served already, since {served.since:%Y-%m-%d %H:%M} UTC.")
    return chosen[-1]


def sweep_leftovers(published_dir: Path) -> list[Path]:
    """Remove what a publisher that was killed left behind; return it."""
    leftovers = [path for path in published_dir.glob(".*") if "unfinished" in path.name]
    # Beside a finished file no log may lie: it would make the file unopenable.
    leftovers += list(published_dir.glob("segments_*.duckdb.*"))
    # Of a night that went between its report and its end.
    leftovers += [path for path in published_dir.glob("segments_*.html") if not path.with_suffix(".duckdb").exists()]
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return leftovers


def rewrite_without(path: Path, customers: Collection[str], folder: Path, now: datetime) -> Path | None:
    """Write a published file without some customers under a new name into a folder; None where it holds none of them.

    Every table with a column customer_id loses their rows, all others are copied as they are: figures of segments stay.
    now: names the new file; of two files of a date the later stays the later. Verified as one that is published.
    """
    match = FILE_PATTERN.fullmatch(path.name)
    if match is None:
        raise SegmentationError(f"{path} is no published file.")
    target = folder / f"segments_{match['as_of']}_{now.astimezone(UTC):%Y%m%dT%H%M%S%f}Z.duckdb"
    row_counts: dict[str, int] = {}
    removed = 0
    with duckdb.connect() as connection:
        connection.execute(f"attach '{_quoted(path)}' as kept (read_only)")
        connection.execute("create temporary table forgotten_customers (customer_id varchar)")
        connection.executemany("insert into forgotten_customers values (?)", [[each] for each in sorted(customers)])
        tables = connection.execute(
            "select table_name, list_contains(list(column_name), 'customer_id') from duckdb_columns()"
            " where database_name = 'kept' and schema_name = 'main'"
            " and table_name in (select table_name from duckdb_tables() where database_name = 'kept')"
            " group by table_name order by table_name"
        ).fetchall()
        theirs = "customer_id in (select customer_id from temp.forgotten_customers)"
        for table, is_personal in tables:
            if is_personal:
                found = connection.execute(f'select count(*) from kept."{table}" where {theirs}').fetchall()[0][0]
                removed += int(found)
        if not removed:
            return None
        connection.execute(f"attach '{_quoted(target)}' as publication (storage_version '{STORAGE_VERSION}')")
        connection.execute("begin transaction")
        for table, is_personal in tables:
            condition = f" where not ({theirs})" if is_personal else ""
            connection.execute(f'create table publication."{table}" as select * from kept."{table}"{condition}')
            counted = connection.execute(f'select count(*) from publication."{table}"').fetchall()[0][0]
            row_counts[table] = int(counted)
        views = connection.execute(
            "select sql from duckdb_views() where database_name = 'kept' and schema_name = 'main' and not internal"
        ).fetchall()
        _describe(connection)
        connection.execute("use publication")
        for (sql,) in views:
            connection.execute(sql)
        connection.execute("use memory")
        connection.execute("commit")
        connection.execute("checkpoint publication")
        connection.execute("detach publication")
    _verify(target, row_counts)
    return target


def export_segments(link: Path, target: Path) -> int:
    """Write the current segments of the served file as CSV or Parquet, by the target's ending; return the rows."""
    # Without a temporary file of DuckDB's own, which a killed export would leave behind.
    options = {
        ".csv": "(format csv, header, use_tmp_file false)",
        ".parquet": "(format parquet, use_tmp_file false)",
    }.get(target.suffix.lower())
    if options is None:
        raise SegmentationError(f"{target}: the ending must be .csv or .parquet.")
    if not link.exists():
        raise SegmentationError(f"{link} does not exist: nothing is published yet. Run `make run` first.")
    if not target.parent.is_dir():
        raise SegmentationError(f"{target.parent} is no folder: create it first.")
    with written_whole(target) as unfinished, duckdb.connect(str(link), read_only=True) as connection:
        quoted = _quoted(unfinished)
        connection.execute(f"copy (select * from customer_segments order by lens, customer_id) to '{quoted}' {options}")
        rows = connection.execute("select count(*) from customer_segments").fetchall()[0][0]
    return int(rows)


def _write(warehouse_path: Path, target: Path, run_log_path: Path) -> tuple[date, dict[str, int]]:
    row_counts = {}
    # What it spills lies where it is swept, not in whichever folder the command was run in.
    with duckdb.connect(config={"temp_directory": str(target.with_suffix(".spilled"))}) as connection:
        with locks_explained(warehouse_path):
            connection.execute(f"attach '{_quoted(warehouse_path)}' as private_warehouse (read_only)")
        connection.execute(f"attach '{_quoted(target)}' as publication (storage_version '{STORAGE_VERSION}')")
        connection.execute("begin transaction")
        marts = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'private_warehouse'"
            " and schema_name = 'marts' order by table_name"
        ).fetchall()
        for (table,) in marts:
            # What dbt names `__dbt_…` is a table on its way, which a kill may have left there.
            if table in INTERNAL_MARTS or "__dbt_" in table:
                continue
            # In one order, so that two files of the same rows are alike.
            connection.execute(
                f"create table publication.{table} as select * from private_warehouse.marts.{table} order by all"
            )
        connection.register("run_log_rows", _run_log_rows(run_log_path))
        connection.execute("create table publication.run_log as select * from run_log_rows order by started_at")
        _describe(connection)
        connection.execute("use publication")
        connection.execute(DAILY_VIEW)
        connection.execute("use memory")
        connection.execute("commit")
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'publication' order by table_name"
        ).fetchall()
        for (table,) in tables:
            row_counts[table] = connection.execute(f"select count(*) from publication.{table}").fetchall()[0][0]
        as_of = connection.execute("select max(as_of_date) from publication.customer_segments").fetchall()[0][0]
        if as_of is None:
            raise SegmentationError("The marts hold no current segments: nothing is published.")
        connection.execute("checkpoint publication")
        connection.execute("detach publication")
    return as_of, row_counts


def _describe(connection: duckdb.DuckDBPyConnection) -> None:
    """Let every table and column of the publication say what it means, to whatever tool shows comments."""
    written = column_descriptions()
    columns = connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = 'publication' order by all"
    ).fetchall()
    for table in sorted({table for table, _ in columns} & written.keys()):
        if text := written[table].get(""):
            connection.execute(f"comment on table publication.{table} is '{_doubled(text)}'")
    for table, column in columns:
        found = written.get(table, {})
        # A column that there is for each lens is described once for all of them.
        of_any_lens = (name for name in found if LENS in name and column.endswith(name.removeprefix(LENS)))
        if text := found.get(column) or found.get(next(of_any_lens, column)):
            connection.execute(f"comment on column publication.{table}.\"{column}\" is '{_doubled(text)}'")


def _run_log_rows(run_log_path: Path) -> pa.Table:
    schema = pa.schema(
        [
            ("run_id", pa.string()),
            ("as_of_date", pa.date32()),
            ("step", pa.string()),
            ("attempt", pa.int32()),
            ("started_at", pa.timestamp("us")),
            ("ended_at", pa.timestamp("us")),
            ("outcome", pa.string()),
            ("details", pa.string()),
        ]
    )
    rows = [
        {
            "run_id": entry.run_id,
            "as_of_date": entry.as_of,
            "step": entry.step,
            "attempt": entry.attempt,
            "started_at": entry.started_at,
            "ended_at": entry.ended_at,
            "outcome": entry.outcome,
            "details": json.dumps(entry.details, sort_keys=True) if entry.details else None,
        }
        for entry in read_run_log(run_log_path)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _verify(path: Path, row_counts: Mapping[str, int] | None = None) -> None:
    """Open the file as a reader would; raise SegmentationError where it is unsound or not what was written.

    row_counts: what was written, where that is known.
    """
    try:
        _verify_content(path, row_counts or {})
    except duckdb.Error as error:
        raise SegmentationError(f"{path} cannot be read: {error}. The file is not served.") from error


def _verify_content(path: Path, row_counts: Mapping[str, int]) -> None:
    with duckdb.connect(str(path), read_only=True) as connection:
        for table, expected in row_counts.items():
            found = connection.execute(f"select count(*) from {table}").fetchall()[0][0]
            if found != expected:
                raise SegmentationError(f"{path}: {table} holds {found} rows, {expected} were written.")
        labels, doubled = connection.execute(
            "select count(*), count(*) - count(distinct (lens, customer_id)) from customer_segments"
        ).fetchall()[0]
        daily = connection.execute(
            # Each lens at its own date: one that is switched off has a history and no current segments.
            "select count(*) from customer_segments_daily"
            " where (lens, as_of_date) in (select (lens, as_of_date) from customer_segments)"
        ).fetchall()[0][0]
        if doubled or daily != labels:
            raise SegmentationError(
                f"{path}: {doubled} customers are labelled twice; the history gives {daily} labels for the current "
                f"date, customer_segments {labels}. The file is not served."
            )


def _remove_old_nights(published_dir: Path, kept_nights: int, in_use: Set[Path]) -> None:
    """Keep the newest file of each of the last nights, and those in use whatever their date."""
    files = kept_files(published_dir)
    newest = {night.as_of: night.path for night in files}
    last_nights = {newest[as_of] for as_of in sorted(newest)[-kept_nights:]}
    resolved = {path.resolve() for path in in_use}
    for night in files:
        if night.path not in last_nights and night.path.resolve() not in resolved:
            report_beside(night.path).unlink(missing_ok=True)
            night.path.unlink()


def _quoted(path: Path) -> str:
    return _doubled(str(path))


def _doubled(text: str) -> str:
    """A text for between single quotes, where SQL takes no parameter."""
    return text.replace("'", "''")
