"""The dashboard's datasets: tables of the published file, and a few views on them, described as dbt describes them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

PROJECT_DIR = Path(__file__).resolve().parents[2]
MODELS_DIR = PROJECT_DIR / "dbt_project" / "models"

# As a text, so that a filter offers the dates by name and newest first.
NIGHT: Final = "cast(as_of_date as varchar)"
# dbt's names of types, in DuckDB's words.
TYPES: Final = {"string": "VARCHAR"}
UNITS: Final = {"30d": "30 days", "90d": "90 days", "365d": "365 days", "12m": "12 months"}
# Where a column's name says less to a marketer than these.
HEADINGS: Final = {
    "customer_count": "Customers",
    "customer_id": "Customer",
    "segment_name": "Segment",
    "segment_since": "In it since",
    "average_spend_amount_365d": "Spend per customer, 365 days",
    "spend_share_365d": "Share of spend, 365 days",
    "spend_amount_365d": "Spend, 365 days",
    "order_count_365d": "Orders, 365 days",
    "recency_days": "Days since the last order",
    "expected_spend_amount_90d": "Expected spend, 90 days",
    "active_probability": "Probably active",
    "k": "Segments",
    "jaccard_stability": "Stability",
    "held_out_value": "Foretells (R²)",
    "rows_quarantined": "Rows set aside",
    "from_label": "From",
    "to_label": "To",
}
COUNT: Final = ",d"
SHARE: Final = ".1%"
MONEY: Final = ",.0f"


@dataclass(frozen=True)
class Column:
    """A column that dbt does not describe: an expression on the table, or one that only the dataset's SQL has."""

    name: str
    data_type: str
    description: str
    label: str
    expression: str | None = None


@dataclass(frozen=True)
class Metric:
    """A figure over rows. d3format: how Superset writes it."""

    name: str
    expression: str
    label: str
    d3format: str
    description: str = ""


@dataclass(frozen=True)
class Dataset:
    """A table of the published file (name), or a query on its tables (sql), which then names where columns come from.

    described_by: dbt models whose columns of the same names are taken over. columns: which of them; all where empty.
    """

    name: str
    description: str = ""
    sql: str = ""
    described_by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    added: tuple[Column, ...] = ()
    metrics: tuple[Metric, ...] = ()
    main_date: str = "as_of_date"


def _night(expression: str | None = NIGHT) -> Column:
    return Column(
        "night", "VARCHAR", "The as-of date as text: everything strictly before it is known.", "Date", expression
    )


# The same as segment_name: a chart that puts segments on its axis and colours them needs the column twice.
_SEGMENT = Column("segment", "VARCHAR", "The segment's name, for an axis.", "Segment", "segment_name")

CUSTOMERS = Metric("customers", "sum(customer_count)", "Customers", COUNT)

SEGMENTS_BY_DATE_SQL = """
select
    summary.as_of_date,
    cast(summary.as_of_date as varchar) as night,
    summary.lens,
    summary.segment_id,
    summary.segment_name,
    segments.description,
    segments.rule,
    segments.recommended_action,
    segments.created_as_of,
    summary.customer_count,
    summary.customer_count / sum(summary.customer_count) over of_the_lens as customer_share,
    summary.customer_count - lag(summary.customer_count) over by_date as customer_change,
    summary.spend_amount_365d,
    summary.spend_share_365d,
    summary.average_spend_amount_365d,
    summary.median_spend_amount_365d,
    summary.margin_amount_365d,
    summary.average_margin_amount_365d,
    summary.discount_share,
    summary.payment_late_share,
    summary.payment_failed_share,
    summary.overdue_amount
from financial_summary as summary
left join segments
    on summary.lens = segments.lens
    and summary.segment_id = segments.segment_id
where summary.lens <> 'all'
window
    of_the_lens as (partition by summary.as_of_date, summary.lens),
    by_date as (partition by summary.lens, summary.segment_id order by summary.as_of_date)
"""

PROFILES_SQL = """
select
    as_of_date,
    cast(as_of_date as varchar) as night,
    lens,
    segment_id,
    segment_name,
    feature,
    feature_value,
    replace(feature, '_', ' ') || coalesce(': ' || feature_value, '') as trait,
    segment_mean,
    segment_median,
    segment_share,
    population_mean,
    population_median,
    population_share,
    standardised_difference,
    rank,
    min(rank) over (partition by as_of_date, lens, feature, feature_value) as best_rank
from segment_profiles
"""

# Two rows of each change: one of the segment that was left, one of the segment that was joined.
MOVES_SQL = """
select
    moves.as_of_date,
    cast(moves.as_of_date as varchar) as night,
    moves.lens,
    sides.side,
    case sides.side when 'joined' then moves.to_segment_name else moves.from_segment_name end as segment_name,
    coalesce(moves.from_segment_name, 'new customers') || ' · before' as from_label,
    coalesce(moves.to_segment_name, 'gone') as to_label,
    moves.from_segment_id is not null and moves.to_segment_id is not null as is_between_segments,
    moves.customers,
    moves.customer_moved,
    moves.model_changed,
    moves."both" as both_causes,
    case when moves.from_segment_id is null then moves.customers else 0 end as new_customers,
    case when moves.to_segment_id is null then moves.customers else 0 end as left_customers
from segment_transitions as moves
cross join (values ('joined'), ('left')) as sides (side)
where case sides.side when 'joined' then moves.to_segment_id else moves.from_segment_id end is not null
"""

CUSTOMERS_SQL = """
select
    current_segments.as_of_date,
    current_segments.lens,
    current_segments.segment_id,
    current_segments.segment_name,
    current_segments.customer_id,
    current_segments.segment_since,
    current_segments.confidence,
    current_segments.is_outlier,
    known.spend_amount_365d,
    known.order_count_365d,
    known.average_order_amount,
    known.recency_days,
    known.first_order_date,
    known.last_order_date,
    known.favourite_category,
    known.discount_share,
    known.age_band,
    known.gender,
    known.income_band,
    known.region,
    known.loyalty_tier,
    known.cart_abandonment_rate,
    known.satisfaction_score,
    forecasts.expected_purchases_90d,
    forecasts.expected_spend_amount_90d,
    forecasts.active_probability,
    forecasts.next_category
from customer_segments as current_segments
left join customer_360 as known
    on current_segments.customer_id = known.customer_id
left join customer_forecasts as forecasts
    on current_segments.customer_id = forecasts.customer_id
"""

FEATURE_MODELS: Final = ("demographic_features", "financial_features", "purchase_features", "engagement_features")

DATASETS: Final = (
    Dataset(
        "segments_by_date",
        "Every segment at every date: how many customers, what they spend, what to do with them.",
        sql=SEGMENTS_BY_DATE_SQL,
        described_by=("financial_summary", "segments"),
        added=(
            _night(None),
            _SEGMENT,
            Column("customer_share", "DOUBLE", "Share of the customers of the lens, 0 to 1.", "Share of customers"),
            Column(
                "customer_change",
                "BIGINT",
                "Customers more or fewer than at the date before; null at the first.",
                "Change",
            ),
        ),
        metrics=(
            CUSTOMERS,
            Metric("segments", "count(distinct segment_id)", "Segments", COUNT),
            Metric("share_of_customers", "sum(customer_share)", "Share of customers", SHARE),
            Metric("change", "sum(customer_change)", "Change since the date before", "+,d"),
            Metric("spend", "sum(spend_amount_365d)", "Spend, 365 days", MONEY),
            Metric("share_of_spend", "sum(spend_share_365d)", "Share of spend", SHARE),
            Metric(
                "spend_per_customer",
                "sum(spend_amount_365d) / sum(customer_count)",
                "Spend per customer, 365 days",
                MONEY,
            ),
            Metric("median_spend", "max(median_spend_amount_365d)", "Median spend, 365 days", MONEY, "Of one segment."),
            Metric("margin", "sum(margin_amount_365d)", "Margin, 365 days", MONEY),
            Metric("late_payments", "max(payment_late_share)", "Paid late", SHARE, "Of one segment."),
            Metric("overdue", "sum(overdue_amount)", "Overdue", MONEY),
        ),
    ),
    Dataset(
        "profiles",
        "What each segment is like, against all customers, with the feature in words.",
        sql=PROFILES_SQL,
        described_by=("segment_profiles",),
        added=(
            _night(None),
            Column("trait", "VARCHAR", "The feature in words, and the value where it is a text.", "Trait"),
            Column("best_rank", "INTEGER", "Rank of the trait in the segment that it sets apart most.", "Best rank"),
        ),
        metrics=(
            Metric(
                "difference",
                "avg(standardised_difference)",
                "Difference from all customers, in standard deviations",
                "+.1f",
            ),
            Metric("in_the_segment", "max(coalesce(segment_mean, segment_share))", "In the segment", ",.2f"),
            Metric("of_all_customers", "max(coalesce(population_mean, population_share))", "Of all customers", ",.2f"),
        ),
    ),
    Dataset(
        "segment_moves",
        "Customers who changed segment, by date and cause: a row for the segment they left, one for that they joined.",
        sql=MOVES_SQL,
        described_by=("segment_transitions",),
        added=(
            _night(None),
            Column("side", "VARCHAR", "Whether the row is of the segment that was joined or left.", "Joined or left"),
            Column("segment_name", "VARCHAR", "The segment that was joined or left.", "Segment"),
            Column("from_label", "VARCHAR", "Where they came from.", "From"),
            Column("to_label", "VARCHAR", "Where they went.", "To"),
            Column(
                "is_between_segments", "BOOLEAN", "Whether they were in a segment before and after.", "Between segments"
            ),
            Column(
                "both_causes",
                "BIGINT",
                "Of these, those who moved while the model changed too.",
                "Moved, and a new model",
            ),
            Column("new_customers", "BIGINT", "Of these, those who were new.", "New customers"),
            Column("left_customers", "BIGINT", "Of these, those who left.", "Gone"),
        ),
        metrics=(
            Metric("changes", "sum(customers)", "Customers", COUNT),
            Metric("moved", "sum(customer_moved)", "Behaved differently", COUNT, "The model stood still."),
            Metric("by_model", "sum(model_changed)", "Only the model changed", COUNT, "They stood still."),
            Metric("by_both", "sum(both_causes)", "Both", COUNT),
            Metric("new", "sum(new_customers)", "New customers", COUNT),
            Metric("gone", "sum(left_customers)", "Gone", COUNT),
        ),
    ),
    Dataset(
        "customers",
        "The customers of each segment at the newest date, with what is known and foreseen of them.",
        sql=CUSTOMERS_SQL,
        described_by=("customer_segments", "customer_forecasts", *FEATURE_MODELS),
        metrics=(Metric("customers", "count(*)", "Customers", COUNT),),
    ),
    Dataset(
        "demographic_distribution",
        added=(_night(),),
        metrics=(CUSTOMERS, Metric("share", "sum(customer_share)", "Share of the segment", SHARE)),
    ),
    Dataset("credit_risk_bands", added=(_night(),), metrics=(CUSTOMERS,)),
    Dataset(
        "payment_habits",
        added=(_night(),),
        metrics=(
            Metric("payments", "sum(payment_count)", "Payments", COUNT),
            Metric("on_time", "sum(on_time_share * payment_count) / sum(payment_count)", "On time", SHARE),
            Metric("late", "sum(late_share * payment_count) / sum(payment_count)", "Late", SHARE),
            Metric("failed", "sum(failed_share * payment_count) / sum(payment_count)", "Failed", SHARE),
        ),
    ),
    Dataset(
        "category_preferences",
        added=(_night(),),
        metrics=(
            Metric("preference", "max(preference_index)", "Preference (1 = as everybody)", ".1f", "Of one segment."),
            Metric("share", "sum(spend_share)", "Share of the segment's spend", SHARE),
            Metric("spend", "sum(net_amount_365d)", "Spend, 365 days", MONEY),
        ),
    ),
    Dataset(
        "seasonal_trends",
        added=(_night(),),
        metrics=(Metric("spend", "sum(net_amount)", "Spend", MONEY),),
        main_date="month",
    ),
    Dataset(
        "recurring_orders",
        added=(_night(),),
        metrics=(
            CUSTOMERS,
            Metric("due", "sum(due_30d_count)", "Due within 30 days", COUNT),
            Metric("overdue", "sum(overdue_count)", "Overdue", COUNT),
        ),
    ),
    Dataset(
        "loyalty_summary",
        added=(_night(), _SEGMENT),
        metrics=(
            CUSTOMERS,
            Metric("high_value", "sum(high_value_customer_count)", "High-value customers", COUNT),
            Metric("share_of_high_value", "sum(high_value_customer_count) / sum(customer_count)", "High-value", SHARE),
        ),
    ),
    Dataset(
        "cohort_retention",
        added=(_night(),),
        metrics=(
            CUSTOMERS,
            Metric("retention", "sum(active_count) / sum(customer_count)", "Still ordering", SHARE),
        ),
        main_date="cohort_month",
    ),
    Dataset(
        "engagement_funnel",
        added=(
            _night(),
            Column(
                "step",
                "VARCHAR",
                "The stage in words, numbered by its place.",
                "Step",
                "stage_order || ' ' || replace(stage, '_', ' ')",
            ),
        ),
        metrics=(Metric("sessions", "sum(session_count)", "Session-days", COUNT),),
    ),
    Dataset(
        "cart_abandonment",
        added=(_night(), _SEGMENT),
        metrics=(
            Metric("carts", "sum(cart_count)", "Carts", COUNT),
            Metric("abandoned", "sum(abandoned_cart_count) / sum(cart_count)", "Carts left behind", SHARE),
            Metric("amount_left_behind", "sum(abandoned_amount)", "List price left behind", MONEY),
        ),
    ),
    Dataset(
        "satisfaction",
        added=(_night(), _SEGMENT),
        metrics=(
            Metric("responses", "sum(response_count)", "Answers", COUNT),
            Metric(
                "promoters_less_detractors", "max(net_promoter_score)", "Net promoter score", "+.0f", "Of one segment."
            ),
            Metric("complaints", "sum(feedback_count) filter (where feedback_type = 'complaint')", "Complaints", COUNT),
        ),
    ),
    Dataset(
        "market_trends",
        added=(_night(),),
        metrics=(Metric("value", "avg(indicator_value)", "Indicator", ",.1f"),),
        main_date="indicator_month",
    ),
    Dataset(
        "competitor_position",
        added=(_night(),),
        metrics=(
            Metric("price_gap", "avg(price_index_gap)", "Our price change less theirs, index points", "+.1f"),
            Metric("their_share", "avg(competitor_share)", "Competitor's share", ",.1f"),
        ),
    ),
    Dataset(
        "category_demand_forecast",
        added=(_night(),),
        metrics=(
            Metric("expected", "sum(expected_amount)", "Expected sales", MONEY),
            Metric("lower", "sum(lower_amount)", "Lower end of the 80% interval", MONEY, "Of one category."),
            Metric("upper", "sum(upper_amount)", "Upper end of the 80% interval", MONEY, "Of one category."),
        ),
        main_date="month",
    ),
    Dataset("segment_alarms", added=(_night(),), metrics=(Metric("alarms", "count(*)", "Alarms", COUNT),)),
    Dataset(
        "segmentation_runs",
        added=(
            _night(),
            Column(
                "state",
                "VARCHAR",
                "Whether a run today would give the same: up to date, or stale.",
                "State",
                "case when stale_reason is null then 'up to date' else 'stale' end",
            ),
        ),
        metrics=(
            Metric("dates", "count(distinct as_of_date)", "Dates", COUNT),
            Metric(
                "stale_dates",
                "count(distinct as_of_date) filter (where stale_reason is not null)",
                "Stale dates",
                COUNT,
            ),
        ),
    ),
    Dataset("row_accounts", added=(_night(),), metrics=(Metric("rows", "sum(row_count)", "Rows", COUNT),)),
)


def described_columns() -> dict[str, dict[str, dict[str, Any]]]:
    """Return what dbt says of the columns of its marts and features: model, column, its YAML."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for folder in ("marts", "features"):
        for path in sorted((MODELS_DIR / folder).rglob("*__models.yml")):
            for model in yaml.safe_load(path.read_text())["models"]:
                found[model["name"]] = {column["name"]: column for column in model.get("columns", [])}
    return found


def described_models() -> dict[str, str]:
    """Return dbt's description of each mart."""
    found: dict[str, str] = {}
    for path in sorted((MODELS_DIR / "marts").rglob("*__models.yml")):
        for model in yaml.safe_load(path.read_text())["models"]:
            found[model["name"]] = " ".join(str(model["description"]).split())
    return found


def words(name: str) -> str:
    """Return a column's name as a heading: spend_amount_365d as `Spend amount, 365 days`."""
    if name in HEADINGS:
        return HEADINGS[name]
    parts = name.split("_")
    unit = UNITS.get(parts[-1])
    text = " ".join(parts[:-1] if unit else parts)
    text = text[:1].upper() + text[1:]
    return f"{text}, {unit}" if unit else text


def columns_of(dataset: Dataset, described: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Column]:
    """Return a dataset's columns in order, those that dbt describes with its types and words."""
    added = {column.name: column for column in dataset.added}
    known: dict[str, Column] = {}
    for model in dataset.described_by or (dataset.name,):
        for name, column in described[model].items():
            data_type = TYPES.get(column["data_type"], column["data_type"].upper())
            known.setdefault(name, Column(name, data_type, " ".join(column["description"].split()), words(name)))
    names = list(selected(dataset.sql)) if dataset.sql else list(known)
    found = [added.get(name) or known[name] for name in names]
    return found + [column for column in dataset.added if column.name not in names]


def selected(sql: str) -> Iterator[str]:
    """Yield the names of the columns that a query with one column a line gives."""
    for line in sql.partition("\nfrom ")[0].splitlines():
        match = re.search(r"(?:\bas |\.|^\s+)\"?(\w+)\"?,?$", line)
        if match:
            yield match.group(1)
