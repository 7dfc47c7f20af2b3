"""A segment appears or vanishes on its date, and drifting people change slowly."""

from datetime import date

import pytest

from tests.unit.landing.simulated_shop.made_shop import MadeShop

APPEARS, VANISHES = date(2025, 3, 1), date(2025, 6, 15)
ACTIVITIES = {
    "orders": "cast(ordered_at as timestamp)",
    "web_events": "occurred_at",
    "loyalty_events": "occurred_at",
    "feedback": "occurred_at",
    "campaign_contacts": "contacted_at",
    "credit": "credit_date",
    "customers": "valid_from",
}


def test_members_of_a_segment_that_appears_sign_up_from_its_date_on(changing_shop: MadeShop) -> None:
    first, members = changing_shop.rows(
        "select min(signup_date), count(distinct customer_id) from customers join segment_intervals using (customer_id)"
        " where segment = 'young_digital_browsers'"
    )[0]
    assert APPEARS <= first < date(2025, 4, 1)
    assert members > 50


@pytest.mark.parametrize("entity", ACTIVITIES)
def test_members_of_a_segment_that_vanishes_do_nothing_from_its_date_on(changing_shop: MadeShop, entity: str) -> None:
    last, count = changing_shop.rows(
        f"select max(cast({ACTIVITIES[entity]} as date)), count(*) from {entity} join segments using (customer_id)"
        " where segment = 'seasonal_gift_buyers'"
    )[0]
    assert count > 20
    assert last < VANISHES


def test_others_go_on_after_a_segment_has_vanished(changing_shop: MadeShop) -> None:
    assert changing_shop.value("select max(cast(ordered_at as date)) from orders") == date(2025, 12, 31)


def test_returns_of_a_segment_that_vanishes_end_with_it(changing_shop: MadeShop) -> None:
    assert (
        changing_shop.value(
            "select max(occurred_at) from order_events join orders using (order_id) join segments using (customer_id)"
            " where segment = 'seasonal_gift_buyers' and event_type = 'returned'"
        ).date()
        < VANISHES
    )


def test_the_stated_share_of_those_who_may_drift_have_two_intervals_that_meet(changing_shop: MadeShop) -> None:
    stays_put = ("young_digital_browsers", "seasonal_gift_buyers")
    drifted, all_of_them = changing_shop.rows(
        "select count(*) filter (where intervals = 2), count(*) from (select customer_id, count(*) as intervals,"
        f" min(segment) as one, max(segment) as other from segment_intervals group by 1) where one not in {stays_put}"
        f" and other not in {stays_put}"
    )[0]
    assert drifted / all_of_them == pytest.approx(changing_shop.options.drift, abs=0.05)
    gaps = changing_shop.value(
        "select count(*) from (select valid_to, lead(valid_from) over (partition by customer_id order by valid_from)"
        " as next_from from segment_intervals) where valid_to is distinct from next_from"
    )
    assert gaps == 0


def test_the_segment_at_the_end_is_the_open_interval(changing_shop: MadeShop) -> None:
    assert (
        changing_shop.rows(
            "select customer_id, segment from segments except select customer_id, segment from segment_intervals"
            " where valid_to is null"
        )
        == []
    )


def test_people_who_drift_into_subscriptions_buy_by_them_afterwards_only(changing_shop: MadeShop) -> None:
    before, after = changing_shop.rows(
        "select avg(cast(is_subscription as integer)) filter (where cast(ordered_at as date) < valid_from - 90),"
        " avg(cast(is_subscription as integer)) filter (where cast(ordered_at as date) > valid_from + 90)"
        " from orders join segment_intervals using (customer_id) where segment = 'subscription_routine_buyers'"
        " and customer_id in (select customer_id from segment_intervals where valid_to is not null)"
        " and valid_to is null"
    )[0]
    assert before < 0.2
    assert after > 0.35


def test_without_drift_nobody_has_two_segments(clean_shop: MadeShop) -> None:
    assert (
        clean_shop.value("select max(n) from (select count(*) as n from segment_intervals group by customer_id)") == 1
    )
