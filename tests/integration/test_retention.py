"""What retention drops is had again at any time: dates over three refits, dropped, run again, put in between.

On real promotion, on the features of a small simulated shop. Beside it the same dates, never dropped.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from segmentation_job.runs.retention import WarehouseRetention, drop_what_goes, find_what_goes
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.warehouse.tables import FEATURE_TABLES
from tests.support.prebuilt import CONVERGING_TABLES, PrebuiltNights, prebuilt_nights
from tests.support.summer_shop import FIRST_REFIT, SECOND_REFIT, THIRD_REFIT, built_summer, summer_lens

KEPT_DAYS = 10
# The refit of July lies between two dates that are dropped, that of August before one that is and one that is not.
DROPPED = (date(2025, 6, 11), date(2025, 6, 24), date(2025, 7, 2), date(2025, 7, 17))
KEPT = (THIRD_REFIT, date(2025, 8, 11))
# Never run before: between two dropped dates, of two models and of one.
NEW = (date(2025, 6, 25), date(2025, 7, 10))


def retain(nights: PrebuiltNights) -> WarehouseRetention:
    with nights.warehouse() as warehouse:
        going = find_what_goes(warehouse, KEPT_DAYS)
        drop_what_goes(warehouse, going)
    return going


@pytest.fixture(scope="module")
def all_kept(tmp_path_factory: pytest.TempPathFactory) -> PrebuiltNights:
    built = built_summer(tmp_path_factory).settings
    path = tmp_path_factory.mktemp("all_kept") / "warehouse.duckdb"
    # What is chosen is not what this is about, and choosing takes most of the time.
    lens = replace(summer_lens(), k_max=4, algorithms=("kmeans",))
    nights = prebuilt_nights(built.warehouse_path, path, [lens], read_logic_versions(built), threads=1)
    nights.run_all((*DROPPED, *KEPT))
    return nights


@pytest.fixture(scope="module")
def retained(all_kept: PrebuiltNights, tmp_path_factory: pytest.TempPathFactory) -> PrebuiltNights:
    nights = all_kept.copy(tmp_path_factory.mktemp("retained") / "warehouse.duckdb")
    retain(nights)
    return nights


def table_rows(nights: PrebuiltNights, table: str, days: tuple[date, ...] | None = None) -> list[tuple[Any, ...]]:
    """The rows of a converging table, of all dates or of some."""
    columns = CONVERGING_TABLES[table]
    if days is None:
        return nights.rows(f"select {columns} from promoted.{table} order by all")
    places = ", ".join("?" for _ in days)
    return nights.rows(f"select {columns} from promoted.{table} where as_of_date in ({places}) order by all", days)


def different_tables(one: PrebuiltNights, other: PrebuiltNights, labelled: tuple[date, ...]) -> list[str]:
    """The tables that differ; of the labels those of some dates count."""
    return [
        table
        for table in CONVERGING_TABLES
        if table_rows(one, table, labelled if table == "labels" else None)
        != table_rows(other, table, labelled if table == "labels" else None)
    ]


def test_only_the_last_days_the_firsts_of_months_and_what_is_served_keep_features_and_labels(
    all_kept: PrebuiltNights, retained: PrebuiltNights
) -> None:
    before = {day for (day,) in all_kept.rows("select as_of_date from promoted.dates")}
    kept = {day for (day,) in retained.rows("select as_of_date from promoted.dates")}
    assert kept == {day for day in before if day >= THIRD_REFIT or day.day == 1}
    assert {FIRST_REFIT, SECOND_REFIT} <= kept
    for table in (*FEATURE_TABLES, "labels", "customer_forecasts", "forecast_models"):
        left = {day for (day,) in retained.rows(f"select distinct as_of_date from promoted.{table}")}
        assert left <= kept, table
    assert {day for (day,) in retained.rows("select distinct as_of_date from promoted.labels")} == set(KEPT)
    # The published run of a dropped date says how many rows went into it.
    inputs = {day for (day,) in retained.rows("select as_of_date from promoted.feature_inputs")}
    assert inputs == kept | set(DROPPED)


def test_history_runs_and_registry_stay_whole_and_nothing_kept_becomes_stale(
    all_kept: PrebuiltNights, retained: PrebuiltNights
) -> None:
    assert different_tables(all_kept, retained, KEPT) == []
    for table in ("models", "model_segments", "model_origins", "segments", "segment_parents", "registry_events"):
        sql = f"select * from promoted.{table} order by all"
        assert all_kept.rows(sql) == retained.rows(sql), table
    assert retained.stale() == []


def test_a_second_retention_finds_nothing(retained: PrebuiltNights) -> None:
    with retained.warehouse() as warehouse:
        going = find_what_goes(warehouse, KEPT_DAYS)
    assert (going.dropped, going.versions, going.leaving) == ((), (), ())


def test_dates_run_again_give_the_same_labels_and_history_and_go_again_with_all_that_they_needed(
    all_kept: PrebuiltNights, retained: PrebuiltNights, tmp_path: Path
) -> None:
    nights = retained.copy(tmp_path / "warehouse.duckdb")
    labelled: tuple[date, ...] = KEPT
    for day in (DROPPED[3], DROPPED[0], KEPT[0]):
        nights.run(day)
        labelled = (*labelled, day)
        assert (day, different_tables(all_kept, nights, labelled)) == (day, [])
    assert nights.stale() == []
    features_only = {day for (day,) in nights.rows("select as_of_date from promoted.dates where not has_labels")}
    # A date says of the one after it what its model makes of it.
    assert DROPPED[1] in features_only
    going = retain(nights)
    assert {DROPPED[0], DROPPED[1], DROPPED[3]} <= set(going.dropped)
    dates = "select * from promoted.dates order by all"
    assert nights.rows(dates) == retained.rows(dates)


def test_new_dates_put_between_dropped_ones_come_out_as_between_kept_ones(
    all_kept: PrebuiltNights, retained: PrebuiltNights, tmp_path: Path
) -> None:
    straight = all_kept.copy(tmp_path / "straight.duckdb")
    nights = retained.copy(tmp_path / "retained.duckdb")
    for each in (straight, nights):
        each.run_all(NEW)
    assert nights.stale() == []
    assert different_tables(straight, nights, (*KEPT, *NEW)) == []
    causes = {cause for (cause,) in nights.rows("select distinct change_cause from promoted.label_history")}
    assert {"new", "customer_moved", "model_changed"} <= causes


def test_a_model_that_nothing_uses_keeps_its_row_and_gets_the_rest_back_where_it_is_fitted_again(
    all_kept: PrebuiltNights, retained: PrebuiltNights, tmp_path: Path
) -> None:
    nights = retained.copy(tmp_path / "warehouse.duckdb")
    with nights.warehouse() as warehouse:
        # As if a repair had replaced the first model, and taken it back later.
        for table in ("lineage", "lineage_dates"):
            warehouse.rows(f"delete from promoted.{table} where refit_date = ?", (FIRST_REFIT,))
        going = find_what_goes(warehouse, KEPT_DAYS)
        drop_what_goes(warehouse, going)
    models = dict(all_kept.rows("select fitted_as_of, model_version from promoted.models"))
    # July's is used by the date before a kept one, which says with it why a customer changed.
    assert going.versions == (models[FIRST_REFIT],)
    origins = "select * from promoted.model_origins order by all"
    assert len(nights.rows(origins)) < len(all_kept.rows(origins))
    models_left = "select * from promoted.models order by all"
    assert nights.rows(models_left) == all_kept.rows(models_left)
    nights.run(DROPPED[0])
    for table in ("models", "model_origins", "model_samples", "model_candidates", "model_segments"):
        sql = f"select * from promoted.{table} order by all"
        assert nights.rows(sql) == all_kept.rows(sql), table
    assert table_rows(nights, "labels", DROPPED[:1]) == table_rows(all_kept, "labels", DROPPED[:1])
