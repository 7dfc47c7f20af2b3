"""The names that suites may use in SQL: views of one batch date, made anew when a run turns to another date.

| view | rows |
|---|---|
| `<family>_features`, `customer_forecasts`, | candidate rows of the batch date, and rows that carry |
| `category_demand_forecast`, `labels` | no date at all |
| `previous_` and one of these names | the latest earlier promoted date that holds rows |
| `previous_labels` | the same, of each lens: of one that is new, no rows |
| `lens_runs` | lens, customers: the lenses that the candidate was labelled by, and how many customers each |
| `customers_in_scope` | customer_id, first_seen_date of customers first seen before the batch date |
| `customer_days` | intermediate.int_customer_days before the batch date |
| `due_payments` | staging.stg_payments due before the batch date |
| `gate_run` | one row: as_of_date, history_days (batch date − first order date) |

`distribution_shift('<table>', '<column>')` returns the population stability index between the two.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

SUITE_TABLES = {
    "demographic_features": "demographic_features",
    "financial_features": "financial_features",
    "purchase_features": "purchase_features",
    "engagement_features": "engagement_features",
    "customer_forecasts": "customer_forecasts",
    "category_demand_forecast": "category_demand_forecast",
    "customer_segments": "labels",
}
"""Suite name to the table in schema candidate that it judges (its view has the table's name)."""

KEY_COLUMNS = dict.fromkeys(SUITE_TABLES, "customer_id") | {"category_demand_forecast": "category"}
"""Suite name to the column by which a person finds an offending row."""

# Bins are the previous quintiles, null and anything below the previous least value apart, smoothed by half a
# customer. `noise` is the index that chance alone leads one to expect, (bins − 1)(1/n + 1/m), so that a
# threshold holds for small sources too.
_DISTRIBUTION_SHIFT = """
create or replace temp macro distribution_shift(feature_table, feature_column) as table
with now as (
    select cast(columns(lambda name: name = feature_column) as double) as value
    from query_table(feature_table)
),
before as (
    select cast(columns(lambda name: name = feature_column) as double) as value
    from query_table('previous_' || feature_table)
),
cuts as (select quantile_disc(value, [0.2, 0.4, 0.6, 0.8]) as cut, min(value) as least_value from before),
binned as (
    select
        case
            when value is null then -2
            when value < least_value then -1
            else cast(value > cut[1] as integer) + cast(value > cut[2] as integer)
            + cast(value > cut[3] as integer) + cast(value > cut[4] as integer)
        end as bin,
        now_count,
        before_count
    from (select value, 1 as now_count, 0 as before_count from now union all select value, 0, 1 from before)
    cross join cuts
),
bins as (
    select
        bin,
        cast(sum(now_count) as double) + 0.5 as now_weight,
        cast(sum(before_count) as double) + 0.5 as before_weight
    from binned
    group by bin
),
shares as (
    select now_weight / sum(now_weight) over () as p, before_weight / sum(before_weight) over () as q
    from bins
)
select
    feature_column as column_name,
    round(sum((p - q) * ln(p / q)), 4) as shift,
    (
        select round((count(*) - 1) * (1.0 / sum(now_weight) + 1.0 / sum(before_weight)), 4) from bins
    ) as noise
from shares
"""


@dataclass(frozen=True)
class BatchViews:
    """The views of one batch date, and what they rest on.

    `statements` create the views on a connection, in the place of those of another date; `tables` are the candidate
    tables that exist; `previous_dates` gives per table the promoted date it is compared with; `first_order_date` is
    the start of the order history, None where there is none.
    """

    batch_date: date
    statements: tuple[str, ...]
    tables: frozenset[str]
    previous_dates: dict[str, date]
    first_order_date: date | None

    def previous_history_days(self, table: str) -> int:
        """Days of order history behind the promoted date that `table` is compared with."""
        if self.first_order_date is None or table not in self.previous_dates:
            return 0
        return max((self.previous_dates[table] - self.first_order_date) // timedelta(days=1), 0)


def plan_batch_views(connection: Any, batch_date: date) -> BatchViews:
    """Return the temporary views of `batch_date`, which a read-only connection may create as well.

    A view whose source does not exist is left out: an expectation that needs it then ends as an error. Which sources
    exist is the same for every batch date of a file, so that no view of another date stays behind.

    Parameters: `connection`, a DuckDB connection; `batch_date`, the as-of date of the rows to judge.
    Raises: duckdb.Error where a source exists but lacks a column that a view needs.
    """
    existing = {
        (schema, name)
        for schema, name in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
            " union all"
            " select schema_name, view_name from duckdb_views() where database_name = current_database()"
        ).fetchall()
    }
    day = f"date '{batch_date.isoformat()}'"
    tables = frozenset(table for table in SUITE_TABLES.values() if ("candidate", table) in existing)
    previous_dates: dict[str, date] = {}
    statements = [_DISTRIBUTION_SHIFT]
    if ("candidate", "runs") in existing:
        statements.append(_view("lens_runs", f"candidate.runs where as_of_date = {day}"))
    for table in sorted(tables):
        statements.append(_view(table, f"candidate.{table} where as_of_date = {day} or as_of_date is null"))
        previous = _previous_date(connection, table, batch_date, existing)
        if previous is not None:
            previous_dates[table] = previous
        statements.append(_view(f"previous_{table}", _previous_rows(table, previous, day)))
    if ("intermediate", "int_customer_first_seen") in existing:
        statements.append(
            _view("customers_in_scope", f"intermediate.int_customer_first_seen where first_seen_date < {day}")
        )
    if ("staging", "stg_payments") in existing:
        statements.append(_view("due_payments", f"staging.stg_payments where due_date < {day}"))
    first_order_date = None
    if ("intermediate", "int_customer_days") in existing:
        known_days = f"intermediate.int_customer_days where order_date < {day}"
        statements.append(_view("customer_days", known_days))
        statements.append(
            f"create or replace temp view gate_run as"
            f" select {day} as as_of_date, {day} - min(order_date) as history_days from customer_days"
        )
        (first_order_date,) = connection.execute(f"select min(order_date) from {known_days}").fetchone()
    return BatchViews(batch_date, tuple(statements), tables, previous_dates, first_order_date)


def _view(name: str, source: str) -> str:
    return f"create or replace temp view {name} as select * from {source}"


def _previous_rows(table: str, previous: date | None, day: str) -> str:
    if previous is None:
        return f"candidate.{table} where false"
    if table == "labels":
        # A lens may have been off at a date that another was labelled at.
        return (
            "promoted.labels where (lens, as_of_date) in (select (lens, max(as_of_date)) from promoted.labels"
            f" where as_of_date < {day} group by lens)"
        )
    return f"promoted.{table} where as_of_date = date '{previous}'"


def _previous_date(connection: Any, table: str, batch_date: date, existing: set[tuple[str, str]]) -> date | None:
    if ("promoted", "dates") not in existing or ("promoted", table) not in existing:
        return None
    promoted = connection.execute(
        "select as_of_date from promoted.dates where as_of_date < ? order by as_of_date desc", [batch_date]
    ).fetchall()
    for (promoted_date,) in promoted:
        # Retention may have removed a promoted date's rows, and a date may carry features without labels.
        found = connection.execute(
            f"select 1 from promoted.{table} where as_of_date = ? limit 1", [promoted_date]
        ).fetchone()
        if found:
            return promoted_date  # type: ignore[no-any-return]
    return None
