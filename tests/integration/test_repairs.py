"""Late rows make dates of the past stale: the recent ones are repaired by the night, the others are listed."""

from datetime import date, timedelta

import pytest

from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.landing_slice import edit_landing
from tests.support.nights import Nights

LATE_DAY = date(2017, 11, 13)
NEXT_NIGHT = FIRST_NIGHT + timedelta(days=1)
"""Within three days of the first night."""
LATER_NIGHT = FIRST_NIGHT + timedelta(days=10)
"""Beyond them."""


@pytest.fixture(scope="module")
def late(first_night: Nights, copy_nights: CopyNights) -> tuple[Nights, str]:
    """A customer's basket of before the first night that landed after it, and what the build of the facts says."""
    nights = copy_nights(first_night, "late")
    land_late_basket(nights)
    finished = nights.step("build_facts", LATER_NIGHT)
    assert finished.exit_code == 0, finished.output
    return nights, finished.output


def land_late_basket(nights: Nights) -> None:
    edit_landing(
        nights.data_dir,
        "transactions",
        "select * from landed union all select * replace (cast(cast(basket_id as bigint) + 900000000000 as varchar) as"
        f" basket_id, timestamp '{LATE_DAY} 10:00:00' as transaction_timestamp) from landed where basket_id ="
        f" (select min(basket_id) from landed where transaction_timestamp >= timestamp '{LATE_DAY}'"
        f" and transaction_timestamp < timestamp '{LATE_DAY + timedelta(days=1)}')",
    )


def feature_dates_computed(nights: Nights) -> dict[date, str]:
    return dict(nights.query("select as_of_date, rows_hash from promoted.feature_inputs"))


def test_rows_later_than_the_horizon_are_counted(late: tuple[Nights, str]) -> None:
    nights, said = late
    ((rows,),) = nights.query(
        f"select count(*) from staging.stg_order_lines where order_date = date '{LATE_DAY}'"
        " and cast(order_id as bigint) > 900000000000"
    )
    assert rows > 0
    # The lines, and the order that they make.
    assert f"Late rows: {rows + 1:,} more and 0 fewer rows of order_lines, orders on {LATE_DAY}" in said


def test_a_date_beyond_the_horizon_stays_as_it_is_and_is_listed(late: tuple[Nights, str]) -> None:
    nights, _ = late
    before = feature_dates_computed(nights)
    finished = nights.step("repair_recent", LATER_NIGHT)
    assert finished.exit_code == 0, finished.output
    assert f"Stale: {FIRST_NIGHT}. To compute them again: segmentation repair" in finished.output
    assert feature_dates_computed(nights) == before
    listed = nights.command("stale")
    assert listed.exit_code == 0
    assert f"{FIRST_NIGHT}  overall  source rows changed" in listed.output
    planned = nights.command("repair", "--dry-run")
    assert f"would run {FIRST_NIGHT}: source rows changed" in planned.output


def test_a_date_within_the_horizon_is_computed_again_by_the_night(
    late: tuple[Nights, str], copy_nights: CopyNights
) -> None:
    nights = copy_nights(late[0], "repaired")
    finished = nights.step("repair_recent", NEXT_NIGHT)
    assert "Recent dates computed again: 1, failed: 0" in finished.output
    (today,) = nights.query(
        f"select rows_hash from intermediate.int_input_scope where event_date < date '{FIRST_NIGHT}'"
        " order by event_date desc limit 1"
    )
    assert feature_dates_computed(nights)[FIRST_NIGHT] == today[0]
    assert nights.command("stale").output == "No date is stale.\n"
    # What is served comes with the night's own marts.
    assert nights.query("select * from pipeline.marts_state") == []


def test_a_recent_date_that_leans_on_an_older_stale_one_is_run_once_and_waits_for_it_without_failing_the_night(
    first_night: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(first_night, "leaning")
    # It leans on the two days before it, the first night among them, which the next but one night does not repair.
    leaning = FIRST_NIGHT + timedelta(days=2)
    nights.run(leaning, last="promote")
    land_late_basket(nights)
    night = leaning + timedelta(days=2)
    nights.run(night, first="build_facts", last="build_facts")
    finished = nights.step("repair_recent", night)
    assert finished.exit_code == 0, finished.output
    assert finished.output.count(f"{leaning}: source rows changed") == 1
    assert f"Stale: {FIRST_NIGHT}, {leaning}. To compute them again: segmentation repair" in finished.output
    assert f"{leaning}  overall  a date that it leans on is outdated" in nights.command("stale").output
