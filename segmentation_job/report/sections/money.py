"""What the segments spend, bring in, pay and owe."""

from __future__ import annotations

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.forms import bars_of, by_segment, shares_in_a_grid
from segmentation_job.report.view import View

MONEY_SQL = """
select
    segment_id,
    segment_name,
    customer_count,
    average_spend_amount_365d,
    median_spend_amount_365d,
    spend_share_365d,
    discount_share,
    margin_amount_365d,
    average_margin_amount_365d,
    margin_share,
    payment_count,
    payment_late_share,
    payment_failed_share,
    overdue_amount,
    credit_utilisation_share_mean
from financial_summary
where lens = $lens and as_of_date = $as_of
order by average_spend_amount_365d desc nulls last, segment_id
"""

SCORES_SQL = """
select
    segment_id,
    segment_name,
    credit_score_band,
    sum(customer_count)::bigint as customers,
    sum(customer_count) / sum(sum(customer_count)) over (partition by lens, segment_id) as share
from credit_risk_bands
where as_of_date = $as_of and lens in ($lens, 'all') and credit_score_band <> 'unknown'
group by lens, segment_id, segment_name, credit_score_band
order by segment_id = 'all' desc, segment_id, credit_score_band
"""

METHODS_SQL = """
select method, payment_count, payment_share, amount, late_share, failed_share
from payment_habits
where as_of_date = $as_of and lens = 'all'
order by payment_count desc, method
limit 12
"""


def money_section(view: View, sizes: Answer) -> Section:
    """Return spend, margin and risk."""
    money = view.file.ask("money", MONEY_SQL, lens=view.lens, as_of=view.as_of)
    charts: list[Chart | None] = [
        bars_of(
            "spend-per-customer",
            "How much does a customer spend in a year?",
            money,
            ("average_spend_amount_365d", "amount"),
            table_of(
                money,
                *by_segment(
                    Column("Spend per customer, 365 days", "average_spend_amount_365d", "amount"),
                    Column("Median", "median_spend_amount_365d", "amount"),
                    Column("Share of all spend", "spend_share_365d", "share"),
                    Column("Discounts of prices", "discount_share", "share"),
                ),
            ),
            words="per customer",
        )
    ]
    absent = []
    if money and money.has("margin_amount_365d"):
        by_margin = sorted(money, key=lambda row: (-row.number_of("margin_amount_365d"), row.text("segment_id")))
        charts.append(
            bars_of(
                "margin",
                "Who brings the margin?",
                by_margin,
                ("margin_amount_365d", "amount"),
                table_of(
                    by_margin,
                    *by_segment(
                        Column("Margin, 365 days", "margin_amount_365d", "amount"),
                        Column("Margin per customer", "average_margin_amount_365d", "amount"),
                        Column("Margin of lifetime spend", "margin_share", "share"),
                    ),
                ),
            )
        )
    else:
        absent.append(sentence("Margins are not known: the source has no costs."))
    if money and money.has("payment_late_share"):
        by_risk = sorted(money, key=lambda row: (-row.number_of("payment_late_share"), row.text("segment_id")))
        charts.append(
            bars_of(
                "late-payment",
                "Who pays late?",
                by_risk,
                ("payment_late_share", "share"),
                table_of(
                    by_risk,
                    *by_segment(
                        Column("Payments", "payment_count", "count"),
                        Column("Late or open", "payment_late_share", "share"),
                        Column("Failed", "payment_failed_share", "share"),
                        Column("Overdue", "overdue_amount", "amount"),
                        Column("Credit limit used, mean", "credit_utilisation_share_mean", "share"),
                    ),
                ),
                words="of payments",
            )
        )
        methods = view.file.ask("payment-methods", METHODS_SQL, as_of=view.as_of)
        charts.append(
            bars_of(
                "payment-methods",
                "How did customers pay in the last 365 days?",
                methods,
                ("payment_share", "share"),
                table_of(
                    methods,
                    Column("Method", "method", "word"),
                    Column("Payments", "payment_count", "count"),
                    Column("Share", "payment_share", "share"),
                    Column("Amount", "amount", "amount"),
                    Column("Late or open", "late_share", "share"),
                    Column("Failed", "failed_share", "share"),
                ),
                label=("method", "word"),
                words="of payments",
                is_of_segments=False,
            )
        )
    else:
        absent.append(sentence("Payments are not known: the source has none."))
    scores = view.file.ask("credit-scores", SCORES_SQL, lens=view.lens, as_of=view.as_of)
    if scores:
        lowest = str(min(str(row["credit_score_band"]) for row in scores))
        weak = [row for row in scores if row["credit_score_band"] == lowest and row["segment_id"] != "all"]
        worst = max(weak, key=lambda row: row.number_of("share")) if weak else scores.row(0)
        charts.append(
            shares_in_a_grid(
                "credit-risk",
                "How good is their credit?",
                scores,
                ["all", *(row["segment_id"] for row in sizes)],
                "segment_id",
                ("segment_name", "text"),
                "credit_score_band",
                "text",
                ("share", "whole_share"),
                table_of(
                    scores,
                    *by_segment(
                        Column("Credit score", "credit_score_band"),
                        Column("Customers", "customers", "count"),
                        Column("Share of those with a score", "share", "share"),
                    ),
                ),
                sentence(
                    "Most of the scores {band}: {name}, {share} of those whose score is known.",
                    band=worst.figure("credit_score_band", "text"),
                    name=worst.figure("segment_name", "text"),
                    share=worst.figure("share", "share"),
                ),
            )
        )
    else:
        absent.append(sentence("Credit is not known: the source has none."))
    return Section("money", "Spend, margin and risk", present(charts), absent=tuple(absent))
