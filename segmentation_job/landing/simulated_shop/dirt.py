"""Rows that no clean export has, planted beside the clean ones, and what staging must say of each.

Every planted row is a copy of a clean one with an id of its own and one thing wrong, or an unchanged copy. So no
clean row is touched, none refers to a planted one, and the reason is the first that applies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from segmentation_job.landing.simulated_shop.columns import SCHEMAS

Row = dict[str, Any]
DUPLICATE: Final = "duplicate"
TRUTH_SCHEMA: Final = pa.schema([("entity", pa.string()), ("reason", pa.string()), ("record_key", pa.string())])
RECORD_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "customers": ("customer_id", "valid_from"),
    "products": ("product_id", "valid_from"),
    "orders": ("order_id", "customer_id"),
    "order_lines": ("order_id", "line_id", "product_id"),
    "order_events": ("event_id", "order_id"),
    "payments": ("payment_id", "order_id"),
    "credit": ("customer_id", "credit_date"),
    "loyalty_events": ("event_id", "customer_id"),
    "web_events": ("event_id", "session_id"),
    "feedback": ("event_id", "customer_id"),
    "campaign_contacts": ("customer_id", "campaign_id", "channel"),
    "market_indicators": ("indicator_month", "indicator", "category", "entity", "published_at"),
}
_FAR_PAST: Final = datetime(1899, 12, 31, 12, 0, 0)  # noqa: DTZ001
_FAR_FUTURE: Final = datetime(2150, 1, 1, 0, 0, 0)  # noqa: DTZ001


@dataclass(frozen=True)
class Planting:
    """What is at hand to spoil a row.

    number: of the planted row, unlike any other's of its entity. turn: counts the rows of one reason, so that
    several ways of being wrong take turns. signup_dates: of the customers of the chunk, by id.
    """

    number: int
    turn: int
    signup_dates: Mapping[str, date]

    def fresh(self, prefix: str) -> str:
        """Return an id that only planted rows have."""
        return f"{prefix}x{self.number:010d}"

    def blank(self) -> str | None:
        """Return no id, as nothing or as blanks."""
        return None if self.turn % 2 == 0 else "  "

    def impossible(self) -> datetime:
        """Return a moment that is a typing error or a sentinel."""
        return _FAR_PAST if self.turn % 2 == 0 else _FAR_FUTURE

    def other_customer(self, customer_id: str) -> str:
        """Return the id of another customer, or of none where there is only one."""
        known = list(self.signup_dates)
        following = known[(known.index(customer_id) + 1) % len(known)]
        return self.fresh("c") if following == customer_id else following


Spoil = Callable[[Row, Planting], None]


def plant(
    entity: str,
    clean: pa.Table,
    rate: float,
    rng: np.random.Generator,
    chunk: int,
    signup_dates: Mapping[str, date],
) -> tuple[pa.Table, pa.Table]:
    """Return the planted rows of an entity, and their truth.

    rate: planted rows per clean row; the first chunk has every reason at least once. Reasons take turns.
    """
    spoils = REASONS[entity]
    count = round(rate * clean.num_rows)
    if chunk == 0 and rate > 0:
        count = max(count, len(spoils))
    if not clean.num_rows or not count:
        return SCHEMAS[entity].empty_table(), TRUTH_SCHEMA.empty_table()
    reasons = list(spoils)
    rows = clean.take(pa.array(rng.choice(clean.num_rows, size=count, replace=count > clean.num_rows))).to_pylist()
    truth = []
    for position, row in enumerate(rows):
        reason = reasons[(position + chunk) % len(reasons)]
        planting = Planting(chunk * 10_000_000 + position, (position + chunk) // len(reasons), signup_dates)
        if reason != DUPLICATE:
            _rename(entity, row, planting)
        spoils[reason](row, planting)
        truth.append({"entity": entity, "reason": reason, "record_key": record_key(entity, row)})
    return pa.Table.from_pylist(rows, SCHEMAS[entity]), pa.Table.from_pylist(truth, TRUTH_SCHEMA)


def record_key(entity: str, row: Row) -> str:
    """Return the key under which quarantine shows a row: its key columns as text, ~ for none."""
    return "|".join(_text(row[column]) for column in RECORD_KEYS[entity])


def _text(value: object) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        return "~"
    return value.strip() if isinstance(value, str) else str(value)


def _rename(entity: str, row: Row, planting: Planting) -> None:
    """Give a planted row an id of its own, so that nothing else can be meant by it."""
    match entity:
        case "customers":
            row["customer_id"] = planting.fresh("c")
        case "products":
            row["product_id"] = planting.fresh("p")
        case "orders":
            row["order_id"] = planting.fresh("o")
        case "order_lines":
            row["line_id"] = planting.fresh("")
        case "payments":
            row["payment_id"] = planting.fresh("y")
        case "campaign_contacts":
            row["campaign_id"] = planting.fresh("k")
        case "order_events" | "loyalty_events" | "web_events" | "feedback":
            row["event_id"] = planting.fresh(row["event_id"][:2])
        case _:
            pass


def _unchanged(_row: Row, _planting: Planting) -> None:
    pass


def _missing(column: str) -> Spoil:
    def spoil(row: Row, planting: Planting) -> None:
        row[column] = planting.blank()

    return spoil


def _null(*columns: str) -> Spoil:
    def spoil(row: Row, _: Planting) -> None:
        for column in columns:
            row[column] = None

    return spoil


def _one_null(*columns: str) -> Spoil:
    def spoil(row: Row, planting: Planting) -> None:
        row[columns[planting.turn % len(columns)]] = None

    return spoil


def _one_of(column: str, *values: object) -> Spoil:
    def spoil(row: Row, planting: Planting) -> None:
        row[column] = values[planting.turn % len(values)]

    return spoil


def _impossible(*columns: str) -> Spoil:
    """Put an impossible date into one of the columns, in turns."""

    def spoil(row: Row, planting: Planting) -> None:
        column = columns[planting.turn % len(columns)]
        # The turn chooses the column: how often it has come round chooses the date.
        moment = _FAR_PAST if (planting.turn // len(columns)) % 2 == 0 else _FAR_FUTURE
        row[column] = moment.date() if column.endswith("_date") or column == "indicator_month" else moment

    return spoil


def _unknown(column: str, prefix: str) -> Spoil:
    def spoil(row: Row, planting: Planting) -> None:
        row[column] = f"{prefix}z{planting.number:010d}"

    return spoil


def _unknown_customer(column: str) -> Spoil:
    """Name a customer whom nobody knows, or date the event before the customer's signup."""

    def spoil(row: Row, planting: Planting) -> None:
        signup = planting.signup_dates.get(row["customer_id"] or "")
        if signup is None or planting.turn % 2 == 0:
            row["customer_id"] = f"cz{planting.number:010d}"
            return
        day = signup - timedelta(days=1 + planting.number % 30)
        is_date = isinstance(row[column], date) and not isinstance(row[column], datetime)
        moment = datetime(day.year, day.month, day.day, 12, 0, 0)  # noqa: DTZ001
        row[column] = day if is_date else str(moment) if isinstance(row[column], str) else moment
        if "responded_at" in row:
            row["response"] = row["responded_at"] = None

    return spoil


def _impossible_birth(row: Row, planting: Planting) -> None:
    if planting.turn % 3 == 2:
        row["birth_date"] = date(1811, 2, 3)
    else:
        _impossible("valid_from", "signup_date")(row, planting)


def _impossible_order(row: Row, planting: Planting) -> None:
    row["ordered_at"] = str(planting.impossible())


def _negative(column: str) -> Spoil:
    def spoil(row: Row, planting: Planting) -> None:
        row[column] = Decimal(-100 - planting.turn) / 100

    return spoil


def _negative_amounts(row: Row, planting: Planting) -> None:
    if planting.turn % 2 == 0:
        row["gross_amount"], row["discount_amount"], row["net_amount"] = Decimal("-3.00"), Decimal(0), Decimal("-3.00")
    else:
        row["discount_amount"] = Decimal("-1.00")
        row["net_amount"] = row["gross_amount"] + Decimal("1.00")


def _huge_amounts(row: Row, planting: Planting) -> None:
    row["gross_amount"] = row["net_amount"] = Decimal(1_000_000_000 + planting.turn)
    row["discount_amount"] = Decimal(0)


def _disagreeing_amounts(row: Row, planting: Planting) -> None:
    row["net_amount"] = row["net_amount"] + Decimal("0.01") * (1 + planting.turn)


def _unknown_order_of_event(row: Row, planting: Planting) -> None:
    """Name an order that nobody knows, or date the event before the day on which its order was placed."""
    if planting.turn % 2 == 0:
        _unknown("order_id", "o")(row, planting)
    else:
        # No event comes later than five weeks after its order.
        row["occurred_at"] = row["occurred_at"] - timedelta(days=60)


def _other_customer(row: Row, planting: Planting) -> None:
    row["customer_id"] = planting.other_customer(row["customer_id"])


def _points_without_worth(row: Row, planting: Planting) -> None:
    row["event_type"] = ("earn", "redeem")[planting.turn % 2]
    row["points"] = (0, None, -20)[planting.turn % 3]
    row["tier"] = None


def _tier_change_without_tier(row: Row, _planting: Planting) -> None:
    row["event_type"], row["tier"], row["points"] = "tier_change", None, None


def _cart_without_product(row: Row, planting: Planting) -> None:
    row["event_type"] = ("add_to_cart", "remove_from_cart")[planting.turn % 2]
    row["product_id"] = planting.blank()


def _unknown_scale(row: Row, planting: Planting) -> None:
    row["score"], row["score_scale"] = Decimal("3.00"), ("thumbs", "percent")[planting.turn % 2]


def _out_of_scale(row: Row, planting: Planting) -> None:
    row["score"], row["score_scale"] = (
        (Decimal("11.00"), "nps_0_10"),
        (Decimal("0.00"), "stars_1_5"),
        (Decimal("6.00"), "csat_1_5"),
    )[planting.turn % 3]


def _answer_before_contact(row: Row, _planting: Planting) -> None:
    row["response"] = "clicked"
    row["responded_at"] = row["contacted_at"] - timedelta(days=2)


# In the order in which staging asks.
REASONS: Final[Mapping[str, Mapping[str, Spoil]]] = {
    "customers": {
        "customer_missing": _missing("customer_id"),
        "date_impossible": _impossible_birth,
        "household_size_not_positive": _one_of("household_size", 0, -2),
        "income_negative": _negative("income_amount"),
        DUPLICATE: _unchanged,
    },
    "products": {
        "product_missing": _missing("product_id"),
        "date_impossible": _impossible("valid_from"),
        "amount_negative": _negative("list_price_amount"),
        DUPLICATE: _unchanged,
    },
    "orders": {
        "order_missing": _missing("order_id"),
        "value_unreadable": _one_of("ordered_at", "2025-13-45 10:00:00", "yesterday", "12.3."),
        "customer_missing": _missing("customer_id"),
        "date_missing": _null("ordered_at"),
        "date_impossible": _impossible_order,
        "customer_unknown": _unknown_customer("ordered_at"),
        DUPLICATE: _unchanged,
    },
    "order_lines": {
        "order_missing": _missing("order_id"),
        "line_missing": _missing("line_id"),
        "order_unknown": _unknown("order_id", "o"),
        "product_missing": _missing("product_id"),
        "product_unknown": _unknown("product_id", "p"),
        "quantity_missing": _null("quantity"),
        "quantity_not_positive": _one_of("quantity", Decimal(0), Decimal(-1)),
        "quantity_not_a_count": _one_of("quantity", Decimal("1.500"), Decimal("0.250")),
        "amount_missing": _null("gross_amount", "discount_amount", "net_amount"),
        "amount_negative": _negative_amounts,
        "amount_too_large": _huge_amounts,
        "amounts_disagree": _disagreeing_amounts,
        DUPLICATE: _unchanged,
    },
    "order_events": {
        "event_missing": _missing("event_id"),
        "order_missing": _missing("order_id"),
        "date_missing": _null("occurred_at"),
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": _one_of("event_type", "lost", None),
        "order_unknown": _unknown_order_of_event,
        "quantity_not_positive": _one_of("quantity", Decimal(0), Decimal(-1)),
        "amount_negative": _negative("amount"),
        DUPLICATE: _unchanged,
    },
    "payments": {
        "payment_missing": _missing("payment_id"),
        "value_unreadable": _one_of("amount", "12,50 EUR", "n/a"),
        "order_missing": _missing("order_id"),
        "date_missing": _null("due_at"),
        "date_impossible": _impossible("due_at", "paid_at", "failed_at"),
        "order_unknown": _unknown("order_id", "o"),
        "customer_mismatch": _other_customer,
        "amount_missing": _null("amount"),
        "amount_negative": _one_of("amount", "-5.00", "-0.01"),
        DUPLICATE: _unchanged,
    },
    "credit": {
        "customer_missing": _missing("customer_id"),
        "date_missing": _null("credit_date"),
        "date_impossible": _impossible("credit_date"),
        "customer_unknown": _unknown_customer("credit_date"),
        "limit_negative": _negative("limit_amount"),
        "balance_negative": _negative("balance_amount"),
        "score_out_of_range": _one_of("external_score", 1_200, -5),
        DUPLICATE: _unchanged,
    },
    "loyalty_events": {
        "event_missing": _missing("event_id"),
        "customer_missing": _missing("customer_id"),
        "date_missing": _null("occurred_at"),
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": _one_of("event_type", "expire", None),
        "customer_unknown": _unknown_customer("occurred_at"),
        "points_not_positive": _points_without_worth,
        "tier_missing": _tier_change_without_tier,
        DUPLICATE: _unchanged,
    },
    "web_events": {
        "event_missing": _missing("event_id"),
        "session_missing": _missing("session_id"),
        "date_missing": _null("occurred_at"),
        "date_impossible": _impossible("occurred_at"),
        "event_type_unknown": _one_of("event_type", "hover", None),
        "customer_unknown": _unknown_customer("occurred_at"),
        "product_missing": _cart_without_product,
        DUPLICATE: _unchanged,
    },
    "feedback": {
        "event_missing": _missing("event_id"),
        "customer_missing": _missing("customer_id"),
        "date_missing": _null("occurred_at"),
        "date_impossible": _impossible("occurred_at"),
        "feedback_type_unknown": _one_of("feedback_type", "rumour", None),
        "customer_unknown": _unknown_customer("occurred_at"),
        "score_scale_unknown": _unknown_scale,
        "score_out_of_scale": _out_of_scale,
        DUPLICATE: _unchanged,
    },
    "campaign_contacts": {
        "customer_missing": _missing("customer_id"),
        "campaign_missing": _missing("campaign_id"),
        "date_missing": _null("contacted_at"),
        "date_impossible": _impossible("contacted_at", "responded_at"),
        "response_before_contact": _answer_before_contact,
        "customer_unknown": _unknown_customer("contacted_at"),
        DUPLICATE: _unchanged,
    },
    "market_indicators": {
        "indicator_missing": _missing("indicator"),
        "date_missing": _one_null("indicator_month", "published_at"),
        "date_impossible": _impossible("indicator_month", "published_at"),
        "indicator_unknown": _one_of("indicator", "weather"),
        "value_missing": _null("indicator_value"),
        "value_not_finite": _one_of("indicator_value", float("nan"), float("inf"), float("-inf")),
        DUPLICATE: _unchanged,
    },
}
