"""What the published file promises, and what it can be held against."""

from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from tests.support.landing_slice import landing_of
from tests.support.nights import Nights

PROMISED_COLUMNS: Final[dict[str, set[str]]] = {
    "customer_segments": {
        "as_of_date",
        "lens",
        "customer_id",
        "segment_id",
        "segment_name",
        "model_version",
        "confidence",
        "is_outlier",
        "segment_since",
    },
    "customer_segment_history": {
        "lens",
        "customer_id",
        "segment_id",
        "segment_name",
        "valid_from",
        "valid_to",
        "change_cause",
    },
    "customer_segments_daily": {"as_of_date", "lens", "customer_id", "segment_id"},
    "customer_360": {"as_of_date", "customer_id", "overall_segment_id"},
    "segments": {
        "lens",
        "segment_id",
        "segment_key",
        "name",
        "description",
        "rule",
        "recommended_action",
        "created_as_of",
        "retired_as_of",
        "relation",
        "parent_segment_ids",
        "superseded_by",
    },
    "segment_profiles": {
        "as_of_date",
        "lens",
        "segment_id",
        "feature",
        "feature_value",
        "segment_mean",
        "segment_median",
        "segment_share",
        "population_mean",
        "population_median",
        "population_share",
        "standardised_difference",
        "rank",
    },
    "segment_alarms": {"as_of_date", "lens", "kind", "segment_id", "feature", "evidence", "proposal", "figures"},
    "segment_transitions": {
        "as_of_date",
        "lens",
        "from_segment_id",
        "to_segment_id",
        "customers",
        "customer_moved",
        "model_changed",
        "both",
    },
    "models": {"model_version", "lens", "algorithm", "k", "fitted_as_of", "status", "parent_version", "parameters"},
    "model_candidates": {"model_version", "algorithm", "k", "held_out_value", "is_winner", "reason"},
    "decisions": {"decided_at", "kind", "lens", "refit_date", "effective_from", "segment_id", "name", "reason"},
    "registry_events": {"event_number", "lens", "subject", "subject_key", "event", "happened_as_of", "details"},
    "model_sample": {"model_version", "customer_id", "encoded"},
    "segmentation_runs": {
        "as_of_date",
        "lens",
        "model_version",
        "algorithm",
        "k",
        "davies_bouldin",
        "gate_outcome",
        "rows_in",
        "rows_kept",
        "rows_quarantined",
        "input_hashes",
        "stale_reason",
    },
    "run_log": {"run_id", "step", "attempt", "started_at", "ended_at", "outcome"},
    "customer_forecasts": {
        "as_of_date",
        "customer_id",
        "expected_purchases_90d",
        "expected_spend_amount_90d",
        "active_probability",
        "next_category",
    },
    "category_demand_forecast": {"as_of_date", "category", "month", "expected_amount", "lower_amount", "upper_amount"},
    "product_pairs": {"as_of_date", "product_a_id", "product_b_id", "order_count", "support", "confidence", "lift"},
    "market_trends": {"as_of_date", "indicator", "category", "entity", "indicator_month", "indicator_value"},
    **{
        table: {"as_of_date", "lens", "segment_id", "segment_name", *columns}
        for table, columns in {
            "demographic_distribution": ("attribute", "attribute_value", "customer_count", "customer_share"),
            "demographic_disparity": ("attribute", "attribute_value", "segment_share", "population_share"),
            "financial_summary": ("customer_count", "spend_amount_365d", "margin_amount_365d", "margin_share"),
            "credit_risk_bands": ("credit_score_band", "utilisation_band", "customer_count"),
            "payment_habits": ("method", "payment_count", "on_time_share", "late_share", "failed_share"),
            "product_popularity": ("product_id", "category", "customer_count", "item_count", "popularity_rank"),
            "seasonal_trends": ("category", "month", "net_amount", "seasonality_index"),
            "recurring_orders": ("product_id", "customer_count", "interval_days_median", "due_30d_count"),
            "category_preferences": ("category", "spend_share", "population_share", "preference_index"),
            "loyalty_summary": ("loyalty_tier", "customer_count", "points_redeemed_share", "high_value_share"),
            "cohort_retention": ("cohort_month", "months_since", "customer_count", "retention_rate"),
            "engagement_funnel": ("stage", "session_count", "customer_count", "session_share"),
            "cart_abandonment": ("device", "cart_count", "cart_abandonment_rate", "abandoned_amount"),
            "satisfaction": ("feedback_type", "score_scale", "response_count", "score_mean", "net_promoter_score"),
            "competitor_position": ("category", "competitor", "own_price_index", "competitor_price_index"),
        }.items()
    },
}

FEATURE_TABLES: Final = (
    "demographic_features",
    "financial_features",
    "purchase_features",
    "engagement_features",
)


def columns_of(published: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """Return the columns of every table and view of an open file."""
    found: dict[str, set[str]] = {}
    for table, column in published.execute(
        "select table_name, column_name from information_schema.columns where table_schema = 'main'"
    ).fetchall():
        found.setdefault(table, set()).add(column)
    return found


def features_of(nights: Nights) -> set[str]:
    """Return the names of all promoted features."""
    return {
        column
        for (column,) in nights.query(
            "select distinct column_name from information_schema.columns where table_schema = 'promoted'"
            f" and table_name in {FEATURE_TABLES} and column_name not in ('as_of_date', 'customer_id')"
        )
    }


def customers_in_scope(data_dir: Path, as_of: date) -> set[str]:
    """Return who has bought before a date, straight from the landing."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select distinct cast(household_id as varchar) from '{landing_of(data_dir)}/transactions.parquet'"
            " where transaction_timestamp < cast(? as timestamp)",
            [as_of],
        ).fetchall()
    return {customer for (customer,) in rows}
