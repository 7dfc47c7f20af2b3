"""A small warehouse whose features are computed from made-up orders, so that every accounting rule holds."""

import math
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import duckdb

AS_OF = date(2018, 1, 1)
PREVIOUS = date(2017, 12, 1)
HISTORY_START = date(2017, 1, 2)
SHOPPER = "c001"
ONE_DAY_SHOPPER = "c004"
NON_BUYER = "c060"
PROMPT_PAYER = "c003"
LENSES = ("overall", "purchase")

_TYPES = {
    "demographic_features": """as_of_date date, customer_id varchar, age_years integer, age_band varchar,
        gender varchar, income_amount decimal(18, 2), income_band varchar, country varchar, region varchar,
        city varchar, postal_code varchar, language varchar, ethnicity varchar, household_size integer,
        marital_status varchar, education varchar, acquisition_channel varchar, has_demographics boolean""",
    "financial_features": """as_of_date date, customer_id varchar, spend_amount decimal(18, 2),
        spend_amount_30d decimal(18, 2), spend_amount_90d decimal(18, 2), spend_amount_365d decimal(18, 2),
        gross_amount decimal(18, 2), discount_amount decimal(18, 2), discount_share double,
        average_order_amount decimal(18, 2), largest_order_amount decimal(18, 2), spend_volatility double,
        spend_trend_90d double, cost_amount decimal(18, 2), margin_amount decimal(18, 2),
        margin_amount_365d decimal(18, 2), margin_share double, credit_limit_amount decimal(18, 2),
        credit_balance_amount decimal(18, 2), credit_utilisation_share double, external_credit_score integer,
        credit_score_band varchar, payment_count bigint, payment_on_time_share double, payment_late_share double,
        payment_failed_share double, payment_delay_days_mean double, payment_delay_days_deviation double,
        overdue_amount decimal(18, 2), favourite_payment_method varchar, favourite_payment_method_share double""",
    "purchase_features": """as_of_date date, customer_id varchar, order_count bigint, order_count_30d bigint,
        order_count_90d bigint, order_count_365d bigint, item_count bigint, line_count bigint,
        product_count bigint, category_count bigint, order_day_count bigint, first_order_date date,
        last_order_date date, recency_days integer, items_per_order double, favourite_category varchar,
        favourite_category_share double, private_label_share double, discounted_line_share double,
        interpurchase_days_mean double, interpurchase_days_cv double, weekend_order_share double,
        returned_item_count bigint, returned_amount decimal(18, 2), return_rate double, cancelled_order_count bigint,
        relative_price_index double, recurring_product_count bigint, recurring_product_id varchar,
        recurring_interval_days double, recurring_next_due_date date, subscription_order_count bigint,
        subscription_order_share double, winter_spend_share double, spring_spend_share double,
        summer_spend_share double, autumn_spend_share double, seasonality_index double,
        category_mix_distance double""",
    "engagement_features": """as_of_date date, customer_id varchar, first_seen_date date, tenure_days integer,
        active_day_count_90d bigint, active_window_share double, is_repeat_customer boolean,
        campaign_contact_count bigint, campaign_response_count bigint, campaign_response_rate double,
        days_since_response integer, repeat_order_share double, is_loyalty_member boolean,
        loyalty_tenure_days integer, loyalty_tier varchar, points_earned bigint, points_redeemed bigint,
        points_balance bigint, redemption_count bigint, points_redeemed_share double,
        brand_interaction_count_90d bigint, session_count bigint, session_count_30d bigint,
        session_count_90d bigint, view_count_90d bigint, search_count_90d bigint, viewed_product_count_90d bigint,
        viewed_category varchar, days_since_session integer, cart_count bigint, abandoned_cart_count bigint,
        cart_abandonment_rate double, abandoned_cart_amount_90d decimal(18, 2), conversion_rate double,
        main_device varchar, survey_count bigint, survey_response_rate double, satisfaction_score double,
        nps_score_mean double, review_count bigint, review_score_mean double, complaint_count bigint,
        complaint_count_365d bigint""",
    "customer_forecasts": """as_of_date date, customer_id varchar, expected_purchases_90d double,
        expected_spend_amount_90d decimal(18, 2), active_probability double, next_category varchar,
        next_category_probability double""",
    "category_demand_forecast": """as_of_date date, category varchar, month date, months_ahead integer,
        expected_amount decimal(18, 2), lower_amount decimal(18, 2), upper_amount decimal(18, 2), method varchar""",
    "labels": """as_of_date date, lens varchar, customer_id varchar, model_version varchar, cluster integer,
        segment_key varchar, confidence double, is_outlier boolean, distance double,
        previous_model_segment_key varchar""",
}
_DAYS = """customer_id varchar, order_date date, order_count bigint, line_count bigint,
    discounted_line_count bigint, item_count bigint, gross_amount decimal(18, 2),
    discount_amount decimal(18, 2), net_amount decimal(18, 2), private_label_amount decimal(18, 2),
    largest_order_amount decimal(18, 2), cost_amount decimal(18, 2), costed_net_amount decimal(18, 2)"""
_PAYMENTS = """customer_id varchar, method varchar, due_date date, paid_date date, failed_date date,
    amount decimal(18, 2)"""
_SCORE_BANDS = {300: "300-579", 580: "580-669", 670: "670-739", 740: "740-799", 800: "800-850", 851: "other"}


@dataclass(frozen=True)
class Line:
    product: int
    category: str
    items: int
    gross: int  # cents
    discount: int  # cents

    @property
    def net(self) -> int:
        return self.gross - self.discount

    @property
    def cost(self) -> int | None:
        # Of every tenth product the cost is not known.
        return None if self.product % 10 == 0 else self.items * (self.gross // (2 * self.items))


@dataclass(frozen=True)
class Payment:
    method: str
    due: date
    paid: date | None
    failed: date | None
    amount: int  # cents


@dataclass(frozen=True)
class Order:
    day: date
    lines: tuple[Line, ...]

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)


@dataclass(frozen=True)
class Visit:
    """A session-day: the products viewed, and what was left of a cart, in cents; None without a cart."""

    day: date
    products: tuple[int, ...]
    searches: int
    left_behind: int | None
    has_purchase: bool


@dataclass(frozen=True)
class Customer:
    number: int
    first_seen: date
    orders: tuple[Order, ...]
    visits: tuple[Visit, ...]

    @property
    def id(self) -> str:
        return f"c{self.number:03d}"

    @property
    def payments(self) -> tuple[Payment, ...]:
        return tuple(_payment(self, index, order) for index, order in enumerate(self.orders) if self.number % 5)


def build_warehouse(path: Path, customer_count: int = 60) -> Path:
    """Write a warehouse with candidates as of AS_OF and promoted rows as of PREVIOUS; return its path."""
    customers = [_customer(number) for number in range(1, customer_count + 1)]
    with duckdb.connect(str(path)) as connection:
        for schema in ("candidate", "promoted", "staging", "intermediate"):
            connection.execute(f"create schema {schema}")
        connection.execute("create table promoted.dates (as_of_date date, has_labels boolean, content_hash varchar)")
        connection.execute("insert into promoted.dates values (?, true, 'hash')", [PREVIOUS])
        for schema, as_of in (("candidate", AS_OF), ("promoted", PREVIOUS)):
            known = [customer for customer in customers if customer.first_seen < as_of]
            rows = {
                "demographic_features": [_demographics(customer, as_of) for customer in known],
                "financial_features": [_finances(customer, as_of) for customer in known],
                "purchase_features": [_purchases(customer, as_of) for customer in known],
                "engagement_features": [_engagement(customer, as_of) for customer in known],
                "customer_forecasts": [_forecast(customer, as_of) for customer in known],
                "category_demand_forecast": [
                    _demand(category, as_of, ahead)
                    for category in ("dairy", "produce", "flowers")
                    for ahead in range(3)
                ],
                "labels": [_label(customer, as_of, lens) for lens in LENSES for customer in known],
            }
            for table, columns in _TYPES.items():
                _write(connection, f"{schema}.{table}", columns, rows[table])
        _write(
            connection,
            "candidate.runs",
            "as_of_date date, lens varchar, customers bigint",
            [(AS_OF, lens, sum(customer.first_seen < AS_OF for customer in customers)) for lens in LENSES],
        )
        _write(
            connection,
            "intermediate.int_customer_first_seen",
            "customer_id varchar, first_seen_date date",
            [(customer.id, customer.first_seen) for customer in customers],
        )
        _write(
            connection,
            "intermediate.int_customer_days",
            _DAYS,
            [_day(customer, order) for customer in customers for order in customer.orders],
        )
        _write(
            connection,
            "staging.stg_payments",
            _PAYMENTS,
            [
                (customer.id, payment.method, payment.due, payment.paid, payment.failed, _money(payment.amount))
                for customer in customers
                for payment in customer.payments
            ],
        )
    return path


def _write(connection: Any, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    connection.execute(f"create table {table} ({columns})")
    marks = "(" + ", ".join("?" for _ in rows[0]) + ")"
    # Many rows a statement: executemany takes a millisecond for each.
    for some in (rows[start : start + 50] for start in range(0, len(rows), 50)):
        connection.execute(
            f"insert into {table} values {', '.join(marks for _ in some)}", [value for row in some for value in row]
        )


def _customer(number: int) -> Customer:
    chance = random.Random(number)
    first_seen = HISTORY_START + timedelta(days=(number * 37) % 280)
    if number == 59:
        first_seen = PREVIOUS + timedelta(days=3)
    if number == 60 or number % 20 == 17:
        return Customer(number, first_seen, (), _visits(number, first_seen))
    gap = 5 + 3 * (number % 9)
    # Every seventh customer buys on one day only; the first order of the history is customer 1's.
    order_count = 1 if number % 7 == 4 else 60
    first_order = HISTORY_START if number == 1 else first_seen + timedelta(days=2)
    if number == 1:
        first_seen = HISTORY_START
    days = [first_order + timedelta(days=i * gap + (i * number) % 3) for i in range(order_count)]
    orders = tuple(
        Order(
            day,
            tuple(
                Line(
                    product=chance.randrange(40),
                    category=chance.choice(["dairy", "produce", "bakery", "meat"]),
                    items=chance.randint(1, 4),
                    gross=chance.randint(100, 400 + 60 * (number % 11)),
                    discount=chance.choice([0, chance.randint(1, 20 + 3 * (number % 20))]),
                )
                for _ in range(chance.randint(2, 3 + number % 5))
            ),
        )
        # The last orders fall on the batch date and later: a fixture without a future tests no cut-off.
        for day in days
        if day < AS_OF + timedelta(days=40)
    )
    return Customer(number, first_seen, orders, _visits(number, first_seen))


def _visits(number: int, first_seen: date) -> tuple[Visit, ...]:
    """A visit every few days from the first one on; every fifth customer never comes by web."""
    chance = random.Random(1000 + number)
    visits = []
    for i in range(0 if number % 5 == 0 else 90):
        cart = chance.choice(["none", "none", "left behind", "bought"])
        visits.append(
            Visit(
                day=first_seen + timedelta(days=2 + i * (3 + number % 8)),
                products=tuple(chance.randrange(40) for _ in range(chance.randint(0, 4))),
                searches=chance.randint(0, 2),
                left_behind={"none": None, "left behind": chance.randint(100, 5000), "bought": 0}[cart],
                has_purchase=cart == "bought",
            )
        )
    return tuple(visits)


def _before(customer: Customer, as_of: date) -> list[Order]:
    return [order for order in customer.orders if order.day < as_of]


def _within(orders: list[Order], as_of: date, start: int, end: int = 0) -> list[Order]:
    """Orders from `start` days before the date up to `end` days before it."""
    return [order for order in orders if end < (as_of - order.day).days <= start]


def _windows(customer: Customer, as_of: date) -> list[list[Order]]:
    lived = min(12, math.ceil((as_of - customer.first_seen).days / 30))
    orders = _before(customer, as_of)
    return [_within(orders, as_of, 30 * (i + 1), 30 * i) for i in range(lived)]


def _money(cents: float) -> float:
    return round(cents / 100, 2)


def _spend(orders: list[Order]) -> int:
    return sum(order.net for order in orders)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def _day(customer: Customer, order: Order) -> tuple[Any, ...]:
    gross = sum(line.gross for line in order.lines)
    discounted = sum(line.discount > 0 for line in order.lines)
    items = sum(line.items for line in order.lines)
    return (
        customer.id,
        order.day,
        1,
        len(order.lines),
        discounted,
        items,
        _money(gross),
        _money(gross - order.net),
        _money(order.net),
        0,
        _money(order.net),
        *_costs([order]),
    )


def _payment(customer: Customer, index: int, order: Order) -> Payment:
    """Return what was due for an order: customer 3 pays in time, of the others one in ten fails and two are late."""
    due = order.day + timedelta(days=14 * (index % 2))
    fate = 9 if customer.id == PROMPT_PAYER else (customer.number + index) % 10
    paid = {0: None, 1: due + timedelta(days=6), 2: None}.get(fate, due - timedelta(days=index % 3))
    method = ("card", "transfer", "cash")[(customer.number + index % 2) % 3]
    return Payment(method, due, paid, due + timedelta(days=1) if fate == 0 else None, order.net)


def _costs(orders: list[Order]) -> tuple[float | None, float | None]:
    """Return the cost of the lines whose cost is known and what these brought; None where there are none."""
    costed = [line for order in orders for line in order.lines if line.cost is not None]
    if not costed:
        return None, None
    return _money(sum(line.cost or 0 for line in costed)), _money(sum(line.net for line in costed))


def _margin(orders: list[Order]) -> float | None:
    cost, net = _costs(orders)
    return None if cost is None or net is None else round(net - cost, 2)


def _demographics(customer: Customer, as_of: date) -> tuple[Any, ...]:
    number = customer.number
    if number % 6 == 0:
        return (as_of, customer.id, *[None] * 15, False)
    age = 18 + number % 60
    return (
        as_of,
        customer.id,
        age,
        f"{age // 10 * 10}s",
        "female" if number % 2 else "male",
        20000 + 1000 * number,
        "35-49K",
        "US",
        "Ohio",
        "Dayton",
        "45402",
        "en",
        "not stated",
        1 + number % 5,
        "single",
        "college",
        "store",
        True,
    )


def _finances(customer: Customer, as_of: date) -> tuple[Any, ...]:
    orders = _before(customer, as_of)
    gross = sum(line.gross for order in orders for line in order.lines)
    spend = _spend(orders)
    windows = [_spend(window) for window in _windows(customer, as_of)]
    recent, earlier = _spend(_within(orders, as_of, 90)), _spend(_within(orders, as_of, 180, 90))
    return (
        as_of,
        customer.id,
        _money(spend),
        *(_money(_spend(_within(orders, as_of, days))) for days in (30, 90, 365)),
        _money(gross),
        _money(gross - spend),
        _ratio(gross - spend, gross),
        _money(spend / len(orders)) if orders else None,
        _money(max(order.net for order in orders)) if orders else None,
        _ratio(pstdev(windows), fmean(windows)) if sum(windows) else None,
        _ratio(recent - earlier, recent + earlier),
        *_earnings(orders, as_of),
        *_credit(customer),
        *_payment_habits(customer, as_of),
    )


def _earnings(orders: list[Order], as_of: date) -> tuple[Any, ...]:
    cost, net = _costs(orders)
    margin = _margin(orders)
    return (cost or 0, margin, _margin(_within(orders, as_of, 365)), _ratio(margin or 0, net or 0))


def _credit(customer: Customer) -> tuple[Any, ...]:
    number = customer.number
    if number % 4 == 3:
        return (None,) * 5
    limit, score = 100_000 + 10_000 * number, 290 + number * 37 % 570
    balance = limit * (number % 12) // 10
    band = next((name for start, name in reversed(_SCORE_BANDS.items()) if start <= score), "other")
    return (_money(limit), _money(balance), _ratio(balance, limit), score, band)


def _payment_habits(customer: Customer, as_of: date) -> tuple[Any, ...]:
    due = [payment for payment in customer.payments if payment.due < as_of]
    paid = [payment for payment in due if payment.paid and payment.paid < as_of]
    failed = [payment for payment in due if payment not in paid and payment.failed and payment.failed < as_of]
    delays = [(payment.paid - payment.due).days for payment in paid if payment.paid]
    on_time = sum(delay <= 0 for delay in delays)
    still_open = [payment for payment in due if payment not in paid and payment not in failed]
    methods = Counter(payment.method for payment in due)
    favourite = min(methods, key=lambda name: (-methods[name], name)) if due else None
    return (
        len(due),
        _ratio(on_time, len(due)),
        _ratio(len(due) - on_time - len(failed), len(due)),
        _ratio(len(failed), len(due)),
        round(fmean(delays), 6) if delays else None,
        round(pstdev(delays), 6) if delays else None,
        _money(sum(payment.amount for payment in still_open)),
        favourite,
        _ratio(methods[favourite], len(due)) if favourite else None,
    )


def _purchases(customer: Customer, as_of: date) -> tuple[Any, ...]:
    orders = _before(customer, as_of)
    lines = [line for order in orders for line in order.lines]
    days = sorted({order.day for order in orders})
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    by_category: Counter[str] = Counter()
    for line in lines:
        by_category[line.category] += line.gross - line.discount
    favourite = min(by_category, key=lambda name: (-by_category[name], name)) if lines else None
    items = sum(line.items for line in lines)
    return (
        as_of,
        customer.id,
        len(orders),
        *(len(_within(orders, as_of, window)) for window in (30, 90, 365)),
        items,
        len(lines),
        len({line.product for line in lines}),
        len({line.category for line in lines}),
        len(days),
        days[0] if days else None,
        days[-1] if days else None,
        (as_of - days[-1]).days if days else None,
        _ratio(items, len(orders)),
        favourite,
        _ratio(by_category[favourite], _spend(orders)) if favourite else None,
        0.25 if orders else None,
        _ratio(sum(line.discount > 0 for line in lines), len(lines)),
        round(fmean(gaps), 6) if gaps else None,
        round(pstdev(gaps) / fmean(gaps), 6) if len(gaps) > 1 else None,
        _ratio(sum(order.day.weekday() >= 5 for order in orders), len(orders)),
        *_returns_and_rhythms(customer, as_of),
        *_seasons(_within(orders, as_of, 365)),
        0.3 if orders else None,
    )


def _returns_and_rhythms(customer: Customer, as_of: date) -> tuple[Any, ...]:
    orders = _before(customer, as_of)
    items = sum(line.items for order in orders for line in order.lines)
    returned = customer.number % 3 if orders else 0
    recurs = len(orders) > 2
    return (
        returned,
        returned,
        _ratio(returned, items),
        customer.number % 2,
        0.8 + customer.number % 5 / 10 if orders else None,
        2 if recurs else 0,
        "p7" if recurs else None,
        7.5 if recurs else None,
        as_of + timedelta(days=customer.number % 20 - 14) if recurs else None,
        len(orders) // 3,
        _ratio(len(orders) // 3, len(orders)),
    )


def _seasons(orders: list[Order]) -> tuple[float | None, ...]:
    """Shares of winter, spring, summer and autumn, and their index."""
    spend = _spend(orders)
    of_seasons = [_spend([order for order in orders if order.day.month % 12 // 3 == season]) for season in range(4)]
    distances = sum(abs(4 * of_season - spend) for of_season in of_seasons)
    return (*(_ratio(of_season, spend) for of_season in of_seasons), _ratio(distances, 6 * spend))


def _engagement(customer: Customer, as_of: date) -> tuple[Any, ...]:
    orders = _before(customer, as_of)
    windows = _windows(customer, as_of)
    contacts, responses = customer.number % 4, min(customer.number % 4, customer.number % 3)
    return (
        as_of,
        customer.id,
        customer.first_seen,
        (as_of - customer.first_seen).days,
        len({order.day for order in _within(orders, as_of, 90)}),
        _ratio(sum(bool(window) for window in windows), len(windows)),
        len({order.day for order in orders}) >= 2,
        contacts,
        responses,
        _ratio(responses, contacts),
        10 + customer.number if responses else None,
        _ratio(sum(order.day > orders[0].day for order in orders), len(orders)),
        *_loyalty(customer, as_of),
        # All responses are made to lie within the last 90 days.
        responses
        + sum((as_of - visit.day).days <= 90 for visit in customer.visits if visit.day < as_of)
        + len({order.day for order in _within(orders, as_of, 90)}),
        *_browsing(customer, as_of),
        *_feedback(customer),
    )


def _loyalty(customer: Customer, as_of: date) -> tuple[Any, ...]:
    """Two of three customers are members from the first day on, and every second member redeemed 40 points at once."""
    if customer.number % 3 == 0:
        return (False, None, None, 0, 0, 0, 0, None)
    earned = 10 * (5 + customer.number)
    redemptions = customer.number % 2
    return (
        True,
        (as_of - customer.first_seen).days,
        "gold" if customer.number % 4 == 1 else None,
        earned,
        40 * redemptions,
        earned - 40 * redemptions,
        redemptions,
        _ratio(40 * redemptions, earned),
    )


def _browsing(customer: Customer, as_of: date) -> tuple[Any, ...]:
    visits = [visit for visit in customer.visits if visit.day < as_of]
    recent = [visit for visit in visits if (as_of - visit.day).days <= 90]
    carts = [visit for visit in visits if visit.left_behind is not None]
    abandoned = [visit for visit in carts if not visit.has_purchase]
    viewed = [product for visit in recent for product in visit.products]
    return (
        len(visits),
        sum((as_of - visit.day).days <= 30 for visit in visits),
        len(recent),
        len(viewed),
        sum(visit.searches for visit in recent),
        len(set(viewed)),
        "dairy" if viewed else None,
        min((as_of - visit.day).days for visit in visits) if visits else None,
        len(carts),
        len(abandoned),
        _ratio(len(abandoned), len(carts)),
        _money(sum(visit.left_behind or 0 for visit in recent)),
        _ratio(sum(visit.has_purchase for visit in visits), len(visits)),
        "phone" if visits else None,
    )


def _feedback(customer: Customer) -> tuple[Any, ...]:
    """Surveys on the scale of 10, of which one was answered, a review of three stars, complaints without a score."""
    surveys, reviews, complaints = customer.number % 3, customer.number % 2, customer.number % 4
    nps = [customer.number % 11] if surveys else []
    scores = [score / 10 for score in nps] + [0.5] * reviews
    return (
        surveys,
        _ratio(len(nps), surveys),
        round(fmean(scores), 6) if scores else None,
        fmean(nps) if nps else None,
        reviews,
        3.0 if reviews else None,
        complaints,
        complaints // 2,
    )


def _forecast(customer: Customer, as_of: date) -> tuple[Any, ...]:
    recent = len({order.day for order in _within(_before(customer, as_of), as_of, 90)})
    if not _before(customer, as_of):
        return (as_of, customer.id, *[None] * 5)
    return (as_of, customer.id, recent + 0.25, 20.0 * recent, 0.75, "dairy", 0.6)


def _demand(category: str, as_of: date, ahead: int) -> tuple[Any, ...]:
    month = date(as_of.year + (as_of.month + ahead - 1) // 12, (as_of.month + ahead - 1) % 12 + 1, 1)
    # Flowers came last month: nothing can be said of them yet.
    if category == "flowers":
        return (as_of, category, month, ahead + 1, None, None, None, "too_little_history")
    return (as_of, category, month, ahead + 1, 100 + ahead, 80, 130, "recent_mean")


def _label(customer: Customer, as_of: date, lens: str) -> tuple[Any, ...]:
    cluster = customer.number % 4
    return (
        as_of,
        lens,
        customer.id,
        f"{lens}-model",
        cluster,
        f"{lens}-segment-{cluster}",
        0.5 + (customer.number % 5) / 10,
        False,
        1.5,
        None,
    )
