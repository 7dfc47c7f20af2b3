"""A lens is switched on after others have run, and off again: the date is computed again, and readers see it."""

import json

import duckdb
import pytest

from segmentation_job.steps import ExitCode
from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.nights import Nights
from tests.support.published import columns_of


@pytest.fixture(scope="module")
def switched_on(first_night: Nights, copy_nights: CopyNights) -> Nights:
    """The first night again, with the lens demographic beside overall."""
    nights = copy_nights(first_night, "switched_on", SEGMENTATION_LENSES="overall,demographic,financial")
    check = nights.step("check", FIRST_NIGHT)
    assert check.exit_code == ExitCode.OK
    assert "Lens financial is skipped: the source has no payments and no credit." in check.output
    nights.run(FIRST_NIGHT, first="build_facts")
    return nights


def test_every_customer_has_a_segment_of_the_new_lens_and_keeps_the_one_of_the_old(
    first_night: Nights, switched_on: Nights
) -> None:
    labels = "select customer_id, segment_id, segment_name from marts.customer_segments where lens = ? order by all"
    before = first_night.query(labels, ("overall",))
    assert switched_on.query(labels, ("overall",)) == before
    demographic = switched_on.query(labels, ("demographic",))
    assert [customer for customer, *_ in demographic] == [customer for customer, *_ in before]
    assert len({segment for _, segment, _ in demographic}) >= 3


def test_a_lens_that_is_new_has_no_segments_before_and_its_customers_are_new_to_it(switched_on: Nights) -> None:
    assert switched_on.query(
        "select distinct change_cause, valid_from from promoted.label_history where lens = 'demographic'"
    ) == [("new", FIRST_NIGHT)]
    assert switched_on.query("select count(*) from marts.segmentation_runs where stale_reason is not null") == [(0,)]


def test_customer_360_has_the_segments_of_both_lenses(switched_on: Nights) -> None:
    with duckdb.connect(str(switched_on.serving_link), read_only=True) as published:
        assert {"overall_segment_name", "demographic_segment_id", "demographic_segment_name"} <= columns_of(published)[
            "customer_360"
        ]
        wide = published.execute("select customer_id, demographic_segment_id from customer_360 order by all").fetchall()
        labels = published.execute(
            "select customer_id, segment_id from customer_segments where lens = 'demographic' order by all"
        ).fetchall()
    assert wide == labels


def test_idle_and_missing_features_and_skipped_lenses_are_in_the_run_log(switched_on: Nights) -> None:
    with duckdb.connect(str(switched_on.serving_link), read_only=True) as published:
        (details,) = published.execute(
            "select details from run_log where step = 'segment' order by started_at desc limit 1"
        ).fetchone() or ("",)
    logged = json.loads(details)
    assert logged["demographic"]["idle_features"] == ["demographic_features.education", "demographic_features.region"]
    assert 0 < logged["demographic"]["missing_shares"]["demographic_features.marital_status"] < 1
    assert (
        logged["skipped_lenses"]["financial"] == "lens financial is skipped: the source has no payments and no credit"
    )


def test_with_the_lens_on_the_date_is_current_and_off_it_runs_once_more(
    switched_on: Nights, copy_nights: CopyNights
) -> None:
    assert switched_on.step("check", FIRST_NIGHT).exit_code == ExitCode.NOTHING_TO_DO
    nights = copy_nights(switched_on, "switched_off", SEGMENTATION_LENSES="overall")
    nights.run(FIRST_NIGHT)
    assert nights.query("select distinct lens from marts.customer_segments") == [("overall",)]
    assert nights.query("select count(*) from promoted.label_history where lens = 'demographic'") != [(0,)]
    with duckdb.connect(str(nights.serving_link), read_only=True) as published:
        assert "demographic_segment_id" not in columns_of(published)["customer_360"]
    assert nights.step("check", FIRST_NIGHT).exit_code == ExitCode.NOTHING_TO_DO
