"""The table of segments that a run ends with, read from the served file as BI would."""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from segmentation_job.errors import SegmentationError

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


def _shortened(description: str) -> str:
    """The traits alone: a table has no room for their figures."""
    return re.sub(r"\s*\([^)]*\)", "", description).replace("These shoppers stand out by ", "").rstrip(".")
