"""Retention as a command: the warehouse and the logs of a source, what goes and what went."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from segmentation_job.old_logs import KEPT_RUN_LOG_DAYS, OldLogs, find_old_logs, remove_old_logs
from segmentation_job.run_log import read_run_log
from segmentation_job.runs.retention import WarehouseRetention, dates_under_way, drop_what_goes, find_what_goes
from segmentation_job.sizes import in_words
from segmentation_job.warehouse import open_warehouse

if TYPE_CHECKING:
    from rich.console import Console

    from segmentation_job.settings import Settings

UNDER_WAY: Final = timedelta(days=2)
"""A run that did nothing for so long is not under way any more: it failed, and starts from its first step again."""


@dataclass(frozen=True)
class Retention:
    """What a retention dropped, or would drop.

    warehouse: None where the warehouse was left alone: there is none, or runs are under_way, which may read any date.
    bytes_before, bytes_after: that the warehouse's rows took; after None where nothing was changed.
    """

    dry_run: bool
    warehouse: WarehouseRetention | None
    under_way: tuple[date, ...]
    bytes_before: int
    bytes_after: int | None
    logs: tuple[OldLogs, ...]


def retain_what_is_kept(settings: Settings, *, now: datetime, dry_run: bool) -> Retention:
    """Drop what is not kept any more of a source's warehouse and of the logs.

    now: with a time zone. dry_run: only find it. Raises WarehouseLockedError where another process has the warehouse.
    """
    going = None
    under_way: tuple[date, ...] = ()
    before, after = 0, None
    if settings.warehouse_path.exists():
        with open_warehouse(settings) as warehouse:
            under_way = _still_working(dates_under_way(warehouse), settings.run_log_path, now)
            before = warehouse.bytes_in_use()
            if not under_way:
                going = find_what_goes(warehouse, settings.kept_feature_days)
                if not dry_run:
                    drop_what_goes(warehouse, going)
                    after = warehouse.bytes_in_use()
    logs = find_old_logs(settings, now)
    if not dry_run:
        remove_old_logs(settings, logs, now)
    return Retention(dry_run, going, under_way, before, after, tuple(logs))


def print_retention(retention: Retention, settings: Settings, console: Console) -> None:
    """Print by kind what went or would go, and what the rules keep."""
    would = "would go" if retention.dry_run else "went"
    console.print(_kept_in_words(retention.warehouse, settings), soft_wrap=True)
    if retention.under_way:
        console.print(
            f"Left alone: the warehouse, for runs are under way that may read any date ({_days(retention.under_way)}). "
            "Retain again when they have ended.",
            soft_wrap=True,
        )
    table = Table(title=f"What {would}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("kind")
    for column in ("dates", "rows", "files", "bytes"):
        table.add_column(column, justify="right")
    leaving = retention.warehouse.leaving if retention.warehouse is not None else ()
    for each in leaving:
        table.add_row(each.kind, f"{each.dates:,}" if each.dates else "", f"{each.rows:,}", "", "")
    for logs in retention.logs:
        lines = f"{logs.lines:,}" if logs.lines else ""
        table.add_row(logs.kind, "", lines, f"{len(logs.files):,}" if logs.files else "", in_words(logs.size))
    if not leaving and not retention.logs:
        console.print(f"Nothing {would}.")
    else:
        console.print(table)
    going = retention.warehouse
    if going is not None and going.dropped:
        console.print(f"Dates: {_days(going.dropped)}", soft_wrap=True)
    if going is not None and going.versions:
        console.print(f"Models that nothing uses: {', '.join(going.versions)}", soft_wrap=True)
    if retention.bytes_after is not None:
        console.print(
            f"The warehouse's rows take {in_words(retention.bytes_after)}, {in_words(retention.bytes_before)} before; "
            "the file keeps its size and new rows take the room.",
            soft_wrap=True,
        )
    if retention.dry_run:
        console.print("Nothing was changed.")


def _still_working(planned: Sequence[date], run_log_path: Path, now: datetime) -> tuple[date, ...]:
    since = now.replace(tzinfo=None) - (now.utcoffset() or timedelta()) - UNDER_WAY
    recent = {entry.as_of for entry in read_run_log(run_log_path) if (entry.ended_at or entry.started_at) >= since}
    return tuple(day for day in planned if day in recent)


def _kept_in_words(going: WarehouseRetention | None, settings: Settings) -> str:
    start = f"Kept: features, labels and forecasts of {settings.kept_feature_days} days"
    if going is not None and going.newest is not None:
        start += f" before {going.newest}"
    return (
        f"{start} and of the firsts of months; models that a refit or a kept date uses; logs of"
        f" {settings.kept_log_days} days, the run log of {KEPT_RUN_LOG_DAYS}; the history, runs and registry for good."
    )


def _days(days: Collection[date]) -> str:
    """Dates as ranges: 2025-06-04, 2025-06-20 to 2025-06-22."""
    ranges: list[list[date]] = []
    for day in sorted(days):
        if ranges and day - ranges[-1][1] == timedelta(days=1):
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges)
