"""The table of segments that a run ends with, read from the served file as BI would."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from segmentation_job.errors import SegmentationError

if TYPE_CHECKING:
    from segmentation_job.runs.forecast_evaluation import ForecastEvaluation

# More categories than a screen has lines are told by their mean alone.
SHOWN_CATEGORIES = 30

FULL_LENS = "overall"
# What a family says only where the source has the entity.
FAMILY_PARTS = {
    "financial": {"payments": "payments", "credit": "credit"},
    "purchase": {"order_events": "returns and cancellations"},
    "engagement": {
        "loyalty_events": "a loyalty programme",
        "web_events": "browsing and carts",
        "feedback": "surveys, reviews and complaints",
        "campaign_contacts": "campaigns",
    },
    "market": {"market_indicators": "indices and competitors"},
}

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
        return [(str(as_of), reason) for as_of, reason in stale_dates_in(connection)]


def stale_dates_in(published: duckdb.DuckDBPyConnection) -> list[tuple[date, str]]:
    """Return the same of a published file that is open, ascending."""
    rows = published.execute(
        "select as_of_date, min(stale_reason) from segmentation_runs where stale_reason is not null"
        " group by as_of_date order by as_of_date"
    ).fetchall()
    return [(as_of, str(reason)) for as_of, reason in rows]


def read_idle_features(link: Path) -> dict[str, list[str]]:
    """Return the features of each lens's current model that were constant or empty when it was fitted."""
    with duckdb.connect(str(link), read_only=True) as connection:
        rows = connection.execute(
            "select distinct labels.lens, models.parameters from customer_segments as labels"
            " inner join models on labels.model_version = models.model_version order by 1"
        ).fetchall()
    return {
        str(lens): [feature["column"] for feature in json.loads(parameters)["encoding"] if feature["is_idle"]]
        for lens, parameters in rows
    }


def print_summary(segments: list[SegmentSummary], console: Console) -> None:
    """Print the lens `overall` in full and the others in short, so that five fit on two screens."""
    lenses = sorted({segment.lens for segment in segments}, key=lambda lens: (lens != FULL_LENS, lens))
    for lens in lenses:
        chosen = [segment for segment in segments if segment.lens == lens]
        is_full = lens == lenses[0]
        table = Table(
            title=f"Segments of {sum(segment.customers for segment in chosen):,} customers at {chosen[0].as_of}"
            f" · lens {lens}",
            title_justify="left",
            show_lines=is_full,
            box=HEAVY_HEAD if is_full else SIMPLE_HEAD,
        )
        if is_full:
            table.add_column("id", no_wrap=True)
        table.add_column("name", style="bold", ratio=None if is_full else 2)
        table.add_column("customers", justify="right", no_wrap=True)
        table.add_column("share", justify="right", no_wrap=True)
        table.add_column("spend 90 d", justify="right", no_wrap=True)
        if is_full:
            table.add_column("share", justify="right", no_wrap=True)
        table.add_column("what sets them apart", ratio=1 if is_full else 3)
        for segment in chosen:
            traits = _shortened(segment.description)
            table.add_row(
                *([segment.segment_id] if is_full else []),
                segment.name,
                f"{segment.customers:,}",
                f"{segment.customer_share:.1%}",
                f"{segment.spend_amount_90d:,.0f}",
                *([f"{segment.spend_share:.1%}"] if is_full else []),
                traits if is_full else _main_trait(traits),
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


def print_absent(
    skipped: Sequence[str], absent_entities: Sequence[str], idle: Mapping[str, Sequence[str]], console: Console
) -> None:
    """Print what the source cannot tell: entities it lacks, lenses that are skipped, features without effect.

    skipped: why each such lens is, as sentences. idle: constant or empty features by lens.
    """
    for family, parts in FAMILY_PARTS.items():
        lacking = [words for entity, words in parts.items() if entity in absent_entities]
        if lacking:
            console.print(f"The source has nothing of {', '.join(lacking)} (family {family}).", soft_wrap=True)
    for reason in skipped:
        console.print(f"{reason[0].upper()}{reason[1:]}.", soft_wrap=True)
    for lens, features in idle.items():
        if features:
            names = ", ".join(name.partition(".")[2] for name in features)
            console.print(f"Lens {lens} runs without {names}: constant or empty.", soft_wrap=True)


def _shortened(description: str) -> str:
    """The traits alone: a table has no room for their figures."""
    return re.sub(r"^These [^.]*? stand out by ", "", re.sub(r"\s*\([^)]*\)", "", description)).rstrip(".")


def _main_trait(traits: str) -> str:
    """The first of the traits of a description."""
    return re.split(r", | and (?=an? |far |more |fewer )", traits)[0]
