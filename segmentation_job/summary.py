"""The table of segments that a run ends with, read from the served file as BI would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from rich.console import Console
from rich.table import Table

from segmentation_job.errors import SegmentationError

if TYPE_CHECKING:
    from segmentation_job.runs.forecast_evaluation import ForecastEvaluation

# More categories than a screen has lines are told by their mean alone.
SHOWN_CATEGORIES = 30

SEGMENTS_SQL = """
select
    labels.lens,
    labels.segment_id,
    labels.segment_name,
    count(*) as customers,
    count(*) / sum(count(*)) over (partition by labels.lens) as customer_share,
    coalesce(sum(customers.spend_amount_90d), 0) as spend_amount_90d,
    coalesce(sum(customers.spend_amount_90d), 0)
    / nullif(sum(coalesce(sum(customers.spend_amount_90d), 0)) over (partition by labels.lens), 0) as spend_share,
    any_value(segments.description) as description,
    any_value(labels.as_of_date) as as_of_date
from customer_segments as labels
inner join customer_360 as customers on labels.customer_id = customers.customer_id
inner join segments on labels.segment_id = segments.segment_id
group by labels.lens, labels.segment_id, labels.segment_name
order by labels.lens, spend_amount_90d desc, labels.segment_id
"""


@dataclass(frozen=True)
class SegmentSummary:
    """One segment of the current date. Shares are of the lens's customers and of their spend in the last 90 days."""

    lens: str
    segment_id: str
    name: str
    customers: int
    customer_share: float
    spend_amount_90d: float
    spend_share: float
    description: str
    as_of: str


def read_summary(link: Path) -> list[SegmentSummary]:
    """Read the segments of the served file; raise SegmentationError where nothing is served."""
    if not link.exists():
        raise SegmentationError(f"{link} does not exist: nothing is published yet. Run `make run` first.")
    with duckdb.connect(str(link), read_only=True) as connection:
        rows = connection.execute(SEGMENTS_SQL).fetchall()
    return [
        SegmentSummary(
            row[0], row[1], row[2], row[3], float(row[4]), float(row[5]), float(row[6] or 0), row[7], str(row[8])
        )
        for row in rows
    ]


def read_stale_dates(link: Path) -> list[tuple[str, str]]:
    """Return the dates of the served file that a run today would compute from something else, with the reason."""
    with duckdb.connect(str(link), read_only=True) as connection:
        rows = connection.execute(
            "select as_of_date, min(stale_reason) from segmentation_runs where stale_reason is not null"
            " group by as_of_date order by as_of_date"
        ).fetchall()
    return [(str(as_of), str(reason)) for as_of, reason in rows]


def print_summary(segments: list[SegmentSummary], console: Console) -> None:
    """Print one table per lens."""
    for lens in dict.fromkeys(segment.lens for segment in segments):
        chosen = [segment for segment in segments if segment.lens == lens]
        table = Table(
            title=f"Segments of {sum(segment.customers for segment in chosen):,} customers at {chosen[0].as_of}"
            f" · lens {lens}",
            title_justify="left",
            show_lines=True,
        )
        table.add_column("id", no_wrap=True)
        table.add_column("name", style="bold")
        table.add_column("customers", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        table.add_column("spend 90 d", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        table.add_column("what sets them apart", ratio=1)
        for segment in chosen:
            table.add_row(
                segment.segment_id,
                segment.name,
                f"{segment.customers:,}",
                f"{segment.customer_share:.1%}",
                f"{segment.spend_amount_90d:,.0f}",
                f"{segment.spend_share:.1%}",
                _shortened(segment.description),
            )
        console.print(table)


def print_forecast_evaluation(evaluation: ForecastEvaluation, console: Console) -> None:
    """Print the errors of the forecasts of a date, each beside what it must beat."""
    purchases = Table(
        title=f"Purchase days per customer in the 90 days from {evaluation.as_of} on"
        f" · {evaluation.purchases[0].customers:,} customers",
        title_justify="left",
    )
    purchases.add_column("forecast by")
    for column in ("mean absolute error", "root mean square error", "mean forecast", "mean that came"):
        purchases.add_column(column, justify="right")
    for rule in evaluation.purchases:
        purchases.add_row(
            rule.method,
            f"{rule.mean_absolute_error:.3f}",
            f"{rule.root_mean_square_error:.3f}",
            f"{rule.mean_forecast:.3f}",
            f"{rule.mean_actual:.3f}",
        )
    console.print(purchases)
    hits = evaluation.next_category
    console.print(
        f"Next category: right for {hits.foreseen_share:.1%} of the {hits.customers:,} customers who ordered since;"
        f" the category that each has bought on most days, for {hits.most_frequent_share:.1%}.\n",
        soft_wrap=True,
    )
    judged = [error for error in evaluation.demand if error.mase is not None]
    if not judged:
        console.print("Category demand: too few months to judge the forecast by.")
        return
    demand = Table(
        title=f"Category demand, months before {evaluation.demand_as_of} forecast from those before them",
        title_justify="left",
        caption="MASE: error against the seasonal naive forecast's (last month's, lag 1, where no year is known);"
        " below 1 is better.",
        caption_justify="left",
    )
    demand.add_column("category")
    for column in ("held-out forecasts", "naive lag", "MASE", "within the 80% interval"):
        demand.add_column(column, justify="right")
    demand.add_column("method")
    for error in judged if len(judged) <= SHOWN_CATEGORIES else []:
        demand.add_row(
            error.category,
            str(error.forecasts),
            str(error.naive_lag),
            f"{error.mase:.3f}",
            f"{error.coverage:.0%}",
            error.method,
        )
    forecasts = sum(error.forecasts for error in judged)
    demand.add_row(
        f"all {len(judged)}",
        str(forecasts),
        ", ".join(str(lag) for lag in sorted({error.naive_lag for error in judged})),
        f"{sum(error.mase or 0 for error in judged) / len(judged):.3f}",
        f"{sum(error.coverage * error.forecasts for error in judged) / forecasts:.0%}",
        "mean over categories",
    )
    console.print(demand)


def _shortened(description: str) -> str:
    """The traits alone: a table has no room for their figures."""
    return re.sub(r"\s*\([^)]*\)", "", description).replace("These shoppers stand out by ", "").rstrip(".")
