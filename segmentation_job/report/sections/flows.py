"""Who moved between segments: those who moved by themselves apart from those whom a new model put elsewhere."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, table_of
from segmentation_job.report.charts import Bar, Group, bars
from segmentation_job.report.figures import sentence
from segmentation_job.report.palette import ACCENT, QUIET
from segmentation_job.report.sections.changes import compared_with
from segmentation_job.report.view import View

FLOWS_SQL = """
select
    from_segment_id,
    to_segment_id,
    any_value(from_segment_name) as from_segment_name,
    any_value(to_segment_name) as to_segment_name,
    any_value(from_segment_name) || ' → ' || any_value(to_segment_name) as flow,
    sum(customers)::bigint as customers,
    sum(customer_moved)::bigint as customer_moved,
    sum(model_changed + "both")::bigint as with_the_model
from segment_transitions
where
    lens = $lens and as_of_date > $since and as_of_date <= $as_of
    and from_segment_id is not null and to_segment_id is not null
group by from_segment_id, to_segment_id
order by customers desc, from_segment_id, to_segment_id
limit 30
"""
DRAWN = 10


def flows_section(view: View) -> Section:
    """Return the flows, or a line that there are none."""
    charts = flow_charts(view)
    nobody = (
        sentence("Nobody has changed segment since the last run.")
        if view.last_run is not None
        else sentence("This is the first run: there is no earlier date to compare with.")
    )
    absent = () if charts else (nobody,)
    return Section("flows", "Who moved between segments", tuple(charts), absent=absent)


def flow_charts(view: View) -> list[Chart]:
    """Return a chart of the largest flows since each date compared with; none where nobody moved."""
    charts = []
    for since in compared_with(view):
        found = view.file.ask(f"flows-{since.word}", FLOWS_SQL, lens=view.lens, since=since.day_value, as_of=view.as_of)
        if not found:
            continue
        key = f"flows-{since.word}"
        drawn = list(found)[:DRAWN]
        groups = []
        for row in drawn:
            parts = [Bar(row.number_of("customer_moved"), row.figure("customer_moved", "count"), ACCENT, "moved")]
            if row.number_of("with_the_model"):
                parts.append(
                    Bar(row.number_of("with_the_model"), row.figure("with_the_model", "count"), QUIET, "by a new model")
                )
            groups.append(Group(row.figure("flow", "text"), tuple(parts)))
        question = "Who moved where since the last run?" if since.word == "last-run" else "And since last month?"
        charts.append(
            Chart(
                key,
                question,
                sentence(
                    "The largest flow since {date}: {customers} moves from {old} to {new}.",
                    date=since.day,
                    customers=drawn[0].figure("customers", "count"),
                    old=drawn[0].figure("from_segment_name", "text"),
                    new=drawn[0].figure("to_segment_name", "text"),
                ),
                bars(groups, key),
                table_of(
                    found,
                    Column("From", "from_segment_name", segment="from_segment_id"),
                    Column("To", "to_segment_name", segment="to_segment_id"),
                    Column("Moves", "customers", "count"),
                    Column("Moved by themselves", "customer_moved", "count"),
                    Column("Put there by a new model", "with_the_model", "count"),
                ),
            )
        )
    return charts
