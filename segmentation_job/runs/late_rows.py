"""Rows that arrived for days of the past: counted, since they make dates of the past stale."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from segmentation_job.warehouse.interface import Warehouse

DayContents = Mapping[tuple[str, date], tuple[int, str]]
"""By entity and day: rows, and the hash of their content."""


@dataclass(frozen=True)
class LateRows:
    """What changed of the days before the horizon since the facts were last built.

    days: that changed, ascending. rows_more, rows_fewer: rows of these days that came to it or went. entities: whose
    rows they are, by name.
    """

    days: tuple[date, ...]
    rows_more: int
    rows_fewer: int
    entities: tuple[str, ...]


def read_day_contents(warehouse: Warehouse) -> DayContents | None:
    """Return what the facts were last built from, by entity and day; None before they are first built."""
    if not warehouse.has_table("intermediate.int_input_hashes"):
        return None
    found = warehouse.rows("select entity, event_date, row_count, content_hash from intermediate.int_input_hashes")
    return {(str(entity), day): (int(rows), str(content)) for entity, day, rows, content in found if day is not None}


def late_rows(before: DayContents, after: DayContents, as_of: date, late_horizon_days: int) -> LateRows:
    """Compare two builds of the facts on the days that no nightly run repairs by itself: those before the horizon.

    A row dated on the horizon's first day touches that date's successor first, which lies within it.
    """
    horizon = as_of - timedelta(days=late_horizon_days)
    days, entities = set(), set()
    more = fewer = 0
    for key in before.keys() | after.keys():
        entity, day = key
        # The first as-of date that a row of a day touches is the day after it.
        if day + timedelta(days=1) >= horizon or before.get(key) == after.get(key):
            continue
        days.add(day)
        entities.add(entity)
        difference = after.get(key, (0, ""))[0] - before.get(key, (0, ""))[0]
        more, fewer = more + max(difference, 0), fewer + max(-difference, 0)
    return LateRows(tuple(sorted(days)), more, fewer, tuple(sorted(entities)))


def describe_late_rows(late: LateRows, late_horizon_days: int) -> str:
    """Say it in a sentence; empty where nothing came late."""
    if not late.days:
        return ""
    first, last = late.days[0], late.days[-1]
    span = f"on {first}" if first == last else f"on {len(late.days)} days from {first} to {last}"
    return (
        f"Late rows: {late.rows_more:,} more and {late.rows_fewer:,} fewer rows of {', '.join(late.entities)} {span}, "
        f"before the late_horizon_days={late_horizon_days} that the nightly run repairs."
    )
