"""What the warehouse keeps of past dates and models, and what it lets go; the history and the registry stay whole."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from segmentation_job.warehouse.interface import Warehouse
from segmentation_job.warehouse.tables import FEATURE_TABLES, FORECAST_TABLES

DATED_TABLES: dict[str, tuple[str, ...]] = {
    "features": FEATURE_TABLES,
    "forecasts": (*FORECAST_TABLES, "category_month_demand"),
    "labels": ("labels",),
}
"""Promoted tables by as-of date whose rows go with the date, by kind. Runs, what they rest on and alarms stay."""

MODEL_PARTS = ("model_origins", "model_samples", "model_candidates")
"""Promoted tables whose rows go with a model that nothing uses; the model itself and its segments stay."""


@dataclass(frozen=True)
class Leaving:
    """What goes of one kind. dates, rows: how many; dates is 0 where the kind has none."""

    kind: str
    dates: int
    rows: int


@dataclass(frozen=True)
class WarehouseRetention:
    """What of the warehouse is not kept any more.

    newest: the newest labelled date; None where there is none. kept, dropped: promoted dates, ascending. versions:
    models whose origins, samples and candidates go. leaving: the same counted, kinds without rows left out.
    """

    newest: date | None
    kept: tuple[date, ...]
    dropped: tuple[date, ...]
    versions: tuple[str, ...]
    leaving: tuple[Leaving, ...]


def is_kept_for_good(day: date) -> bool:
    """Say whether the features and labels of a date stay however old it gets: the firsts of months.

    As of the first is the end of the month before it; refit dates and the anchors of labels are firsts too.
    """
    return day.day == 1


def kept_of(dates: Collection[date], newest: date, feature_days: int, current: Collection[date]) -> set[date]:
    """Return the dates that stay: of the last days, the firsts of months, and those that are served.

    newest: the newest labelled date. feature_days: days before it for which every date stays. current: the newest
    date of each lens, which the marts read whatever its age.
    """
    start = newest - timedelta(days=feature_days)
    return {day for day in dates if day >= start or is_kept_for_good(day) or day in current}


def dates_under_way(warehouse: Warehouse) -> list[date]:
    """Return the dates whose run is planned and not promoted, ascending: it may read any promoted date."""
    return [day for (day,) in warehouse.rows("select distinct run_date from pipeline.plans order by run_date")]


def find_what_goes(warehouse: Warehouse, feature_days: int) -> WarehouseRetention:
    """Find the dates and models that are not kept any more, and count what goes with them. Changes nothing.

    feature_days: as in `kept_of`.
    """
    promoted = [day for (day,) in warehouse.rows("select as_of_date from promoted.dates order by as_of_date")]
    labelled = {day for (day,) in warehouse.rows("select as_of_date from promoted.dates where has_labels")}
    if not labelled:
        return WarehouseRetention(None, tuple(promoted), (), (), ())
    current = {day for (day,) in warehouse.rows("select max(as_of_date) from promoted.runs group by lens")}
    kept = kept_of(promoted, max(labelled), feature_days, current)
    dropped = tuple(day for day in promoted if day not in kept)
    versions = _unused_versions(warehouse, kept & labelled)
    leaving = [
        _dated(warehouse, kind, [f"promoted.{table}" for table in tables], dropped)
        for kind, tables in DATED_TABLES.items()
    ]
    leaving += [
        Leaving(table.replace("_", " "), 0, _rows_of_versions(warehouse, f"promoted.{table}", versions))
        for table in MODEL_PARTS
    ]
    return WarehouseRetention(
        max(labelled),
        tuple(day for day in promoted if day in kept),
        dropped,
        versions,
        tuple(each for each in leaving if each.rows),
    )


def drop_what_goes(warehouse: Warehouse, going: WarehouseRetention) -> None:
    """Take away what `find_what_goes` found, in one transaction, and give the room back."""
    with warehouse.transaction():
        _note_dates(warehouse, going.dropped)
        for table in (table for tables in DATED_TABLES.values() for table in tables):
            if warehouse.has_table(f"promoted.{table}"):
                warehouse.rows(
                    f"delete from promoted.{table} where as_of_date in (select as_of_date from dates_to_drop)"
                )
        warehouse.rows("delete from promoted.dates where as_of_date in (select as_of_date from dates_to_drop)")
        if warehouse.has_table("promoted.feature_inputs"):
            # What a run counted of its rows is published with the run.
            warehouse.rows(
                "delete from promoted.feature_inputs where as_of_date in (select as_of_date from dates_to_drop)"
                " and as_of_date not in (select as_of_date from promoted.runs)"
            )
        warehouse.rows("drop table dates_to_drop")
        for table in MODEL_PARTS:
            for version in going.versions:
                warehouse.rows(f"delete from promoted.{table} where model_version = ?", (version,))
    warehouse.give_back_room()


def _unused_versions(warehouse: Warehouse, kept_labelled: Collection[date]) -> tuple[str, ...]:
    """The models that no refit, no kept run and no run beside one uses, and of which more than the model is there.

    The runs beside a kept one say, where it is run again, why a customer changed between the two.
    """
    used = {
        str(version)
        for (version,) in warehouse.rows(
            "select model_version from promoted.lineage where model_version is not null"
            " union select model_version from candidate.lineage where model_version is not null"
            " union select model_version from candidate.runs"
        )
    }
    by_lens: dict[str, list[tuple[date, str]]] = {}
    for lens, day, version in warehouse.rows(
        "select lens, as_of_date, model_version from promoted.runs order by lens, as_of_date"
    ):
        by_lens.setdefault(str(lens), []).append((day, str(version)))
    for runs in by_lens.values():
        used |= {version for day, version in runs if day in kept_labelled}
        for (day, version), (next_day, next_version) in pairwise(runs):
            if day in kept_labelled or next_day in kept_labelled:
                used |= {version, next_version}
    parts = " union ".join(f"select model_version from promoted.{table}" for table in MODEL_PARTS)
    stored = {str(version) for (version,) in warehouse.rows(parts)}
    return tuple(sorted(stored - used))


def _dated(warehouse: Warehouse, kind: str, tables: Iterable[str], dropped: Collection[date]) -> Leaving:
    going: set[date] = set()
    rows = 0
    for table in tables:
        if not dropped or not warehouse.has_table(table):
            continue
        for day, count in warehouse.rows(f"select as_of_date, count(*) from {table} group by as_of_date"):
            if day in dropped:
                going.add(day)
                rows += int(count)
    return Leaving(kind, len(going), rows)


def _rows_of_versions(warehouse: Warehouse, table: str, versions: Collection[str]) -> int:
    counts = {
        str(version): int(count)
        for version, count in warehouse.rows(f"select model_version, count(*) from {table} group by model_version")
    }
    return sum(counts.get(version, 0) for version in versions)


def _note_dates(warehouse: Warehouse, days: Collection[date]) -> None:
    warehouse.rows("create or replace temporary table dates_to_drop (as_of_date date)")
    for day in days:
        warehouse.rows("insert into dates_to_drop values (?)", (day,))
