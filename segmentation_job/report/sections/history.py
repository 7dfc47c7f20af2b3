"""How the sizes of the segments developed over the dates that were run."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, table_of
from segmentation_job.report.charts import Spark, sparks
from segmentation_job.report.figures import sentence
from segmentation_job.report.palette import segment_colour
from segmentation_job.report.published_file import Answer, Row
from segmentation_job.report.view import View

# At most so many dates, evenly chosen among those that were run, always with the newest.
HISTORY_SQL = """
with dates as (
    select as_of_date, row_number() over (order by as_of_date desc) as place, count(*) over () as dates
    from (select distinct as_of_date from financial_summary where lens = $lens and as_of_date <= $as_of)
),

chosen as (
    select as_of_date from dates where (place - 1) % greatest(1, cast(ceil(dates / 24) as integer)) = 0
)

select
    as_of_date,
    segment_id,
    segment_name,
    customer_count,
    customer_count / nullif(first_value(customer_count) over (partition by segment_id order by as_of_date), 0) - 1
        as change_share
from financial_summary
where lens = $lens and as_of_date in (select as_of_date from chosen)
order by as_of_date, segment_id
"""

BY_MODEL = "by_model_since_month_ago"


def history_chart(view: View, sizes: Answer) -> Chart | None:
    """Return the sizes over time; None where fewer than two dates are known."""
    found = view.file.ask("sizes-over-time", HISTORY_SQL, lens=view.lens, as_of=view.as_of)
    dates = sorted({str(row["as_of_date"]) for row in found})
    if len(dates) < 2:
        return None
    key = "history"
    lines = []
    for size in sizes:
        mine: dict[str, Row] = {str(row["as_of_date"]): row for row in found if row["segment_id"] == size["segment_id"]}
        if not mine or not size.number_of("customers"):
            continue
        seen = [mine[day] for day in dates if day in mine]
        lines.append(
            Spark(
                size.figure("segment_name", "text"),
                tuple(mine[day].number_of("customer_count") if day in mine else None for day in dates),
                seen[0].figure("customer_count", "count"),
                seen[-1].figure("customer_count", "count"),
                segment_colour(size.text("segment_id")),
                seen[-1].figure("change_share", "share_change"),
            )
        )
    begin, end = found.row(0).figure("as_of_date", "date"), found.row(-1).figure("as_of_date", "date")
    return Chart(
        key,
        "How did the segments grow?",
        sentence(
            "Customers of each segment from {begin} to {end}. Each line has a scale of its own.{models}",
            models=" What new models changed is in it." if any(size.number_of(BY_MODEL) for size in sizes) else "",
            begin=begin,
            end=end,
        ),
        sparks(lines, begin, end, key),
        table_of(
            found,
            Column("Date", "as_of_date", "date"),
            Column("Segment", "segment_name", segment="segment_id"),
            Column("Customers", "customer_count", "count"),
            Column("Since the first date", "change_share", "share_change"),
        ),
    )
