"""The four feature tables of The Complete Journey, computed a second time by plain pandas from the raw Parquet.

Written from the descriptions of the contract and not from the SQL of the models, so that the two can disagree.
Amounts are whole cents until the last step: nothing here depends on the order in which floats are added.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import pandas as pd

Row = dict[str, object]
Features = dict[str, dict[str, Row]]

WINDOW_DAYS = 30
MOST_WINDOWS = 12
YEAR_DAYS = 365


@dataclass(frozen=True)
class RawData:
    """The raw files of The Complete Journey, as the package ships them."""

    transactions: pd.DataFrame
    products: pd.DataFrame
    demographics: pd.DataFrame
    campaigns: pd.DataFrame
    campaign_descriptions: pd.DataFrame
    coupon_redemptions: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> "RawData":
        """Read `<table>.parquet` of every table from this folder."""
        return cls(**{name: pd.read_parquet(folder / f"{name}.parquet") for name in cls.__dataclass_fields__})


def kept_lines(raw: RawData) -> pd.DataFrame:
    """Return the order lines that are not set aside, with amounts in cents, their day and their product.

    Set aside are lines of unknown products, of no positive quantity, and those whose unit is sold for less than a
    cent: fuel, by volume. What is given away has no price that could say so, and its quantity counts.
    """
    lines = raw.transactions[["household_id", "basket_id", "product_id", "quantity"]].copy()
    lines["day"] = raw.transactions["transaction_timestamp"].dt.date
    lines["net"] = _cents(raw.transactions["sales_value"])
    lines["discount"] = _cents(raw.transactions["retail_disc"]) + _cents(raw.transactions["coupon_match_disc"])
    lines["gross"] = lines["net"] + lines["discount"]
    products = raw.products.set_index("product_id")
    known = lines["product_id"].isin(products.index)
    counted = (lines["quantity"] > 0) & ((lines["gross"] == 0) | (lines["gross"] >= lines["quantity"]))
    kept = lines[known & counted].copy()
    # As the description of stg_order_lines_checked.category has it.
    category = products["product_category"].fillna(products["department"]).fillna("unknown")
    kept["category"] = kept["product_id"].map(category)
    kept["is_private_label"] = kept["product_id"].map(products["brand"]) == "Private"
    return kept


def first_seen(raw: RawData) -> dict[int, date]:
    """Return the day of each household's first order, whether or not a line of it is kept."""
    days: dict[int, date] = raw.transactions.groupby("household_id")["transaction_timestamp"].min().dt.date.to_dict()
    return days


def compute_features(raw: RawData, as_of: date) -> Features:
    """Compute every column of the four feature tables: family → customer → column → value.

    as_of: only what happened before this day counts; customers first seen on it or later are out of scope.
    """
    lines = kept_lines(raw)
    past = lines[lines["day"] < as_of]
    lines_of = {int(household): group for household, group in past.groupby("household_id")}
    answers = {int(row["household_id"]): row for row in raw.demographics.to_dict("records")}
    contacts_of = _contacts(raw, as_of)
    market = _by_category(past, as_of)
    features: Features = {family: {} for family in ("demographic", "financial", "purchase", "engagement")}
    for household, seen in first_seen(raw).items():
        if seen >= as_of:
            continue
        customer = str(household)
        own = lines_of.get(household, past.iloc[:0])
        window_count = min(MOST_WINDOWS, math.ceil((as_of - seen).days / WINDOW_DAYS))
        features["demographic"][customer] = _demographic(answers.get(household, {}))
        features["financial"][customer] = _financial(own, as_of, window_count)
        features["purchase"][customer] = {
            **_purchase(own, as_of),
            **_recurring(own, as_of),
            **_seasons(own, as_of),
            **_against_market(_by_category(own, as_of), market),
        }
        features["engagement"][customer] = _engagement(own, contacts_of.get(household, []), as_of, seen, window_count)
    return features


def _demographic(answer: Mapping[str, object]) -> Row:
    known = {name: str(value).strip() for name, value in answer.items() if pd.notna(value)}
    size = known.get("household_size")
    row: Row = {
        "age_years": None,
        "age_band": known.get("age"),
        "gender": None,
        "income_amount": None,
        "income_band": known.get("income"),
        "country": None,
        "region": None,
        "city": None,
        "postal_code": None,
        "language": None,
        "ethnicity": None,
        "household_size": None if size is None else int(size.removesuffix("+")),
        "marital_status": known.get("marital_status"),
        "education": None,
        "acquisition_channel": None,
    }
    return {**row, "has_demographics": any(value is not None for value in row.values())}


def _financial(lines: pd.DataFrame, as_of: date, window_count: int) -> Row:
    spend, gross, discount = (int(lines[name].sum()) for name in ("net", "gross", "discount"))
    of_orders = lines.groupby("basket_id")["net"].sum()
    last_90 = _spend_between(lines, as_of - timedelta(days=90), as_of)
    earlier_90 = _spend_between(lines, as_of - timedelta(days=180), as_of - timedelta(days=90))
    windows = [
        _spend_between(lines, as_of - timedelta(days=WINDOW_DAYS * (i + 1)), as_of - timedelta(days=WINDOW_DAYS * i))
        for i in range(window_count)
    ]
    return {
        "spend_amount": _money(spend),
        "spend_amount_30d": _money(_spend_between(lines, as_of - timedelta(days=30), as_of)),
        "spend_amount_90d": _money(last_90),
        "spend_amount_365d": _money(_spend_between(lines, as_of - timedelta(days=365), as_of)),
        "gross_amount": _money(gross),
        "discount_amount": _money(discount),
        "discount_share": _ratio(discount, gross),
        "average_order_amount": None if of_orders.empty else _money(Decimal(spend) / len(of_orders)),
        "largest_order_amount": None if of_orders.empty else _money(int(of_orders.max())),
        "spend_volatility": _variation(windows),
        "spend_trend_90d": _ratio(last_90 - earlier_90, last_90 + earlier_90),
        # The Complete Journey tells of no cost, no credit and no payment.
        "cost_amount": _money(0),
        "margin_amount": None,
        "margin_amount_365d": None,
        "margin_share": None,
        "credit_limit_amount": None,
        "credit_balance_amount": None,
        "credit_utilisation_share": None,
        "external_credit_score": None,
        "credit_score_band": None,
        "payment_count": 0,
        "payment_on_time_share": None,
        "payment_late_share": None,
        "payment_failed_share": None,
        "payment_delay_days_mean": None,
        "payment_delay_days_deviation": None,
        "overdue_amount": _money(0),
        "favourite_payment_method": None,
        "favourite_payment_method_share": None,
    }


def _purchase(lines: pd.DataFrame, as_of: date) -> Row:
    orders = lines.drop_duplicates("basket_id")
    days = sorted(set(orders["day"]))
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    spend = int(lines["net"].sum())
    by_category = lines.groupby("category")["net"].sum()
    favourite = min(by_category.items(), key=lambda item: (-item[1], item[0])) if spend else None

    def orders_of_last(window: int) -> int:
        return int((orders["day"] >= as_of - timedelta(days=window)).sum())

    return {
        "order_count": len(orders),
        "order_count_30d": orders_of_last(30),
        "order_count_90d": orders_of_last(90),
        "order_count_365d": orders_of_last(365),
        "order_day_count": len(days),
        "item_count": int(lines["quantity"].sum()),
        "line_count": len(lines),
        "product_count": int(lines["product_id"].nunique()),
        "category_count": int(lines["category"].nunique()),
        "first_order_date": days[0] if days else None,
        "last_order_date": days[-1] if days else None,
        "recency_days": (as_of - days[-1]).days if days else None,
        "items_per_order": _ratio(int(lines["quantity"].sum()), len(orders)),
        "favourite_category": None if favourite is None else favourite[0],
        "favourite_category_share": None if favourite is None else _ratio(int(favourite[1]), spend),
        "private_label_share": _ratio(int(lines.loc[lines["is_private_label"], "net"].sum()), spend),
        "discounted_line_share": _ratio(int((lines["discount"] > 0).sum()), len(lines)),
        "interpurchase_days_mean": _ratio(sum(gaps), len(gaps)),
        "interpurchase_days_cv": _variation(gaps) if len(days) > 2 else None,
        "weekend_order_share": _ratio(sum(day.isoweekday() > 5 for day in orders["day"]), len(orders)),
        # The source knows of no returns, cancellations or subscriptions.
        "returned_item_count": 0,
        "returned_amount": _money(0),
        "return_rate": _ratio(0, int(lines["quantity"].sum())),
        "cancelled_order_count": 0,
        "subscription_order_count": 0,
        "subscription_order_share": _ratio(0, len(orders)),
    }


def _recurring(lines: pd.DataFrame, as_of: date) -> Row:
    found: list[tuple[int, str, list[int], date]] = []
    for product, days_of_product in lines.groupby("product_id")["day"]:
        days = sorted(set(days_of_product))
        gaps = [(later - earlier).days for earlier, later in pairwise(days)]
        variation = _variation(gaps) if len(gaps) >= 2 else None
        if variation is None or round(variation, 6) > 0.35:
            continue
        # Due one interval after the last purchase, and overdue by two of them at most.
        if (as_of - days[-1]).days * len(gaps) <= 3 * sum(gaps):
            found.append((-len(days), str(product), gaps, days[-1]))
    if not found:
        empty = {"recurring_product_id": None, "recurring_interval_days": None, "recurring_next_due_date": None}
        return {"recurring_product_count": 0, **empty}
    _, product_id, gaps, last_day = min(found)
    half_up = (2 * sum(gaps) + len(gaps)) // (2 * len(gaps))
    return {
        "recurring_product_count": len(found),
        "recurring_product_id": product_id,
        "recurring_interval_days": _ratio(sum(gaps), len(gaps)),
        "recurring_next_due_date": last_day + timedelta(days=half_up),
    }


def _seasons(lines: pd.DataFrame, as_of: date) -> Row:
    recent = lines[lines["day"] >= as_of - timedelta(days=YEAR_DAYS)]
    season_of = {12: "winter", 1: "winter", 2: "winter", 3: "spring", 4: "spring", 5: "spring"}
    season_of |= {6: "summer", 7: "summer", 8: "summer", 9: "autumn", 10: "autumn", 11: "autumn"}
    seasons = [season_of[day.month] for day in recent["day"]]
    spend = int(recent["net"].sum())
    shares = {
        name: _ratio(int(recent.loc[[season == name for season in seasons], "net"].sum()), spend)
        for name in ("winter", "spring", "summer", "autumn")
    }
    known = [share for share in shares.values() if share is not None]
    index = 2 / 3 * sum(abs(share - 0.25) for share in known) if known else None
    return {**{f"{name}_spend_share": share for name, share in shares.items()}, "seasonality_index": index}


def _by_category(lines: pd.DataFrame, as_of: date) -> pd.DataFrame:
    recent = lines[lines["day"] >= as_of - timedelta(days=YEAR_DAYS)]
    return recent.groupby("category")[["quantity", "gross", "net"]].sum()


def _against_market(own: pd.DataFrame, market: pd.DataFrame) -> Row:
    """Compare what a customer bought of each category with what all customers bought of it."""
    bought = market.loc[own.index]
    at_market_prices = float((own["quantity"] * bought["gross"] / bought["quantity"]).sum())
    spend = int(own["net"].sum())
    distance = None
    if spend:
        own_shares = (own["net"] / spend).reindex(market.index, fill_value=0)
        distance = float((own_shares - market["net"] / market["net"].sum()).abs().sum()) / 2
    return {
        "relative_price_index": float(own["gross"].sum()) / at_market_prices if at_market_prices else None,
        "category_mix_distance": distance,
    }


def _engagement(lines: pd.DataFrame, contacts: list[date | None], as_of: date, seen: date, window_count: int) -> Row:
    orders = lines.drop_duplicates("basket_id")
    days = set(orders["day"])
    windows_with_an_order = {(as_of - day).days - 1 for day in days if (as_of - day).days <= WINDOW_DAYS * window_count}
    responses = [day for day in contacts if day is not None]
    return {
        "first_seen_date": seen,
        "tenure_days": (as_of - seen).days,
        "active_day_count_90d": sum((as_of - day).days <= 90 for day in days),
        "active_window_share": _ratio(len({age // WINDOW_DAYS for age in windows_with_an_order}), window_count),
        "is_repeat_customer": len(days) >= 2,
        "campaign_contact_count": len(contacts),
        "campaign_response_count": len(responses),
        "campaign_response_rate": _ratio(len(responses), len(contacts)),
        "days_since_response": (as_of - max(responses)).days if responses else None,
        "repeat_order_share": _ratio(int((orders["day"] > orders["day"].min()).sum()), len(orders)),
        "brand_interaction_count_90d": sum((as_of - day).days <= 90 for day in [*days, *responses]),
        **_WITHOUT_PROGRAMME_WEB_OR_FEEDBACK,
    }


# The Complete Journey has no rewards programme, no browsing and no feedback: nothing is counted, and no rate is known.
_WITHOUT_PROGRAMME_WEB_OR_FEEDBACK: Row = {
    "is_loyalty_member": False,
    "abandoned_cart_amount_90d": Decimal("0.00"),
    **dict.fromkeys(
        [
            "points_earned",
            "points_redeemed",
            "points_balance",
            "redemption_count",
            "session_count",
            "session_count_30d",
            "session_count_90d",
            "view_count_90d",
            "search_count_90d",
            "viewed_product_count_90d",
            "cart_count",
            "abandoned_cart_count",
            "survey_count",
            "review_count",
            "complaint_count",
            "complaint_count_365d",
        ],
        0,
    ),
    **dict.fromkeys(
        [
            "loyalty_tenure_days",
            "loyalty_tier",
            "points_redeemed_share",
            "viewed_category",
            "days_since_session",
            "cart_abandonment_rate",
            "conversion_rate",
            "main_device",
            "survey_response_rate",
            "satisfaction_score",
            "nps_score_mean",
            "review_score_mean",
        ]
    ),
}


def _contacts(raw: RawData, as_of: date) -> dict[int, list[date | None]]:
    """Return for each household one entry per contact before the day: when it answered, None where it had not."""
    key = ["household_id", "campaign_id"]
    contacts = raw.campaigns.merge(raw.campaign_descriptions, on="campaign_id", validate="many_to_one")
    contacts = contacts[contacts["start_date"].dt.date < as_of]
    redeemed = raw.coupon_redemptions[raw.coupon_redemptions["redemption_date"].dt.date < as_of]
    first_redemption = redeemed.groupby(key)["redemption_date"].min().dt.date.to_dict()
    answered: dict[int, list[date | None]] = {}
    for household, campaign in contacts[key].itertuples(index=False):
        answered.setdefault(int(household), []).append(first_redemption.get((household, campaign)))
    return answered


def _spend_between(lines: pd.DataFrame, start: date, end: date) -> int:
    return int(lines.loc[(lines["day"] >= start) & (lines["day"] < end), "net"].sum())


def _variation(values: list[int]) -> float | None:
    mean = sum(values) / len(values)
    if mean == 0:
        return None
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) / mean


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _money(cents: int | Decimal) -> Decimal:
    return (Decimal(cents) / 100).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _cents(amounts: pd.Series) -> pd.Series:
    return (amounts * 100).round().astype("int64")
