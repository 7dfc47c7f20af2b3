"""The features and segments of one date as a data scientist would write them: pandas and scikit-learn, in memory.

    python -m tests.measurements.bench.pandas_script --landing DIR --as-of DATE --write FILE.parquet

It reads the columns that it needs, with money as floats, and groups; nothing is a loop over customers. It leaves out
what few would write (where a customer lives and what is favourite by text), and prints what it took.
"""

import argparse
import json
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler


def read(landing: Path, table: str, columns: str) -> pd.DataFrame:
    """Read some columns of a table of the landing, decimals as floats."""
    found = pq.read_table(landing / table, columns=columns.split())
    kinds = [pa.float64() if pa.types.is_decimal(field.type) else field.type for field in found.schema]
    return found.cast(pa.schema(list(zip(found.column_names, kinds, strict=True)))).to_pandas()


def days_before(as_of: pd.Timestamp, moments: pd.Series) -> pd.Series:
    """Return how many days before a date moments lie."""
    return (as_of - moments.dt.normalize()).dt.days


def priced(rows: pd.DataFrame, products: pd.DataFrame, at: str) -> pd.DataFrame:
    """Add to rows of products what the product was when it happened."""
    rows = rows.sort_values(at)
    return pd.merge_asof(rows, products, left_on=at, right_on="valid_from", by="product_id")


def features_of(landing: Path, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the features by customer."""
    products = read(landing, "products", "product_id valid_from category is_private_label list_price_amount")
    products = products.sort_values("valid_from")
    products["valid_from"] = products["valid_from"].dt.normalize()

    orders = read(landing, "orders", "order_id customer_id ordered_at is_subscription")
    orders["order_date"] = pd.to_datetime(orders.pop("ordered_at"), format="mixed").dt.normalize()
    orders = orders[orders["order_date"] < as_of]
    orders["ago"] = days_before(as_of, orders["order_date"])
    lines = read(
        landing,
        "order_lines",
        "order_id line_id product_id quantity gross_amount discount_amount net_amount unit_cost_amount",
    )
    lines = priced(lines.merge(orders, on="order_id"), products, "order_date")

    customers = read(landing, "customers", "customer_id valid_from signup_date birth_date income_amount household_size")
    customers["signup_date"] = pd.to_datetime(customers["signup_date"])
    customers["seen"] = customers[["signup_date", "valid_from"]].max(axis=1).dt.normalize()
    seen = pd.concat([customers[["customer_id", "seen"]], orders.rename(columns={"order_date": "seen"})])
    seen = seen.groupby("customer_id")["seen"].min()
    seen = seen[seen < as_of]
    out = pd.DataFrame(index=seen.index)
    out["tenure_days"] = (as_of - seen).dt.days

    known = customers[customers["valid_from"].isna() | (customers["valid_from"] < as_of)]
    known = known.sort_values("valid_from", na_position="first").groupby("customer_id").tail(1).set_index("customer_id")
    out["income_amount"] = known["income_amount"]
    out["household_size"] = known["household_size"]

    _spend(out, lines)
    _products(out, lines, as_of)
    _categories(out, lines)
    _order_events(out, landing, orders, lines, as_of)
    _payments(out, landing, as_of)
    _engagement(out, landing, products, as_of)
    return out


def _spend(out: pd.DataFrame, lines: pd.DataFrame) -> None:
    lines["is_discounted"] = lines["discount_amount"] > 0
    lines["private_label_amount"] = lines["net_amount"].where(lines["is_private_label"].astype(bool), 0.0)
    lines["cost_amount"] = lines["unit_cost_amount"] * lines["quantity"]
    orders = lines.groupby("order_id").agg(
        customer_id=("customer_id", "first"),
        order_date=("order_date", "first"),
        ago=("ago", "first"),
        is_subscription=("is_subscription", "first"),
        item_count=("quantity", "sum"),
        line_count=("quantity", "size"),
        discounted_line_count=("is_discounted", "sum"),
        gross_amount=("gross_amount", "sum"),
        discount_amount=("discount_amount", "sum"),
        net_amount=("net_amount", "sum"),
        private_label_amount=("private_label_amount", "sum"),
        cost_amount=("cost_amount", "sum"),
    )
    orders["is_weekend"] = orders["order_date"].dt.day_of_week >= 5
    by = orders.groupby("customer_id")
    out["order_count"] = by.size()
    out["item_count"] = by["item_count"].sum()
    out["line_count"] = by["line_count"].sum()
    out["spend_amount"] = by["net_amount"].sum()
    out["gross_amount"] = by["gross_amount"].sum()
    out["discount_amount"] = by["discount_amount"].sum()
    out["largest_order_amount"] = by["net_amount"].max()
    out["cost_amount"] = by["cost_amount"].sum()
    out["order_day_count"] = by["order_date"].nunique()
    out["recency_days"] = by["ago"].min()
    for days in (30, 90, 365):
        recent = orders[orders["ago"] <= days].groupby("customer_id")
        out[f"order_count_{days}d"] = recent.size()
        out[f"spend_amount_{days}d"] = recent["net_amount"].sum()
    counted = ["order_count", "item_count", "line_count", "order_day_count", "spend_amount", "gross_amount"]
    counted += [
        "discount_amount",
        "cost_amount",
        *[f"{x}_{d}d" for x in ("order_count", "spend_amount") for d in (30, 90, 365)],
    ]
    out[counted] = out[counted].fillna(0)
    bought = out["order_count"].replace(0, np.nan)
    out["discount_share"] = out["discount_amount"] / out["gross_amount"].replace(0, np.nan)
    out["average_order_amount"] = out["spend_amount"] / bought
    out["items_per_order"] = out["item_count"] / bought
    out["discounted_line_share"] = by["discounted_line_count"].sum() / out["line_count"].replace(0, np.nan)
    out["private_label_share"] = by["private_label_amount"].sum() / out["spend_amount"].replace(0, np.nan)
    out["weekend_order_share"] = by["is_weekend"].sum() / bought
    out["subscription_order_count"] = by["is_subscription"].sum().reindex(out.index).fillna(0)
    out["subscription_order_share"] = out["subscription_order_count"] / bought
    previous = orders[(orders["ago"] > 90) & (orders["ago"] <= 180)].groupby("customer_id")["net_amount"].sum()
    previous = previous.reindex(out.index).fillna(0)
    recent_amount = out["spend_amount_90d"]
    out["spend_trend_90d"] = (recent_amount - previous) / (recent_amount + previous).replace(0, np.nan)

    year = orders[orders["ago"] <= 365]
    season = year["order_date"].dt.month.map(lambda month: ("winter", "spring", "summer", "autumn")[month % 12 // 3])
    seasons = year.groupby(["customer_id", season])["net_amount"].sum().unstack().reindex(out.index)
    seasons = seasons.fillna(0).div(out["spend_amount_365d"].replace(0, np.nan), axis=0)
    for name in seasons:
        out[f"{name}_spend_share"] = seasons[name]
    out["seasonality_index"] = 2 / 3 * (seasons - 0.25).abs().sum(axis=1, skipna=False)

    windowed = orders[orders["ago"] <= 360]
    windows = windowed.groupby(["customer_id", (windowed["ago"] - 1) // 30])["net_amount"].sum()
    lived = np.ceil(out["tenure_days"] / 30).clip(upper=12)
    total = windows.groupby("customer_id").sum().reindex(out.index)
    squares = (windows**2).groupby("customer_id").sum().reindex(out.index)
    out["spend_volatility"] = np.sqrt((lived * squares - total**2).clip(lower=0)) / total.replace(0, np.nan)
    out["active_window_share"] = windows.groupby("customer_id").size().reindex(out.index).fillna(0) / lived

    days = orders[["customer_id", "order_date", "ago"]].drop_duplicates().sort_values(["customer_id", "order_date"])
    out["active_day_count_90d"] = days[days["ago"] <= 90].groupby("customer_id").size().reindex(out.index).fillna(0)
    gaps = days.groupby("customer_id")["order_date"].diff().dt.days
    by_gap = gaps.groupby(days["customer_id"])
    out["interpurchase_days_mean"] = by_gap.mean()
    out["interpurchase_days_cv"] = (by_gap.std(ddof=0) / by_gap.mean()).where(by_gap.count() >= 2)
    first_day = orders.groupby("customer_id")["order_date"].transform("min")
    repeated = (orders["order_date"] > first_day).groupby(orders["customer_id"]).sum()
    out["repeat_order_share"] = repeated / bought


def _products(out: pd.DataFrame, lines: pd.DataFrame, as_of: pd.Timestamp) -> None:
    days = lines[["customer_id", "product_id", "order_date"]].drop_duplicates()
    days = days.sort_values(["customer_id", "product_id", "order_date"])
    days["gap"] = days.groupby(["customer_id", "product_id"])["order_date"].diff().dt.days
    rhythms = days.groupby(["customer_id", "product_id"]).agg(
        days=("order_date", "size"), mean=("gap", "mean"), last=("order_date", "max")
    )
    spread = days.groupby(["customer_id", "product_id"])["gap"].std(ddof=0)
    is_recurring = (
        (rhythms["days"] >= 3)
        & ((spread / rhythms["mean"]).round(6) <= 0.35)
        & ((as_of - rhythms["last"]).dt.days <= 3 * rhythms["mean"] + 1e-9)
    )
    out["product_count"] = rhythms.groupby("customer_id").size()
    out["recurring_product_count"] = is_recurring.groupby("customer_id").sum()
    out[["product_count", "recurring_product_count"]] = out[["product_count", "recurring_product_count"]].fillna(0)


def _categories(out: pd.DataFrame, lines: pd.DataFrame) -> None:
    categories = lines.groupby(["customer_id", "category"])["net_amount"].sum()
    out["category_count"] = categories.groupby("customer_id").size().reindex(out.index).fillna(0)
    out["favourite_category_share"] = categories.groupby("customer_id").max() / out["spend_amount"].replace(0, np.nan)
    recent = lines[lines["ago"] <= 365].groupby(["customer_id", "category"])[["net_amount", "gross_amount", "quantity"]]
    own = recent.sum().reset_index()
    market = own.groupby("category")[["net_amount", "gross_amount", "quantity"]].sum()
    share = own["category"].map(market["net_amount"] / market["net_amount"].sum())
    price = own["category"].map(market["gross_amount"] / market["quantity"])
    total = own.groupby("customer_id")["net_amount"].transform("sum").replace(0, np.nan)
    shared = np.minimum(own["net_amount"] / total, share).groupby(own["customer_id"]).sum(min_count=1)
    out["category_mix_distance"] = (1 - shared).clip(lower=0)
    at_market = (own["quantity"] * price).groupby(own["customer_id"]).sum()
    out["relative_price_index"] = own.groupby("customer_id")["gross_amount"].sum() / at_market.replace(0, np.nan)


def _order_events(
    out: pd.DataFrame, landing: Path, orders: pd.DataFrame, lines: pd.DataFrame, as_of: pd.Timestamp
) -> None:
    events = read(landing, "order_events", "order_id line_id event_type occurred_at quantity amount")
    events = events[events["occurred_at"] < as_of]
    cancelled = events[events["event_type"] == "cancelled"][["order_id"]].drop_duplicates().merge(orders, on="order_id")
    out["cancelled_order_count"] = cancelled.groupby("customer_id").size().reindex(out.index).fillna(0)
    returned = events[(events["event_type"] == "returned") & events["line_id"].notna()]
    returned = returned.merge(lines, on=["order_id", "line_id"], suffixes=("_back", ""))
    count = np.minimum(returned["quantity_back"].fillna(returned["quantity"]), returned["quantity"])
    out["returned_item_count"] = count.groupby(returned["customer_id"]).sum().reindex(out.index).fillna(0)
    out["return_rate"] = out["returned_item_count"] / out["item_count"].replace(0, np.nan)


def _payments(out: pd.DataFrame, landing: Path, as_of: pd.Timestamp) -> None:
    payments = read(landing, "payments", "customer_id due_at paid_at failed_at amount")
    payments["amount"] = payments["amount"].astype(float)
    for name in ("due_at", "paid_at", "failed_at"):
        payments[name] = pd.to_datetime(payments[name]).dt.normalize()
    payments = payments[payments["due_at"] < as_of]
    is_paid = payments["paid_at"] < as_of
    is_failed = (payments["failed_at"] < as_of) & ~is_paid
    is_on_time = ~is_failed & (payments["paid_at"] <= payments["due_at"])
    payments = payments.assign(is_failed=is_failed, is_on_time=is_on_time, is_late=~is_failed & ~is_on_time)
    payments["delay"] = (payments["paid_at"] - payments["due_at"]).dt.days.where(is_paid)
    by = payments.groupby("customer_id")
    out["payment_count"] = by.size().reindex(out.index).fillna(0)
    for name in ("on_time", "late", "failed"):
        out[f"payment_{name}_share"] = by[f"is_{name}"].mean()
    out["payment_delay_days_mean"] = by["delay"].mean()
    out["payment_delay_days_deviation"] = by["delay"].std(ddof=0)
    overdue = payments[payments["is_late"] & payments["delay"].isna()].groupby("customer_id")["amount"].sum()
    out["overdue_amount"] = overdue.reindex(out.index).fillna(0)
    credit = read(landing, "credit", "customer_id credit_date limit_amount balance_amount external_score")
    credit["credit_date"] = pd.to_datetime(credit["credit_date"])
    credit = credit[credit["credit_date"] < as_of].sort_values("credit_date").groupby("customer_id").tail(1)
    credit = credit.set_index("customer_id")
    out["credit_limit_amount"] = credit["limit_amount"]
    out["credit_utilisation_share"] = credit["balance_amount"] / credit["limit_amount"].replace(0, np.nan)
    out["external_credit_score"] = credit["external_score"]


def _engagement(out: pd.DataFrame, landing: Path, products: pd.DataFrame, as_of: pd.Timestamp) -> None:
    def zeros(found: pd.Series) -> pd.Series:
        return found.reindex(out.index).fillna(0)

    contacts = read(landing, "campaign_contacts", "customer_id contacted_at responded_at")
    contacts = contacts[contacts["contacted_at"] < as_of]
    out["campaign_contact_count"] = zeros(contacts.groupby("customer_id").size())
    answered = contacts[contacts["responded_at"] < as_of]
    out["campaign_response_count"] = zeros(answered.groupby("customer_id").size())
    out["campaign_response_rate"] = out["campaign_response_count"] / out["campaign_contact_count"].replace(0, np.nan)

    loyalty = read(landing, "loyalty_events", "customer_id event_type occurred_at points")
    loyalty = loyalty[loyalty["occurred_at"] < as_of]
    for name, kind in (("points_earned", "earn"), ("points_redeemed", "redeem")):
        out[name] = zeros(loyalty[loyalty["event_type"] == kind].groupby("customer_id")["points"].sum())
    out["points_balance"] = out["points_earned"] - out["points_redeemed"]
    out["points_redeemed_share"] = out["points_redeemed"] / out["points_earned"].replace(0, np.nan)

    events = read(landing, "web_events", "session_id customer_id event_type occurred_at product_id")
    events = events[(events["occurred_at"] < as_of) & events["customer_id"].notna()]
    events["event_date"] = events["occurred_at"].dt.normalize()
    events["ago"] = days_before(as_of, events["occurred_at"])
    for name in ("view", "search", "add_to_cart", "purchase"):
        events[name] = events["event_type"] == name
    sessions = (
        events.groupby(["customer_id", "session_id", "event_date"])
        .agg(
            ago=("ago", "first"),
            views=("view", "sum"),
            searches=("search", "sum"),
            has_cart=("add_to_cart", "any"),
            has_purchase=("purchase", "any"),
        )
        .reset_index()
    )
    by = sessions.groupby("customer_id")
    out["session_count"] = zeros(by.size())
    for days in (30, 90):
        out[f"session_count_{days}d"] = zeros(sessions[sessions["ago"] <= days].groupby("customer_id").size())
    quarter = sessions[sessions["ago"] <= 90].groupby("customer_id")
    out["view_count_90d"] = zeros(quarter["views"].sum())
    out["search_count_90d"] = zeros(quarter["searches"].sum())
    out["days_since_session"] = by["ago"].min()
    out["cart_count"] = zeros(by["has_cart"].sum())
    sessions["is_abandoned"] = sessions["has_cart"] & ~sessions["has_purchase"]
    out["abandoned_cart_count"] = zeros(sessions.groupby("customer_id")["is_abandoned"].sum())
    out["cart_abandonment_rate"] = out["abandoned_cart_count"] / out["cart_count"].replace(0, np.nan)
    out["conversion_rate"] = by["has_purchase"].mean()
    recent = events[events["ago"] <= 90]
    viewed = recent[recent["view"] & recent["product_id"].notna()]
    out["viewed_product_count_90d"] = zeros(viewed.groupby("customer_id")["product_id"].nunique())
    carts = recent[recent["event_type"].isin(["add_to_cart", "remove_from_cart"])].sort_values("occurred_at")
    carts = carts.drop_duplicates(["customer_id", "session_id", "event_date", "product_id"], keep="last")
    carts = priced(carts[carts["add_to_cart"]], products, "event_date")
    carts = carts.merge(sessions[sessions["is_abandoned"]], on=["customer_id", "session_id", "event_date"])
    out["abandoned_cart_amount_90d"] = zeros(carts.groupby("customer_id")["list_price_amount"].sum())

    feedback = read(landing, "feedback", "customer_id feedback_type occurred_at score score_scale")
    feedback = feedback[feedback["occurred_at"] < as_of]
    is_nps = feedback["score_scale"] == "nps_0_10"
    feedback["satisfaction"] = np.where(is_nps, feedback["score"] * 0.1, (feedback["score"] - 1) * 0.25)
    for kind in ("survey", "review", "complaint"):
        out[f"{kind}_count"] = zeros(feedback[feedback["feedback_type"] == kind].groupby("customer_id").size())
    out["satisfaction_score"] = feedback.groupby("customer_id")["satisfaction"].mean()


def peak_megabytes() -> float:
    """Return the most memory that this process has had so far."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    cpu, wall = time.process_time(), time.monotonic()
    features = features_of(options.landing, pd.Timestamp(options.as_of))
    found["cpu_seconds"] = round(time.process_time() - cpu, 3)
    found["seconds"] = round(time.monotonic() - wall, 3)
    found["features_peak_megabytes"] = round(peak_megabytes(), 1)
    cpu = time.process_time()
    scaled = StandardScaler().fit_transform(features.fillna(features.median()))
    KMeans(n_clusters=8, n_init=10, random_state=1).fit_predict(scaled)
    found["segments_cpu_seconds"] = round(time.process_time() - cpu, 3)
    found["features"] = features.shape[1]
    features.reset_index().to_parquet(options.write, index=False)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
