"""Which dates and models a run needs."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.runs.calendar import plan_run, refit_date_for, refit_dates_between

FIRST_CUSTOMER = date(2016, 12, 30)


def test_the_model_in_effect_is_that_of_the_first_of_the_month() -> None:
    assert refit_date_for(date(2018, 1, 1)) == date(2018, 1, 1)
    assert refit_date_for(date(2018, 1, 31)) == date(2018, 1, 1)


def test_refit_dates_are_every_first_of_a_month_over_the_turn_of_a_year() -> None:
    assert refit_dates_between(date(2017, 11, 1), date(2018, 1, 15)) == (
        date(2017, 11, 1),
        date(2017, 12, 1),
        date(2018, 1, 1),
    )
    assert refit_dates_between(date(2017, 11, 2), date(2017, 11, 30)) == ()


def test_the_first_run_begins_the_lineage_and_computes_its_refit_date_too() -> None:
    plan = plan_run(date(2018, 1, 15), None, set(), FIRST_CUSTOMER)
    assert plan.lineage_start == date(2018, 1, 1)
    assert plan.dates_to_compute == (date(2018, 1, 1), date(2018, 1, 15))


def test_a_promoted_refit_date_is_not_computed_again_but_the_date_itself_is() -> None:
    plan = plan_run(date(2018, 1, 15), date(2018, 1, 1), {date(2018, 1, 1), date(2018, 1, 15)}, FIRST_CUSTOMER)
    assert plan.dates_to_compute == (date(2018, 1, 15),)


def test_an_earlier_date_extends_the_lineage_backwards() -> None:
    plan = plan_run(date(2017, 10, 5), date(2018, 1, 1), {date(2018, 1, 1)}, FIRST_CUSTOMER)
    assert plan.lineage_start == date(2017, 10, 1)
    assert plan.refit_dates == (date(2017, 10, 1),)


def test_a_later_date_needs_every_model_between() -> None:
    plan = plan_run(date(2018, 1, 2), date(2017, 10, 1), {date(2017, 10, 1), date(2017, 12, 1)}, FIRST_CUSTOMER)
    assert plan.refit_dates == (date(2017, 10, 1), date(2017, 11, 1), date(2017, 12, 1), date(2018, 1, 1))
    assert plan.dates_to_compute == (date(2017, 11, 1), date(2018, 1, 1), date(2018, 1, 2))


@pytest.mark.parametrize("first_customer", [date(2017, 12, 1), date(2017, 12, 9)])
def test_a_date_whose_refit_date_has_nobody_in_scope_is_refused_with_the_first_date_that_will_do(
    first_customer: date,
) -> None:
    with pytest.raises(SourceNotReadyError, match="first date that can be segmented is 2018-01-01"):
        plan_run(date(2017, 12, 20), None, set(), first_customer)


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(SourceNotReadyError, match="no customer is in the source"):
        plan_run(date(2017, 12, 20), None, set(), None)


@given(
    as_of=st.dates(date(2017, 2, 1), date(2020, 1, 1)),
    start=st.one_of(st.none(), st.dates(date(2017, 2, 1), date(2020, 1, 1)).map(refit_date_for)),
    promoted=st.sets(st.dates(date(2017, 2, 1), date(2020, 1, 1)), max_size=5),
)
def test_the_models_of_a_date_depend_on_the_start_of_the_lineage_alone(
    as_of: date, start: date | None, promoted: set[date]
) -> None:
    plan = plan_run(as_of, start, promoted, FIRST_CUSTOMER)
    assert plan.refit_dates == refit_dates_between(plan.lineage_start, as_of)
    assert plan.refit_dates[-1] == refit_date_for(as_of)
    assert plan.dates_to_compute[-1] == as_of
    assert set(plan.refit_dates) - promoted <= set(plan.dates_to_compute)
