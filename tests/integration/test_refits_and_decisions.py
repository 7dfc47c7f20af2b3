"""Many dates over three refits, in any order; what people decide about segments and models; on real promotion.

The features are those of a small simulated shop, built once by dbt for every day of a summer.
"""

import itertools
import random
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from segmentation_job.runs.decisions import Decision, DecisionKind
from segmentation_job.runs.forgetting import forget_in_warehouse, read_truth
from segmentation_job.runs.versions import read_logic_versions
from segmentation_job.runs.watching import watch_dates
from segmentation_job.segments.lenses import Lens
from tests.measurements.shops import BuiltFeatures
from tests.support.prebuilt import PrebuiltNights, prebuilt_nights
from tests.support.summer_shop import FIRST_REFIT, SECOND_REFIT, THIRD_REFIT, built_summer, summer_lens

# A Monday, old enough for a check against 56 nights before.
LAST_DATE = date(2025, 8, 11)
DATES = (date(2025, 6, 4), date(2025, 6, 20), SECOND_REFIT, date(2025, 7, 2), date(2025, 7, 17), LAST_DATE)
DECIDED_AT = datetime.fromisoformat("2025-06-25 09:00")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltFeatures:
    return built_summer(tmp_path_factory)


@pytest.fixture(scope="module")
def lens() -> Lens:
    return summer_lens()


@pytest.fixture(scope="module")
def fresh(built: BuiltFeatures, lens: Lens, tmp_path_factory: pytest.TempPathFactory) -> PrebuiltNights:
    path = tmp_path_factory.mktemp("fresh") / "warehouse.duckdb"
    return prebuilt_nights(built.settings.warehouse_path, path, [lens], read_logic_versions(built.settings))


@pytest.fixture(scope="module")
def in_order(fresh: PrebuiltNights, tmp_path_factory: pytest.TempPathFactory) -> PrebuiltNights:
    nights = fresh.copy(tmp_path_factory.mktemp("in_order") / "warehouse.duckdb")
    nights.run_all(DATES)
    return nights


def test_nothing_is_stale_after_dates_in_their_order(in_order: PrebuiltNights) -> None:
    assert in_order.stale() == []
    assert len(in_order.rows("select * from promoted.lineage where model_version is not null")) == 3


@pytest.mark.parametrize("threads", [1, 4])
def test_dates_in_another_order_converge_to_the_same_rows_once_repaired(
    in_order: PrebuiltNights, fresh: PrebuiltNights, tmp_path: Path, threads: int
) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb", threads=threads, batch_size=77)
    order = list(reversed(DATES)) if threads == 1 else random.Random(7).sample(DATES, len(DATES))
    assert tuple(order) != DATES
    nights.run_all(order)
    assert nights.repair()
    straight, other = in_order.converging_rows(), nights.converging_rows()
    assert {table: rows for table, rows in straight.items() if rows != other[table]} == {}


def test_within_one_model_a_date_alone_equals_the_same_date_in_order(
    in_order: PrebuiltNights, fresh: PrebuiltNights, tmp_path: Path
) -> None:
    alone = fresh.copy(tmp_path / "warehouse.duckdb")
    alone.run(DATES[1])
    labels = "select * from promoted.labels where as_of_date = ? order by all"
    assert alone.rows(labels, [DATES[1]]) == in_order.rows(labels, [DATES[1]])
    assert alone.stale() == []


def test_a_monday_is_checked_on_its_dates_and_no_other_day_is(in_order: PrebuiltNights) -> None:
    leant_on = {
        day: {
            other
            for (other,) in in_order.rows("select leans_on_date from promoted.run_dates where as_of_date = ?", [day])
        }
        for day in DATES
    }
    assert leant_on[LAST_DATE].issuperset(watch_dates(LAST_DATE, FIRST_REFIT))
    assert THIRD_REFIT in leant_on[LAST_DATE]
    alarms = in_order.rows("select as_of_date, kind, evidence, proposal from promoted.segment_alarms")
    assert {day for day, *_ in alarms} <= {LAST_DATE}
    assert all(evidence and proposal for _, _, evidence, proposal in alarms)


def test_surviving_segments_keep_key_id_and_name_over_the_refits(in_order: PrebuiltNights) -> None:
    by_refit = {
        refit: dict(
            in_order.rows(
                "select segments.segment_key, segments.segment_id || ' ' || segments.name"
                " from promoted.lineage as lineage"
                " inner join promoted.model_segments as own on lineage.model_version = own.model_version"
                " inner join promoted.segments as segments on own.segment_key = segments.segment_key"
                " where lineage.refit_date = ?",
                [refit],
            )
        )
        for refit in (FIRST_REFIT, SECOND_REFIT, THIRD_REFIT)
    }
    for earlier, later in itertools.pairwise(by_refit.values()):
        survivors = earlier.keys() & later.keys()
        assert survivors
        assert {earlier[key] for key in survivors} == {later[key] for key in survivors}
    ids = in_order.rows("select segment_id, count(distinct segment_key) from promoted.segments group by segment_id")
    assert {count for _, count in ids} == {1}


def test_the_causes_of_a_change_add_up_and_only_a_refit_makes_the_model_a_cause(in_order: PrebuiltNights) -> None:
    causes = in_order.rows("select valid_from, change_cause, count(*) from promoted.label_history group by all")
    by_model = {day for day, cause, _ in causes if cause in ("model_changed", "both")}
    # July's model is met first on its refit date, August's on the first date run after it.
    assert by_model <= {SECOND_REFIT, LAST_DATE}
    labels = in_order.rows("select as_of_date, customer_id, segment_key from promoted.labels")
    by_date: dict[date, dict[str, str]] = {day: {} for day in DATES}
    for day, customer, key in labels:
        by_date[day][customer] = key
    moved: Counter[date] = Counter()
    for day, cause, count in causes:
        if cause in ("customer_moved", "model_changed", "both"):
            moved[day] += count
    assert moved
    for before, after in itertools.pairwise(DATES):
        changed = sum(by_date[after][who] != key for who, key in by_date[before].items() if who in by_date[after])
        assert moved[after] == changed


def decided(kind: DecisionKind, refit_date: date, effective_from: date, minute: int = 0) -> Decision:
    return Decision(
        decided_at=DECIDED_AT + timedelta(minutes=minute),
        kind=kind,
        lens="overall",
        refit_date=refit_date,
        effective_from=effective_from,
    )


def model_of(nights: PrebuiltNights, as_of: date) -> date:
    ((fitted,),) = nights.rows(
        "select models.fitted_as_of from promoted.runs as runs inner join promoted.models as models"
        " on runs.model_version = models.model_version where runs.as_of_date = ?",
        [as_of],
    )
    fitted_as_of: date = fitted
    return fitted_as_of


def test_a_held_model_changes_nothing_and_an_approved_one_counts_from_the_next_date(
    fresh: PrebuiltNights, tmp_path: Path
) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb")
    nights.run(date(2025, 6, 20))
    nights.decisions.append(decided(DecisionKind.HOLD, SECOND_REFIT, date(2025, 6, 21)))
    nights.run(SECOND_REFIT)
    nights.run(date(2025, 7, 10))
    assert {model_of(nights, day) for day in (SECOND_REFIT, date(2025, 7, 10))} == {FIRST_REFIT}
    causes = nights.rows("select distinct change_cause from promoted.label_history where valid_from >= '2025-07-01'")
    assert {cause for (cause,) in causes} <= {"new", "customer_moved", "left"}

    before = nights.rows("select * from promoted.labels where as_of_date <= '2025-07-10' order by all")
    nights.decisions.append(decided(DecisionKind.APPROVE, SECOND_REFIT, date(2025, 7, 11), 1))
    assert nights.stale() == []
    nights.run(date(2025, 7, 17))
    assert model_of(nights, date(2025, 7, 17)) == SECOND_REFIT
    assert nights.rows("select * from promoted.labels where as_of_date <= '2025-07-10' order by all") == before
    assert nights.stale() == []
    kinds = nights.rows("select event from promoted.registry_events where subject = 'model' order by event_number")
    assert [event for (event,) in kinds] == ["fitted", "fitted", "hold", "approve"]


def test_after_a_held_refit_the_labels_stand_on_the_first_of_the_month(fresh: PrebuiltNights, tmp_path: Path) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb")
    nights.run(date(2025, 6, 20))
    nights.decisions.append(decided(DecisionKind.HOLD, SECOND_REFIT, date(2025, 6, 21)))
    nights.run(date(2025, 7, 17))
    assert model_of(nights, date(2025, 7, 17)) == FIRST_REFIT
    leant_on = {
        day
        for (day,) in nights.rows("select leans_on_date from promoted.run_dates where as_of_date = date '2025-07-17'")
    }
    assert {SECOND_REFIT - timedelta(days=2), SECOND_REFIT - timedelta(days=1), SECOND_REFIT} <= leant_on


def test_a_renamed_segment_keeps_its_name_over_two_refits(fresh: PrebuiltNights, tmp_path: Path) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb")
    nights.run(date(2025, 6, 20))
    ((key, segment_id),) = nights.rows(
        "select segment_key, segment_id from promoted.segments order by segment_id limit 1"
    )
    nights.decisions.append(
        Decision(
            DECIDED_AT, DecisionKind.RENAME, "overall", segment_key=key, segment_id=segment_id, name="The regulars"
        )
    )
    nights.run_all([date(2025, 7, 2), date(2025, 8, 6)])
    assert nights.published_names()[segment_id] == "The regulars"
    assert len(nights.published_names()) > 1
    # No segment born later takes the name.
    assert nights.rows("select 1 from promoted.segments where name = 'The regulars'") == []

    # Its line is taken out of the file: the next run takes it back.
    nights.decisions.clear()
    nights.run(date(2025, 8, 6))
    assert nights.published_names()[segment_id] != "The regulars"
    events = nights.rows(
        "select event from promoted.registry_events where subject_key = ? order by event_number", [key]
    )
    assert [event for (event,) in events] == ["born", "renamed", "decision_withdrawn"]


def test_a_model_that_was_in_effect_and_is_held_can_be_approved_again(fresh: PrebuiltNights, tmp_path: Path) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb")
    nights.run_all([date(2025, 6, 20), date(2025, 7, 2)])
    nights.decisions.append(decided(DecisionKind.HOLD, SECOND_REFIT, date(2025, 7, 3)))
    nights.run(date(2025, 7, 4))
    assert model_of(nights, date(2025, 7, 2)) == SECOND_REFIT
    assert model_of(nights, date(2025, 7, 4)) == FIRST_REFIT
    assert nights.statuses() == {FIRST_REFIT: "in_effect", SECOND_REFIT: "held"}
    # An approval is of the model that was seen, not of another one of its date.
    approval = decided(DecisionKind.APPROVE, SECOND_REFIT, date(2025, 7, 5), 1)
    nights.decisions.append(replace(approval, model_version="of another"))
    nights.run(date(2025, 7, 6))
    assert model_of(nights, date(2025, 7, 6)) == FIRST_REFIT
    ((version,),) = nights.rows("select model_version from promoted.lineage where refit_date = ?", [SECOND_REFIT])
    nights.decisions.append(replace(approval, model_version=version))
    nights.run(date(2025, 7, 6))
    assert model_of(nights, date(2025, 7, 6)) == SECOND_REFIT
    assert nights.statuses() == {FIRST_REFIT: "replaced", SECOND_REFIT: "in_effect"}
    assert nights.stale() == []


def test_a_calendar_of_every_second_month_leaves_the_refits_between_out(fresh: PrebuiltNights, tmp_path: Path) -> None:
    monthly = fresh.copy(tmp_path / "warehouse.duckdb")
    monthly.run_all([date(2025, 7, 2), date(2025, 8, 6)])
    assert model_of(monthly, date(2025, 8, 6)) == THIRD_REFIT
    nights = replace(monthly, refit_months=2)
    assert nights.stale() == [date(2025, 8, 6)]
    assert nights.repair() == [date(2025, 8, 6)]
    assert nights.rows("select refit_date from promoted.lineage") == [(SECOND_REFIT,)]
    assert model_of(nights, date(2025, 8, 6)) == SECOND_REFIT
    # Labels lean on the first of August all the same.
    leant_on = nights.rows("select leans_on_date from promoted.run_dates where as_of_date = date '2025-08-06'")
    assert (THIRD_REFIT,) in leant_on
    assert nights.statuses() == {SECOND_REFIT: "in_effect"}


def test_a_lens_that_has_no_model_any_more_loses_its_labels_of_the_date(
    fresh: PrebuiltNights, lens: Lens, tmp_path: Path
) -> None:
    other = replace(lens, name="other")
    before = fresh.copy(tmp_path / "warehouse.duckdb", lenses=(lens, other))
    before.run_all([date(2025, 6, 4), date(2025, 6, 20), date(2025, 6, 24)])
    kept = before.rows("select * from promoted.label_history where lens = 'overall' order by all")
    assert kept
    nights = replace(before, lenses=(lens, replace(other, features=lens.features[:1])))
    assert nights.stale() == [date(2025, 6, 4), date(2025, 6, 20), date(2025, 6, 24)]
    nights.run(date(2025, 6, 20))
    assert nights.rows("select distinct as_of_date from promoted.labels where lens = 'other' order by 1") == [
        (date(2025, 6, 4),),
        (date(2025, 6, 24),),
    ]
    starts = nights.rows("select distinct valid_from from promoted.label_history where lens = 'other'")
    assert {day for (day,) in starts} <= {date(2025, 6, 4), date(2025, 6, 24)}
    nights.repair()
    assert nights.stale() == []
    assert nights.rows("select 1 from promoted.label_history where lens = 'other'") == []
    assert nights.rows("select * from promoted.label_history where lens = 'overall' order by all") == kept


def test_a_lens_that_cannot_be_fitted_is_left_out_and_says_why(
    fresh: PrebuiltNights, lens: Lens, tmp_path: Path
) -> None:
    hopeless = replace(lens, name="hopeless", features=lens.features[:1])
    nights = fresh.copy(tmp_path / "warehouse.duckdb", lenses=(lens, hopeless))
    outcomes = {outcome.lens: outcome for outcome in nights.run(date(2025, 6, 4))}
    assert "2 are needed" in outcomes["hopeless"].reason
    assert nights.rows("select distinct lens from promoted.labels") == [("overall",)]
    assert nights.stale() == []


def who_settle_alone(nights: PrebuiltNights) -> tuple[date, list[str]]:
    """Return a Monday that a Thursday's labels lean on because of a few customers alone, and these customers."""
    found = nights.rows(
        "select date_trunc('week', first_seen_date + interval 7 day)::date as monday, list(customer_id order by 1)"
        " from intermediate.int_customer_first_seen where first_seen_date >= ? group by 1 order by count(*), 1",
        [SECOND_REFIT],
    )
    leaned = mondays_leaned_on(nights)
    return next((monday, sorted(customers)) for monday, customers in found if monday in leaned)


def mondays_leaned_on(nights: PrebuiltNights) -> set[date]:
    assert not watch_dates(DATES[4], FIRST_REFIT)
    rows = nights.rows("select leans_on_date from promoted.run_dates where as_of_date = ?", [DATES[4]])
    return {day for (day,) in rows if day.weekday() == 0}


def forget(nights: PrebuiltNights, customers: list[str]) -> None:
    """Do what `segmentation forget` does in the warehouse; facts and features are built without them by hand."""
    with nights.warehouse() as warehouse:
        before = read_truth(warehouse)
        tables = warehouse.rows(
            "select table_schema, table_name from information_schema.columns"
            " inner join information_schema.tables using (table_catalog, table_schema, table_name)"
            " where column_name = 'customer_id' and table_type = 'BASE TABLE'"
            " and table_schema in ('staging', 'intermediate', 'prebuilt')"
        )
        for schema, table in tables:
            warehouse.rows(f"delete from {schema}.{table} where list_contains(?, customer_id)", (customers,))
        warehouse.rows("update intermediate.int_input_scope set rows_hash = concat(rows_hash, ' without them')")
        warehouse.rows("update prebuilt.feature_inputs set rows_hash = concat(rows_hash, ' without them')")
        forget_in_warehouse(warehouse, customers, before)


def rows_without(nights: PrebuiltNights, customers: list[str]) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: nights.rows(
            f"select * from promoted.{table} where not list_contains(?, customer_id) order by all", [customers]
        )
        for table in ("labels", "label_history", "model_samples", "model_origins")
    }


def test_forgetting_the_only_ones_that_a_monday_was_for_makes_no_date_stale_and_fits_nothing_anew(
    in_order: PrebuiltNights, tmp_path: Path
) -> None:
    nights = in_order.copy(tmp_path / "warehouse.duckdb")
    monday, customers = who_settle_alone(nights)
    models = "select lens, refit_date, model_version from promoted.lineage order by all"
    before = rows_without(nights, customers), nights.rows(models)

    forget(nights, customers)

    assert nights.stale() == []
    assert monday not in mondays_leaned_on(nights)
    assert nights.rows("select 1 from promoted.labels where list_contains(?, customer_id)", [customers]) == []
    nights.run_all([LAST_DATE, *DATES])
    assert nights.stale() == []
    assert (rows_without(nights, customers), nights.rows(models)) == before


def test_a_date_that_was_stale_stays_stale_when_somebody_is_forgotten(fresh: PrebuiltNights, tmp_path: Path) -> None:
    nights = fresh.copy(tmp_path / "warehouse.duckdb")
    nights.run_all(reversed(DATES[:4]))
    stale = nights.stale()
    assert stale
    _, customers = min(
        nights.rows("select first_seen_date, list(customer_id) from intermediate.int_customer_first_seen group by 1")
    )

    forget(nights, customers)

    assert nights.stale() == stale
