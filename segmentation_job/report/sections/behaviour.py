"""How customers browse, what they leave in the cart, how satisfied they are."""

from __future__ import annotations

from markupsafe import Markup

from segmentation_job.report.blocks import Chart, Column, Section, present, table_of
from segmentation_job.report.figures import sentence
from segmentation_job.report.published_file import Answer
from segmentation_job.report.sections.forms import bars_of, by_segment, extremes
from segmentation_job.report.view import View

FUNNEL_SQL = """
select stage, session_count, customer_count, session_share, step_share
from engagement_funnel
where as_of_date = $as_of and lens = 'all'
order by stage_order
"""

CARTS_BY_SEGMENT_SQL = """
select
    segment_id,
    segment_name,
    sum(cart_count)::bigint as carts,
    sum(abandoned_cart_count)::bigint as abandoned,
    if(sum(cart_count) < 10, null, sum(abandoned_cart_count) / sum(cart_count)) as abandonment_rate,
    sum(abandoned_amount) as abandoned_amount
from cart_abandonment
where as_of_date = $as_of and lens = $lens
group by segment_id, segment_name
order by abandonment_rate desc nulls last, segment_id
"""

CARTS_BY_DEVICE_SQL = """
select
    device,
    cart_count,
    abandoned_cart_count,
    if(cart_count < 10, null, cart_abandonment_rate) as cart_abandonment_rate,
    abandoned_amount
from cart_abandonment
where as_of_date = $as_of and lens = 'all'
order by cart_abandonment_rate desc nulls last, device
"""

PROMOTERS_SQL = """
select
    segment_id,
    segment_name,
    response_count,
    if(response_count < 10, null, score_mean) as score_mean,
    if(response_count < 10, null, promoter_share) as promoter_share,
    if(response_count < 10, null, detractor_share) as detractor_share,
    if(response_count < 10, null, net_promoter_score) as net_promoter_score
from satisfaction
where as_of_date = $as_of and lens = $lens and score_scale = 'nps_0_10'
order by net_promoter_score desc nulls last, segment_id
"""

FEEDBACK_SQL = """
with told as (
    select
        segment_id,
        segment_name,
        coalesce(sum(feedback_count) filter (where feedback_type = 'complaint'), 0)::bigint as complaints,
        coalesce(sum(customer_count) filter (where feedback_type = 'complaint'), 0)::bigint as complainants,
        coalesce(sum(response_count) filter (where score_scale = 'stars_1_5'), 0)::bigint as reviews,
        avg(score_mean) filter (where score_scale = 'stars_1_5') as stars
    from satisfaction
    where as_of_date = $as_of and lens = $lens
    group by segment_id, segment_name
)

select
    told.segment_id,
    told.segment_name,
    told.complaints,
    if(told.complainants < 10, null, 1000 * told.complaints / nullif(financial_summary.customer_count, 0))
        as complaints_per_thousand,
    told.reviews,
    if(told.reviews < 10, null, told.stars) as stars
from told
inner join financial_summary
    on
        told.segment_id = financial_summary.segment_id
        and financial_summary.lens = $lens
        and financial_summary.as_of_date = $as_of
order by complaints_per_thousand desc nulls last, told.segment_id
"""


def behaviour_section(view: View) -> Section:
    """Return funnel, carts and satisfaction."""
    charts: list[Chart | None] = []
    absent = []
    funnel = view.file.ask("funnel", FUNNEL_SQL, as_of=view.as_of)
    if funnel:
        last = funnel.row(-1)
        charts.append(
            bars_of(
                "funnel",
                "How far do visits get?",
                funnel,
                ("session_share", "share"),
                table_of(
                    funnel,
                    Column("Stage", "stage", "word"),
                    Column("Visits, 90 days", "session_count", "count"),
                    Column("Customers", "customer_count", "count"),
                    Column("Share of visits", "session_share", "share"),
                    Column("Share of the stage before", "step_share", "share"),
                ),
                label=("stage", "word"),
                words="of visits",
                finding=sentence(
                    "Of {visits} visits in the last 90 days, {share} got to “{stage}”. A visit is a day on which"
                    " somebody browsed.",
                    visits=funnel.row(0).figure("session_count", "count"),
                    share=last.figure("session_share", "share"),
                    stage=last.figure("stage", "word"),
                ),
                is_of_segments=False,
            )
        )
    else:
        absent.append(sentence("Visits and carts are not known: the source has no browsing."))
    carts = view.file.ask("carts-by-segment", CARTS_BY_SEGMENT_SQL, lens=view.lens, as_of=view.as_of)
    devices = view.file.ask("carts-by-device", CARTS_BY_DEVICE_SQL, as_of=view.as_of)
    charts += [
        bars_of(
            "carts-by-segment",
            "Who leaves the cart behind?",
            carts,
            ("abandonment_rate", "share"),
            table_of(
                carts,
                *by_segment(
                    Column("Carts, 90 days", "carts", "count"),
                    Column("Left behind", "abandoned", "count"),
                    Column("Share", "abandonment_rate", "share"),
                    Column("List price of what was left", "abandoned_amount", "amount"),
                ),
            ),
            words="of carts",
            note=_few(carts, "abandonment_rate", "carts"),
        ),
        bars_of(
            "carts-by-device",
            "On which device are carts left behind?",
            devices,
            ("cart_abandonment_rate", "share"),
            table_of(
                devices,
                Column("Device", "device", "word"),
                Column("Carts, 90 days", "cart_count", "count"),
                Column("Left behind", "abandoned_cart_count", "count"),
                Column("Share", "cart_abandonment_rate", "share"),
                Column("List price of what was left", "abandoned_amount", "amount"),
            ),
            label=("device", "word"),
            words="of carts",
            is_of_segments=False,
        ),
    ]
    promoters = view.file.ask("promoters", PROMOTERS_SQL, lens=view.lens, as_of=view.as_of)
    liked = [row for row in promoters if row["net_promoter_score"] is not None]
    feedback = view.file.ask("feedback", FEEDBACK_SQL, lens=view.lens, as_of=view.as_of)
    if not feedback:
        absent.append(sentence("Satisfaction is not known: the source has no surveys, reviews or complaints."))
    charts += [
        bars_of(
            "promoters",
            "Who would recommend the shop?",
            promoters,
            ("net_promoter_score", "signed_digit"),
            table_of(
                promoters,
                *by_segment(
                    Column("Answers, 365 days", "response_count", "count"),
                    Column("Mean score", "score_mean", "one_digit"),
                    Column("Promoters", "promoter_share", "share"),
                    Column("Detractors", "detractor_share", "share"),
                    Column("Net promoter score", "net_promoter_score", "signed_digit"),
                ),
            ),
            words="points",
            finding=sentence(
                "The share who would recommend it less the share who would not, in points. {extremes}",
                extremes=extremes(liked, ("net_promoter_score", "signed_digit"), ("segment_name", "text"), "points"),
            )
            if liked
            else None,
            note=_few(promoters, "net_promoter_score", "answers"),
        ),
        bars_of(
            "complaints",
            "Who complains most?",
            feedback,
            ("complaints_per_thousand", "one_digit"),
            table_of(
                feedback,
                *by_segment(
                    Column("Complaints, 365 days", "complaints", "count"),
                    Column("Per thousand customers", "complaints_per_thousand", "one_digit"),
                    Column("Reviews", "reviews", "count"),
                    Column("Stars of reviews, mean", "stars", "one_digit"),
                ),
            ),
            words="per thousand customers",
            note=_few(feedback, "complaints_per_thousand", "people who complained"),
        ),
    ]
    return Section("behaviour", "Funnel, carts and satisfaction", present(charts), absent=tuple(absent))


def _few(found: Answer, column: str, what: str) -> Markup | None:
    """Say that a figure of a few is not shown: one of two carts would be the headline."""
    if all(row[column] is not None for row in found):
        return None
    return sentence("Not shown where there are fewer than 10 {what}.", what=what)
