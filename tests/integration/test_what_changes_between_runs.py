"""What a run rests on changes between two runs: the date is computed again, and says why."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from segmentation_job.settings import SHIPPED_LENSES_DIR
from segmentation_job.steps import ExitCode
from tests.conftest import FIRST_NIGHT, CopyNights
from tests.support.landing_slice import edit_landing
from tests.support.nights import Nights

REFIT_DATE = date(2017, 11, 1)


def test_an_order_that_moves_from_one_day_to_another_makes_the_date_one_to_compute(
    first_night: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(first_night, "moved")
    assert nights.step("check", FIRST_NIGHT).exit_code == ExitCode.NOTHING_TO_DO
    ((basket, customer),) = nights.query(
        "select order_id, customer_id from staging.stg_orders where order_date = date '2017-10-20'"
        " order by order_id limit 1"
    )
    # Both days lie before the date and its refit date: only the days' own content tells them apart.
    edit_landing(
        nights.data_dir,
        "transactions",
        "select * replace (case when cast(basket_id as varchar) = '" + basket + "'"
        " then transaction_timestamp - interval 10 day else transaction_timestamp end as transaction_timestamp)"
        " from landed",
    )
    finished = nights.run(FIRST_NIGHT, last="build_features")
    assert finished["check"].exit_code == ExitCode.OK
    moved = nights.query(
        "select count(*) from intermediate.int_customer_days where customer_id = ? and order_date = date '2017-10-10'",
        (customer,),
    )
    assert moved == [(1,)]
    # Dates that were never run for themselves are computed again with the date that leans on them, those before the
    # change are not.
    computed = {day for (day,) in nights.query("select distinct as_of_date from candidate.feature_inputs")}
    assert computed >= {REFIT_DATE, FIRST_NIGHT - timedelta(days=2), FIRST_NIGHT - timedelta(days=1), FIRST_NIGHT}
    assert REFIT_DATE - timedelta(days=90) not in computed


@pytest.fixture(scope="module")
def richer_lens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lens overall with one feature more."""
    folder = tmp_path_factory.mktemp("lenses")
    text = (SHIPPED_LENSES_DIR / "overall.yaml").read_text()
    feature = (
        "  - column: purchase_features.line_count\n    encoding: log\n    family: lines\n    high: many-line\n"
        "    low: few-line\n    label: lines bought\n    unit: count\n"
    )
    assert "\nfeatures:\n" in text
    (folder / "overall.yaml").write_text(text.replace("\nfeatures:\n", f"\nfeatures:\n{feature}"))
    return folder


def test_a_lens_that_gains_a_feature_keeps_the_segments_it_finds_again(
    first_night: Nights, copy_nights: CopyNights, richer_lens: Path
) -> None:
    nights = copy_nights(first_night, "richer", SEGMENTATION_LENSES_DIR=str(richer_lens))
    before = dict(nights.query("select segment_id, name from promoted.segments"))
    nights.run(FIRST_NIGHT, first="check")
    (lens_versions,) = nights.query(
        "select count(distinct models.lens_version) from promoted.lineage as lineage"
        " inner join promoted.models as models on lineage.model_version = models.model_version"
    )
    assert lens_versions == (1,)
    served = dict(
        nights.query("select distinct segment_id, segment_name from marts.customer_segments where lens = 'overall'")
    )
    survivors = set(served) & set(before)
    assert survivors
    assert all(served[segment] == before[segment] for segment in survivors)
    assert len(set(served.values())) == len(served)
    assert nights.step("check", FIRST_NIGHT).exit_code == ExitCode.NOTHING_TO_DO


def test_a_change_outside_the_lens_leaves_a_model_that_is_not_fitted_again_and_again(
    first_night: Nights, copy_nights: CopyNights
) -> None:
    nights = copy_nights(first_night, "outside")
    edit_landing(nights.data_dir, "demographics", "select * replace ('Unmarried' as marital_status) from landed")
    models = nights.query("select model_version from promoted.lineage")
    nights.run(FIRST_NIGHT)
    assert nights.query("select model_version from promoted.lineage") == models
    assert nights.step("check", FIRST_NIGHT).exit_code == ExitCode.NOTHING_TO_DO
