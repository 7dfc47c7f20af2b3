"""The shop looks like one: each property that it claims is measured."""

import numpy as np
import pytest

from segmentation_job.landing.simulated_shop.calendar import ShopCalendar
from segmentation_job.landing.simulated_shop.customers import MISSING_SHARES
from segmentation_job.landing.simulated_shop.options import ShopOptions
from segmentation_job.landing.simulated_shop.products import CATEGORIES, CATEGORY_NAMES, category_demand, stock_shelf
from tests.unit.landing.simulated_shop.made_shop import MadeShop

SPEND = (
    "select customer_id, sum(net_amount) as spend, count(distinct order_id) as orders"
    " from orders join order_lines using (order_id) group by 1"
)
LATENESS = (
    "select customer_id, avg(cast(coalesce(paid_at, timestamp '2026-01-01') > due_at + interval 1 day as integer)) as"
    " late, count(*) as payments from payments where due_at < timestamp '2025-12-01' group by 1"
)
EVENT_TIMES = {
    "customers": "valid_from",
    "orders": "cast(ordered_at as timestamp)",
    "order_events": "occurred_at",
    "loyalty_events": "occurred_at",
    "web_events": "occurred_at",
    "feedback": "occurred_at",
}


def correlation(shop: MadeShop, one: str, other: str, query: str) -> float:
    return float(shop.value(f"select corr({one}, {other}) from ({query})"))


def test_a_customer_has_about_fifty_lines_and_a_hundred_web_events(clean_shop: MadeShop) -> None:
    customers = clean_shop.options.customers
    assert 35 < clean_shop.value("select count(*) from order_lines") / customers < 65
    assert 80 < clean_shop.value("select count(*) from web_events") / customers < 140


def test_the_best_tenth_of_customers_spends_a_third_or_more(clean_shop: MadeShop) -> None:
    share = clean_shop.value(
        f"select sum(spend) filter (where place <= 0.1) / sum(spend) from (select spend, percent_rank() over"
        f" (order by spend desc) as place from ({SPEND}))"
    )
    assert 0.33 < share < 0.7


@pytest.mark.parametrize(
    ("category", "high", "low"), [("garden", (4, 5, 6), (10, 11, 12)), ("toys", (11, 12), (2, 3, 4))]
)
def test_categories_have_their_season_in_both_years(
    clean_shop: MadeShop, category: str, high: tuple[int, ...], low: tuple[int, ...]
) -> None:
    rows = clean_shop.rows(
        f"select year(t), avg(n) filter (where month(t) in {high}) / avg(n) filter (where month(t) in {low}) from"
        " (select date_trunc('month', cast(ordered_at as timestamp)) as t, count(*) as n from orders"
        " join order_lines using (order_id) join (select distinct product_id, category from products)"
        f" using (product_id) where category = '{category}' group by 1) group by 1"
    )
    assert len(rows) == 2
    assert all(ratio > 1.5 for _, ratio in rows)


def test_category_demand_grows_by_its_stated_rate_and_choices_follow_it() -> None:
    calendar = ShopCalendar(ShopOptions())
    demand = category_demand(calendar.dates, calendar.dates[0])
    second_year = demand[366:].mean(axis=0) / demand[:365].mean(axis=0)
    assert second_year == pytest.approx([1 + category.growth for category in CATEGORIES], rel=0.01)

    shelf, rng = stock_shelf(calendar), np.random.default_rng(0)
    tastes = np.ones((200_000, len(CATEGORIES)), dtype=np.float32)
    days = rng.integers(0, 365, len(tastes))
    first, second = (np.bincount(shelf.draw_category(rng, tastes, days + later)) for later in (0, 366))
    grown, shrunk = CATEGORY_NAMES.index("wellness"), CATEGORY_NAMES.index("shoes")
    assert second[grown] / first[grown] / (second[shrunk] / first[shrunk]) == pytest.approx(1.18 / 0.92, rel=0.05)


def test_fridays_and_saturdays_are_busier_than_the_days_before(clean_shop: MadeShop) -> None:
    by_day = dict(
        clean_shop.rows(
            "select isodow(cast(ordered_at as timestamp)), count(*) from orders where not is_subscription group by 1"
        )
    )
    assert (by_day[5] + by_day[6]) / (by_day[1] + by_day[2]) > 1.05


def test_every_category_has_substitutes_of_the_shops_own_brand_and_of_others(clean_shop: MadeShop) -> None:
    rows = clean_shop.rows(
        "select category, count(distinct product_id) filter (where is_private_label), count(distinct product_id)"
        " filter (where not is_private_label), count(distinct department) from products group by 1"
    )
    assert len(rows) == 12
    assert all((own, others, departments) == (5, 15, 1) for _, own, others, departments in rows)
    assert clean_shop.value("select count(distinct department) from products") == 5


def test_a_subscription_delivers_a_stable_product_at_a_stable_rhythm(clean_shop: MadeShop) -> None:
    regular, irregular = clean_shop.rows(
        "with deliveries as (select customer_id, product_id, is_subscription, cast(ordered_at as timestamp) as t from"
        " orders join order_lines using (order_id)), gaps as (select *, date_diff('day', lag(t) over (partition by"
        " customer_id, product_id, is_subscription order by t), t) as gap from deliveries), spread as (select"
        " is_subscription, stddev_samp(gap) / avg(gap) as cv from gaps where gap > 0 group by customer_id, product_id,"
        " is_subscription having count(*) >= 6) select median(cv) filter (where is_subscription),"
        " median(cv) filter (where not is_subscription) from spread"
    )[0]
    assert regular < 0.15
    assert irregular > 0.5


def test_goods_come_back_one_to_five_weeks_after_the_order_and_fashion_more_often(clean_shop: MadeShop) -> None:
    days = clean_shop.rows(
        "select min(d), max(d), count(*) from (select date_diff('second', cast(ordered_at as timestamp), occurred_at) /"
        " 86400 as d from order_events join orders using (order_id) where event_type = 'returned')"
    )[0]
    assert days[0] >= 7
    assert days[1] <= 35
    assert days[2] > 100
    rate = dict(
        clean_shop.rows(
            "select department, count(event_id) / count(*) from order_lines l join (select distinct product_id,"
            " department from products) using (product_id) left join (select * from order_events where event_type ="
            " 'returned') e on e.order_id = l.order_id and e.line_id = l.line_id group by 1"
        )
    )
    assert rate["fashion"] > 8 * rate["grocery"]


def test_nothing_is_shipped_or_paid_of_a_cancelled_order(clean_shop: MadeShop) -> None:
    cancelled = "(select order_id from order_events where event_type = 'cancelled')"
    assert clean_shop.value(f"select count(*) from {cancelled}") > 50
    assert clean_shop.value(f"select count(*) from payments where order_id in {cancelled}") == 0
    assert (
        clean_shop.value(
            f"select count(*) from order_events where event_type != 'cancelled' and order_id in {cancelled}"
        )
        == 0
    )


def test_who_pays_late_has_a_low_score_and_uses_more_of_the_credit(clean_shop: MadeShop) -> None:
    credit = (
        "select customer_id, avg(external_score) as score, avg(balance_amount / limit_amount) as used from credit"
        " group by 1"
    )
    both = f"select * from ({credit}) join ({LATENESS}) using (customer_id) where payments >= 5"
    assert correlation(clean_shop, "score", "used", both) < -0.6
    assert correlation(clean_shop, "score", "late", both) < -0.25
    assert clean_shop.rows("select min(external_score) >= 300, max(external_score) <= 850 from credit") == [
        (True, True)
    ]


def test_payments_fail_and_some_stay_unpaid(clean_shop: MadeShop) -> None:
    failed, unpaid = clean_shop.rows(
        "select avg(cast(failed_at is not null as integer)), avg(cast(paid_at is null and due_at < timestamp"
        " '2025-11-01' as integer)) from payments"
    )[0]
    assert 0.005 < failed < 0.06
    assert 0.001 < unpaid < 0.03


def test_payments_add_up_to_their_order_to_the_cent(clean_shop: MadeShop) -> None:
    wrong = clean_shop.value(
        "select count(*) from (select order_id, sum(cast(amount as decimal(18, 2))) as paid from payments group by 1)"
        " join (select order_id, sum(net_amount) as net from order_lines group by 1) using (order_id) where paid != net"
    )
    assert wrong == 0


def test_a_line_costs_its_quantity_times_the_list_price_of_the_day_less_the_discount(clean_shop: MadeShop) -> None:
    wrong = clean_shop.value(
        "select count(*) from order_lines l join orders o using (order_id) join (select *, lead(valid_from) over"
        " (partition by product_id order by valid_from) as valid_to from products) p on p.product_id = l.product_id"
        " and p.valid_from <= cast(o.ordered_at as timestamp) and (p.valid_to is null or p.valid_to >"
        " cast(o.ordered_at as timestamp)) where l.gross_amount = l.quantity * p.list_price_amount and l.net_amount ="
        " l.gross_amount - l.discount_amount and l.discount_amount >= 0 and l.net_amount > 0"
    )
    assert wrong == clean_shop.value("select count(*) from order_lines")


def test_products_change_their_price_and_so_does_what_they_cost_the_shop(clean_shop: MadeShop) -> None:
    assert clean_shop.value("select count(*) / count(distinct product_id) from products") > 2.5
    assert (
        clean_shop.value(
            "select count(*) filter (where costs > 1) / count(*) from (select count(distinct unit_cost_amount) as costs"
            " from order_lines group by product_id)"
        )
        > 0.6
    )


def test_a_purchase_of_a_session_is_an_order_placed_online_at_that_second(clean_shop: MadeShop) -> None:
    purchases = "select customer_id, occurred_at from web_events where event_type = 'purchase'"
    online = (
        "select customer_id, cast(ordered_at as timestamp) from orders where channel in ('web', 'app') and not"
        " is_subscription"
    )
    assert clean_shop.value(f"select count(*) from ({purchases})") > 1_000
    assert clean_shop.rows(f"({purchases} except all {online}) union all ({online} except all {purchases})") == []


def test_a_session_runs_from_views_to_the_checkout_and_many_carts_are_left_behind(clean_shop: MadeShop) -> None:
    abandoned, disordered, sessions_of_two = clean_shop.rows(
        "select 1 - count(*) filter (where bought is not null) / count(*) filter (where added is not null),"
        " count(*) filter (where added > checked_out or checked_out > bought or last > bought), count(*) filter"
        " (where people > 1) from (select session_id, count(distinct customer_id) as people, min(occurred_at) filter"
        " (where event_type = 'add_to_cart') as added, min(occurred_at) filter (where event_type = 'checkout') as"
        " checked_out, min(occurred_at) filter (where event_type = 'purchase') as bought, max(occurred_at) as last"
        " from web_events group by 1)"
    )[0]
    assert 0.25 < abandoned < 0.75
    assert (disordered, sessions_of_two) == (0, 0)


def test_members_enrol_before_they_earn_and_never_redeem_more_than_they_have_earned(clean_shop: MadeShop) -> None:
    unenrolled, overdrawn = clean_shop.rows(
        "select count(*) filter (where enrolled is null or enrolled > first), count(*) filter (where redeemed > earned)"
        " from (select customer_id, min(occurred_at) filter (where event_type = 'enrol') as enrolled, min(occurred_at)"
        " as first, coalesce(sum(points) filter (where event_type = 'redeem'), 0) as redeemed, coalesce(sum(points)"
        " filter (where event_type = 'earn'), 0) as earned from loyalty_events group by 1)"
    )[0]
    assert (unenrolled, overdrawn) == (0, 0)
    kinds = dict(clean_shop.rows("select event_type, count(*) from loyalty_events group by 1"))
    assert min(kinds[name] for name in ("enrol", "earn", "redeem", "tier_change")) > 100


def test_reviews_are_worse_and_complaints_more_frequent_after_a_late_shipment(clean_shop: MadeShop) -> None:
    clean_shop.connection.execute(
        "create or replace temp view shipped_late as select customer_id, min(occurred_at) as late_at from order_events"
        " join orders using (order_id) where event_type = 'shipped' and date_diff('day', cast(ordered_at as timestamp),"
        " occurred_at) >= 5 group by 1"
    )
    after = "exists (select 1 from order_events e join orders o using (order_id) where o.customer_id = f.customer_id"
    after += " and e.event_type = 'shipped' and date_diff('day', cast(o.ordered_at as timestamp), e.occurred_at) >= 5"
    after += " and date_diff('day', cast(o.ordered_at as timestamp), f.occurred_at) between 2 and 40)"
    after_late, otherwise = clean_shop.rows(
        f"select avg(score) filter (where bad), avg(score) filter (where not bad) from (select score, {after} as bad"
        " from feedback f where score_scale = 'stars_1_5')"
    )[0]
    assert after_late < otherwise - 0.2
    complaints, share_of_all = clean_shop.rows(
        f"select avg(cast(bad as integer)) filter (where feedback_type = 'complaint'), avg(cast(bad as integer)) filter"
        f" (where feedback_type = 'survey') from (select feedback_type, {after} as bad from feedback f)"
    )[0]
    assert complaints > 1.3 * share_of_all


def test_people_move_and_their_income_changes_but_their_birth_does_not(clean_shop: MadeShop) -> None:
    moved, earned, reborn = clean_shop.rows(
        "select count(*) filter (where places > 1), count(*) filter (where incomes > 1), count(*) filter (where births"
        " > 1) from (select count(distinct (city, postal_code)) as places, count(distinct income_amount) as incomes,"
        " count(distinct birth_date) as births from customers group by customer_id)"
    )[0]
    assert moved > 40
    assert earned > 60
    assert reborn == 0


def test_nothing_of_a_customer_is_dated_before_the_signup(clean_shop: MadeShop) -> None:
    signups = (
        "(select customer_id, min(valid_from) as known_from, min(signup_date) as signup_date from customers group by 1)"
    )
    assert clean_shop.value(f"select count(*) from {signups} where known_from > signup_date") == 0
    for entity, moment in {**EVENT_TIMES, "credit": "credit_date", "campaign_contacts": "contacted_at"}.items():
        if entity not in ("customers", "order_events"):
            early = f"select count(*) from {entity} join {signups} using (customer_id) where {moment} < signup_date"
            assert clean_shop.value(early) == 0


def test_about_a_third_sign_up_within_the_two_years(clean_shop: MadeShop) -> None:
    share = clean_shop.value(
        "select avg(cast(signup_date >= date '2024-01-01' as integer)) from (select distinct customer_id, signup_date"
        " from customers)"
    )
    assert share == pytest.approx(0.35, abs=0.05)


@pytest.mark.parametrize("column", MISSING_SHARES)
def test_each_demographic_column_lacks_its_stated_share(clean_shop: MadeShop, column: str) -> None:
    missing = clean_shop.value(
        f"select avg(cast(nobody as integer)) from (select customer_id, count({column}) = 0 as nobody from customers"
        " group by 1)"
    )
    assert missing == pytest.approx(MISSING_SHARES[column], abs=0.045)


def test_income_and_age_bands_stand_only_where_the_figure_is_not_told(clean_shop: MadeShop) -> None:
    both, bands = clean_shop.rows(
        "select count(*) filter (where age_band is not null and birth_date is not null or income_band is not null and"
        " income_amount is not null), count(income_band) from customers"
    )[0]
    assert both == 0
    assert bands > 50


@pytest.mark.parametrize("entity", EVENT_TIMES)
def test_the_stated_share_of_rows_is_late_by_one_to_ten_days_and_none_arrives_before_its_event(
    clean_shop: MadeShop, entity: str
) -> None:
    late, shortest, longest, count = clean_shop.rows(
        "select avg(cast(delay >= 86400 as integer)), min(delay), max(delay), count(*) from (select date_diff('second',"
        f" {EVENT_TIMES[entity]}, ingested_at) as delay from {entity})"
    )[0]
    assert late == pytest.approx(0.02, abs=4 * (0.02 * 0.98 / count) ** 0.5)
    assert shortest > 0
    assert longest <= 10 * 86_400
    between = f"select count(*) from {entity} where date_diff('second', {EVENT_TIMES[entity]}, ingested_at)"
    assert clean_shop.value(f"{between} between 5400 and 86399") == 0


def test_a_payment_or_contact_arrives_after_all_that_its_row_tells(clean_shop: MadeShop) -> None:
    assert clean_shop.value("select count(*) from payments where ingested_at <= greatest(paid_at, failed_at)") == 0
    assert clean_shop.value("select count(*) from campaign_contacts where ingested_at <= responded_at") == 0


def test_market_figures_are_published_ten_to_forty_days_late_and_some_are_corrected(clean_shop: MadeShop) -> None:
    shortest, longest = clean_shop.rows(
        "select min(delay), max(delay) from (select date_diff('day', indicator_month + interval 1 month,"
        " min(published_at)) as delay from market_indicators group by indicator_month, indicator, category, entity)"
    )[0]
    assert 10 <= shortest < 14
    assert 36 < longest <= 40
    corrected, changed = clean_shop.rows(
        "select avg(cast(n > 1 as integer)), count(*) filter (where n > 1 and figures > 1) from (select count(*) as n,"
        " count(distinct indicator_value) as figures from market_indicators group by indicator_month, indicator,"
        " category, entity)"
    )[0]
    assert 0.1 < corrected < 0.3
    assert changed > 50
    assert clean_shop.value("select max(published_at) < timestamp '2026-01-01' from market_indicators")


def test_every_indicator_has_the_key_that_the_contract_gives_it(clean_shop: MadeShop) -> None:
    keyed = clean_shop.rows(
        "select indicator, count(distinct category), count(distinct entity), min(indicator_value) > 0 from"
        " market_indicators group by 1 order by 1"
    )
    assert keyed == [
        ("category_demand", 12, 0, True),
        ("competitor_price_index", 12, 3, True),
        ("competitor_share", 12, 3, True),
        ("industry_index", 0, 0, True),
        ("technology_adoption", 0, 3, True),
    ]


def test_competitors_never_hold_more_than_the_market(clean_shop: MadeShop) -> None:
    most = clean_shop.value(
        "select max(total) from (select sum(value) as total from (select category, indicator_month, entity,"
        " min(indicator_value) as value from market_indicators where indicator = 'competitor_share' group by all)"
        " group by category, indicator_month)"
    )
    assert most < 1


def test_category_demand_moves_as_the_shop_sells(clean_shop: MadeShop) -> None:
    together = clean_shop.rows(
        "with sold as (select category, cast(date_trunc('month', cast(ordered_at as timestamp)) as date) as m,"
        " count(*) as n from orders join order_lines using (order_id) join (select distinct product_id, category from"
        " products) using (product_id) group by 1, 2) select category, corr(n, indicator_value) from sold join"
        " market_indicators using (category) where indicator = 'category_demand' and m = indicator_month group by 1"
        " order by 1"
    )
    by_category = dict(together)
    assert by_category["garden"] > 0.8
    assert by_category["toys"] > 0.8


def test_segments_are_of_the_stated_sizes_and_differ_where_their_story_says_so(clean_shop: MadeShop) -> None:
    by_segment = {
        row[0]: row[1:]
        for row in clean_shop.rows(
            f"with spent as ({SPEND}), used as (select customer_id, avg(external_score) as score from credit group by"
            " 1), looked as (select customer_id, count(distinct session_id) as sessions from web_events group by 1)"
            " select segment, count(*), median(coalesce(spend, 0)), avg(score), avg(coalesce(sessions, 0)),"
            " median(coalesce(orders, 0)) from segments left join spent using (customer_id) left join used using"
            " (customer_id) left join looked using (customer_id) group by 1"
        )
    }
    assert len(by_segment) == 7
    spend = {name: values[1] for name, values in by_segment.items()}
    score = {name: values[2] for name, values in by_segment.items()}
    sessions = {name: values[3] for name, values in by_segment.items()}
    assert by_segment["deal_seeking_families"][0] == pytest.approx(190, abs=45)
    assert max(spend, key=lambda name: spend[name]) == "affluent_loyalists"
    assert min(spend, key=lambda name: spend[name]) == "lapsed_low_engagement"
    assert min(score, key=lambda name: score[name]) == "credit_strained_occasionals"
    assert max(sessions, key=lambda name: sessions[name]) == "young_digital_browsers"


def test_segments_overlap_in_every_single_figure(clean_shop: MadeShop) -> None:
    # Were they apart, the strained one's best scores would lie below the affluent ones' worst.
    strained, affluent = clean_shop.rows(
        "select quantile_cont(external_score, 0.95) filter (where segment = 'credit_strained_occasionals'),"
        " quantile_cont(external_score, 0.05) filter (where segment = 'affluent_loyalists') from credit join segments"
        " using (customer_id)"
    )[0]
    assert strained > affluent - 60
    ages = clean_shop.rows(
        "select segment, quantile_cont(year(birth_date), [0.05, 0.95]) from customers join segments using"
        " (customer_id) where segment in ('young_digital_browsers', 'deal_seeking_families') group by 1 order by 1"
    )
    (_, families), (_, young) = ages
    assert families[1] > young[0]
