"""Who comes back, who takes part in the rewards, who answers campaigns."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.forms import bars_of, by_segment, distinct, shares_in_a_grid
from segmentation_job.report.view import View

RETENTION_SQL = """
with cohorts as (
    select distinct cohort_month
    from cohort_retention
    where as_of_date = $as_of and lens = 'all'
    order by cohort_month desc
    limit 12
)

select cohort_month, months_since, customer_count, active_count, retention_rate
from cohort_retention
where
    as_of_date = $as_of and lens = 'all' and months_since between 1 and 11 and customer_count >= 10
    and cohort_month in (select cohort_month from cohorts)
order by cohort_month, months_since
"""

CAMPAIGNS_SQL = """
select
    labels.segment_id,
    labels.segment_name,
    sum(customers.campaign_contact_count)::bigint as contacts,
    sum(customers.campaign_response_count)::bigint as responses,
    sum(customers.campaign_response_count) / nullif(sum(customers.campaign_contact_count), 0) as response_rate,
    count(*) filter (where customers.is_repeat_customer) / count(*) as repeat_share
from customer_segments as labels
inner join customer_360 as customers on labels.customer_id = customers.customer_id
where labels.lens = $lens
group by labels.segment_id, labels.segment_name
order by response_rate desc nulls last, labels.segment_id
"""

TIERS_SQL = """
select
    segment_id,
    segment_name,
    loyalty_tier,
    customer_count,
    customer_share,
    points_redeemed_share,
    high_value_customer_count,
    high_value_share
from loyalty_summary
where as_of_date = $as_of and lens in ($lens, 'all')
order by segment_id = 'all' desc, segment_id, customer_count desc, loyalty_tier
"""


def loyalty_section(view: View, sizes: Answer) -> Section:
    """Return loyalty and rewards."""
    campaigns = view.file.ask("campaigns", CAMPAIGNS_SQL, lens=view.lens)
    by_repeat = sorted(campaigns, key=lambda row: (-row.number_of("repeat_share"), row.text("segment_id")))
    columns = by_segment(
        Column("Customers who bought on two days or more", "repeat_share", "share"),
        Column("Campaign contacts", "contacts", "count"),
        Column("Answered", "responses", "count"),
        Column("Share answered", "response_rate", "share"),
    )
    charts: list[Chart | None] = [
        bars_of(
            "repeat-customers",
            "Who comes back after the first purchase?",
            by_repeat,
            ("repeat_share", "share"),
            table_of(by_repeat, *columns),
            words="came back",
        ),
        retention_chart(view),
    ]
    absent = []
    if campaigns.has("response_rate"):
        charts.append(
            bars_of(
                "campaign-responses",
                "Who answers campaigns?",
                campaigns,
                ("response_rate", "share"),
                table_of(campaigns, *columns),
                words="of contacts",
            )
        )
    else:
        absent.append(sentence("Campaigns are not known: the source has none."))
    tiers = view.file.ask("loyalty-tiers", TIERS_SQL, lens=view.lens, as_of=view.as_of)
    if tiers:
        charts += tier_charts(tiers, sizes)
    else:
        absent.append(sentence("Rewards are not known: the source has no loyalty programme."))
    return Section("loyalty", "Loyalty and rewards", present(charts), absent=tuple(absent))


def tier_charts(tiers: Answer, sizes: Answer) -> list[Chart | None]:
    """Return who is in which tier, and in which tiers the best customers are."""
    table = table_of(
        tiers,
        *by_segment(
            Column("Tier", "loyalty_tier", "word"),
            Column("Customers", "customer_count", "count"),
            Column("Share of the segment", "customer_share", "share"),
            Column("Points redeemed of those earned", "points_redeemed_share", "share"),
            Column("High-value customers", "high_value_customer_count", "count"),
            Column("High-value share", "high_value_share", "share"),
        ),
    )
    everybody = [row for row in tiers if row["segment_id"] == "all"]
    others = [row for row in tiers if row["segment_id"] != "all" and row["loyalty_tier"] != "none"]
    most = max(others or everybody, key=lambda row: row.number_of("customer_share"))
    by_value = sorted(everybody, key=lambda row: (-row.number_of("high_value_share"), row.text("loyalty_tier")))
    return [
        shares_in_a_grid(
            "loyalty-tiers",
            "Who is in the rewards programme?",
            tiers,
            ["all", *(row["segment_id"] for row in sizes)],
            "segment_id",
            ("segment_name", "text"),
            "loyalty_tier",
            "word",
            ("customer_share", "whole_share"),
            table,
            sentence(
                "The fullest tier: {share} of {name} are in “{tier}”.",
                share=most.figure("customer_share", "share"),
                name=most.figure("segment_name", "text"),
                tier=most.figure("loyalty_tier", "word"),
            ),
        ),
        bars_of(
            "high-value-by-tier",
            "In which tiers are the best customers?",
            by_value,
            ("high_value_share", "share"),
            table_of(by_value, *table.columns[1:]),
            label=("loyalty_tier", "word"),
            words="of high value",
            is_of_segments=False,
        ),
    ]


def retention_chart(view: View) -> Chart | None:
    """Return how many of each month's new customers still order later; None where no cohort is large enough."""
    found = view.file.ask("retention", RETENTION_SQL, as_of=view.as_of)
    later = [row for row in found if row.number_of("months_since") > 0]
    if not later:
        return None
    newest = max(later, key=lambda row: (str(row["cohort_month"]), row.number_of("months_since")))
    return shares_in_a_grid(
        "retention",
        "How many new customers still order later?",
        found,
        distinct(found, "cohort_month"),
        "cohort_month",
        ("cohort_month", "month"),
        "months_since",
        "count",
        ("retention_rate", "whole_share"),
        table_of(
            found,
            Column("First seen in", "cohort_month", "month"),
            Column("Months since", "months_since", "count"),
            Column("Customers", "customer_count", "count"),
            Column("Ordered", "active_count", "count"),
            Column("Share", "retention_rate", "share"),
        ),
        sentence(
            "Down: the month in which customers were first seen. Across: how many months of 30 days later. Of the"
            " customers of {month}, {share} ordered in month {since}.",
            month=newest.figure("cohort_month", "month"),
            share=newest.figure("retention_rate", "share"),
            since=newest.figure("months_since", "count"),
        ),
    )
