"""Which dates and models a run needs."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmentation_job.errors import SourceNotReadyError
from segmentation_job.runs.calendar import (
    RunPlan,
    anchor_dates,
    fit_dates,
    label_dates,
    lookback_date,
    plan_run,
    refit_date_for,
    refit_dates_between,
    require_customers,
    settling_dates,
    start_of_lineage,
    voting_dates,
)

FIRST_CUSTOMER = date(2016, 12, 30)
DAYS = st.dates(date(2017, 2, 1), date(2020, 1, 1))
NOBODY_NEW: tuple[date, ...] = ()


def test_the_model_in_effect_is_that_of_the_first_of_the_month() -> None:
    assert refit_date_for(date(2018, 1, 1)) == date(2018, 1, 1)
    assert refit_date_for(date(2018, 1, 31)) == date(2018, 1, 1)


@pytest.mark.parametrize(
    ("months", "first_month"),
    [(1, 8), (2, 7), (3, 7), (4, 5), (6, 7), (12, 1)],
)
def test_rarer_refits_are_counted_from_january(months: int, first_month: int) -> None:
    assert refit_date_for(date(2018, 8, 31), months) == date(2018, first_month, 1)


def test_refit_dates_are_every_first_of_a_month_over_the_turn_of_a_year() -> None:
    assert refit_dates_between(date(2017, 11, 1), date(2018, 1, 15)) == (
        date(2017, 11, 1),
        date(2017, 12, 1),
        date(2018, 1, 1),
    )
    assert refit_dates_between(date(2017, 11, 2), date(2017, 11, 30)) == ()
    assert refit_dates_between(date(2017, 11, 1), date(2018, 4, 1), 3) == (date(2018, 1, 1), date(2018, 4, 1))


def test_labels_stand_on_the_firsts_of_months_strictly_between_the_fit_and_the_date() -> None:
    assert anchor_dates(date(2018, 1, 1), date(2018, 2, 1)) == ()
    assert anchor_dates(date(2018, 1, 1), date(2018, 2, 2)) == (date(2018, 2, 1),)
    assert anchor_dates(date(2017, 11, 1), date(2018, 2, 1)) == (date(2017, 12, 1), date(2018, 1, 1))


def test_three_days_vote_once_all_of_them_lie_after_the_fit() -> None:
    fit = date(2018, 1, 1)
    assert [voting_dates(fit, date(2018, 1, day)) for day in (1, 2, 3)] == [(), (), ()]
    assert voting_dates(fit, date(2018, 1, 4)) == (date(2018, 1, 2), date(2018, 1, 3), date(2018, 1, 4))
    assert voting_dates(fit, date(2018, 3, 1)) == (date(2018, 2, 27), date(2018, 2, 28), date(2018, 3, 1))


def test_who_came_after_the_fit_settles_on_the_first_monday_in_scope() -> None:
    fit, as_of = date(2018, 1, 1), date(2018, 1, 31)
    # Seen first on the day of the fit: in scope from the 2nd on, a Tuesday. 2018-01-08 is a Monday.
    assert settling_dates(fit, as_of, [date(2018, 1, 1)]) == (date(2018, 1, 8),)
    assert settling_dates(fit, as_of, [date(2018, 1, 7)]) == (date(2018, 1, 8),)
    assert settling_dates(fit, as_of, [date(2018, 1, 8)]) == (date(2018, 1, 15),)


def test_nobody_settles_who_was_there_at_the_fit_or_whose_monday_is_still_to_come() -> None:
    fit = date(2018, 1, 1)
    assert settling_dates(fit, date(2018, 1, 31), [date(2017, 12, 24), date(2017, 12, 31)]) == ()
    assert settling_dates(fit, date(2018, 1, 7), [date(2018, 1, 2)]) == ()
    assert settling_dates(fit, date(2018, 1, 8), [date(2018, 1, 2)]) == (date(2018, 1, 8),)
    assert settling_dates(fit, date(2018, 1, 8), [date(2018, 1, 8), date(2018, 1, 9)]) == ()


@given(
    fit=DAYS.map(refit_date_for),
    after=st.integers(0, 80),
    came=st.lists(st.integers(-10, 90), max_size=6, unique=True).map(sorted),
)
def test_settling_dates_are_the_mondays_of_those_who_came(fit: date, after: int, came: list[int]) -> None:
    as_of = fit + timedelta(days=after)
    expected = set()
    for days in came:
        in_scope = [fit + timedelta(days=day) for day in range(days + 1, after + 1)]
        mondays = [day for day in in_scope if day.isoweekday() == 1]
        if days >= 0 and mondays:
            expected.add(mondays[0])
    assert settling_dates(fit, as_of, [fit + timedelta(days=days) for days in came]) == tuple(sorted(expected))


def test_a_label_leans_on_the_votes_of_its_anchors_on_its_own_and_on_the_mondays() -> None:
    assert label_dates(date(2018, 1, 1), date(2018, 1, 1), NOBODY_NEW) == {date(2018, 1, 1)}
    assert label_dates(date(2018, 1, 1), date(2018, 1, 3), NOBODY_NEW) == {date(2018, 1, 3)}
    assert label_dates(date(2018, 1, 1), date(2018, 2, 10), [date(2018, 1, 9)]) == {
        date(2018, 1, 15),
        *(date(2018, 1, 30), date(2018, 1, 31), date(2018, 2, 1)),
        *(date(2018, 2, 8), date(2018, 2, 9), date(2018, 2, 10)),
    }


@given(fit=DAYS.map(refit_date_for), later=st.integers(1, 3), after=st.integers(0, 150))
def test_an_earlier_model_leans_on_all_dates_that_a_later_one_does(fit: date, later: int, after: int) -> None:
    newer = refit_dates_between(fit, fit + timedelta(days=100))[later]
    as_of = newer + timedelta(days=after)
    arrivals = [fit + timedelta(days=3 * number) for number in range(60)]
    assert label_dates(fit, as_of, arrivals) >= label_dates(newer, as_of, arrivals)


@given(fit=DAYS.map(refit_date_for), after=st.integers(0, 400))
def test_a_label_never_leans_on_the_future_or_on_the_time_before_its_model(fit: date, after: int) -> None:
    as_of = fit + timedelta(days=after)
    arrivals = [fit + timedelta(days=number) for number in range(-20, 420, 5)]
    days = label_dates(fit, as_of, arrivals)
    assert max(days) == as_of
    assert min(days) > fit or as_of == fit


def test_a_refit_looks_back_ninety_days_where_there_are_twice_as_many() -> None:
    refit = date(2018, 7, 1)
    assert lookback_date(refit, date(2018, 1, 2)) == date(2018, 4, 2)
    assert lookback_date(refit, date(2018, 1, 3)) is None


def test_a_refit_leans_on_itself_on_its_past_and_on_its_predecessor_s_labels() -> None:
    refit = date(2018, 7, 1)
    young, old = date(2018, 6, 1), date(2016, 1, 1)
    assert fit_dates(refit, None, young, NOBODY_NEW) == {refit}
    assert fit_dates(refit, None, old, NOBODY_NEW) == {refit, date(2018, 4, 2)}
    assert fit_dates(refit, date(2018, 6, 1), young, [date(2018, 6, 20)]) == {
        date(2018, 6, 25),
        *(date(2018, 6, 29), date(2018, 6, 30), refit),
    }


def test_the_first_run_begins_the_lineage_at_its_refit_date() -> None:
    assert start_of_lineage(date(2018, 2, 15), None) == date(2018, 2, 1)
    assert start_of_lineage(date(2018, 2, 15), None, 3) == date(2018, 1, 1)


def test_an_earlier_date_extends_the_lineage_backwards_and_a_later_one_leaves_it() -> None:
    assert start_of_lineage(date(2017, 10, 5), date(2018, 1, 1)) == date(2017, 10, 1)
    assert start_of_lineage(date(2018, 3, 5), date(2018, 1, 1)) == date(2018, 1, 1)


def test_what_is_needed_and_not_usable_is_computed_and_the_date_itself_in_any_case() -> None:
    start, as_of = date(2018, 1, 1), date(2018, 1, 15)
    assert plan_run(as_of, start, {start, as_of}, ()) == RunPlan(as_of, start, (start,), (start, as_of))
    assert plan_run(as_of, start, {start, as_of}, {start, as_of}).dates_to_compute == (as_of,)
    assert plan_run(as_of, start, (), {date(2018, 1, 3)}).dates_to_compute == (as_of,)


def test_a_later_date_needs_every_model_between() -> None:
    assert plan_run(date(2018, 1, 2), date(2017, 10, 1), (), ()).refit_dates == (
        date(2017, 10, 1),
        date(2017, 11, 1),
        date(2017, 12, 1),
        date(2018, 1, 1),
    )
    assert plan_run(date(2018, 1, 2), date(2017, 10, 1), (), (), 3).refit_dates == (date(2017, 10, 1), date(2018, 1, 1))


@pytest.mark.parametrize("first_customer", [date(2017, 12, 1), date(2017, 12, 9)])
def test_a_date_whose_refit_date_has_nobody_in_scope_is_refused_with_the_first_date_that_will_do(
    first_customer: date,
) -> None:
    with pytest.raises(SourceNotReadyError, match="first date that can be segmented is 2018-01-01"):
        require_customers(date(2017, 12, 20), first_customer)


def test_with_rarer_refits_the_first_date_that_will_do_is_later() -> None:
    with pytest.raises(SourceNotReadyError, match="first date that can be segmented is 2018-04-01"):
        require_customers(date(2018, 2, 20), date(2018, 1, 1), 3)


def test_somebody_seen_before_the_refit_date_will_do() -> None:
    assert require_customers(date(2017, 12, 20), date(2017, 11, 30)) == date(2017, 11, 30)


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(SourceNotReadyError, match="no customer is in the source"):
        require_customers(date(2017, 12, 20), None)


@given(as_of=DAYS, start=st.one_of(st.none(), DAYS.map(refit_date_for)), usable=st.sets(DAYS, max_size=5))
def test_the_models_of_a_date_depend_on_the_start_of_the_lineage_alone(
    as_of: date, start: date | None, usable: set[date]
) -> None:
    begin = start_of_lineage(as_of, start)
    refits = refit_dates_between(begin, as_of)
    plan = plan_run(as_of, begin, refits, usable)
    assert plan.refit_dates == refits
    assert plan.refit_dates[-1] == refit_date_for(as_of)
    assert plan.dates_to_compute[-1] == as_of
    assert set(refits) - usable <= set(plan.dates_to_compute)
