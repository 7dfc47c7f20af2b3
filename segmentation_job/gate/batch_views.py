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

Beside the SQL that the engines share, suites may call `days_between(start, end)`, `months_after(day, months)`,
`is_blank(text)`, `isfinite(number)` and `distribution_shift('<table>', '<column>')`, which returns the population
stability index between a table and its `previous_` one (distribution_shift.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from segmentation_job.gate.stores import GateStore

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


def plan_batch_views(store: GateStore, connection: Any, batch_date: date, used: Collection[str]) -> BatchViews:
    """Return the temporary views of `batch_date`, which a read-only connection may create as well.

    A view whose source does not exist is left out: an expectation that needs it then ends as an error. Which sources
    exist is the same for every batch date of a warehouse, so that no view of another date stays behind.

    Parameters: `store`, the warehouse; `connection`, to it; `batch_date`, the as-of date of the rows to judge; `used`,
    the names of views that are read; others are left out.
    Raises: the engine's error where a source exists but lacks a column that a view needs.
    """
    existing = store.tables(connection)
    day = f"date '{batch_date.isoformat()}'"
    tables = frozenset(table for table in SUITE_TABLES.values() if ("candidate", table) in existing)
    previous_dates: dict[str, date] = {}
    statements = list(store.functions)
    if "lens_runs" in used and ("candidate", "runs") in existing:
        statements.append(_view("lens_runs", f"{store.name('candidate', 'runs')} where as_of_date = {day}"))
    for table in sorted(table for table in tables if table in used or f"previous_{table}" in used):
        candidate = store.name("candidate", table)
        statements.append(_view(table, f"{candidate} where as_of_date = {day} or as_of_date is null"))
        if f"previous_{table}" not in used:
            continue
        previous = _previous_date(store, connection, table, batch_date, existing)
        if previous is not None:
            previous_dates[table] = previous
        statements.append(_view(f"previous_{table}", _previous_rows(store, table, previous, day)))
    if "customers_in_scope" in used and ("intermediate", "int_customer_first_seen") in existing:
        first_seen = store.name("intermediate", "int_customer_first_seen")
        statements.append(_view("customers_in_scope", f"{first_seen} where first_seen_date < {day}"))
    if "due_payments" in used and ("staging", "stg_payments") in existing:
        statements.append(_view("due_payments", f"{store.name('staging', 'stg_payments')} where due_date < {day}"))
    first_order_date = None
    if ("intermediate", "int_customer_days") in existing:
        known_days = f"{store.name('intermediate', 'int_customer_days')} where order_date < {day}"
        statements.append(_view("customer_days", known_days))
        statements.append(
            f"create or replace temp view gate_run as"
            f" select {day} as as_of_date, days_between(min(order_date), {day}) as history_days from customer_days"
        )
        (first_order_date,) = connection.execute(f"select min(order_date) from {known_days}").fetchone()
    return BatchViews(batch_date, tuple(statements), tables, previous_dates, first_order_date)


def _view(name: str, source: str) -> str:
    return f"create or replace temp view {name} as select * from {source}"


def _previous_rows(store: GateStore, table: str, previous: date | None, day: str) -> str:
    if previous is None:
        return f"{store.name('candidate', table)} where false"
    promoted = store.name("promoted", table)
    if table == "labels":
        # A lens may have been off at a date that another was labelled at.
        return (
            f"{promoted} as found where as_of_date = (select max(latest.as_of_date) from {promoted} as latest"
            f" where latest.lens = found.lens and latest.as_of_date < {day})"
        )
    return f"{promoted} where as_of_date = date '{previous}'"


def _previous_date(
    store: GateStore, connection: Any, table: str, batch_date: date, existing: set[tuple[str, str]]
) -> date | None:
    if ("promoted", "dates") not in existing or ("promoted", table) not in existing:
        return None
    dates, origin = store.name("promoted", "dates"), store.name("promoted", table)
    promoted = connection.execute(
        f"select as_of_date from {dates} where as_of_date < ? order by as_of_date desc", [batch_date]
    ).fetchall()
    for (promoted_date,) in promoted:
        # Retention may have removed a promoted date's rows, and a date may carry features without labels.
        found = connection.execute(f"select 1 from {origin} where as_of_date = ? limit 1", [promoted_date]).fetchone()
        if found:
            return promoted_date  # type: ignore[no-any-return]
    return None
