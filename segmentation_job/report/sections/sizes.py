"""How large each segment is, what it brings, and how it changed: the rows that cards and sentences are made from."""

from __future__ import annotations

from segmentation_job.report.published_file import Answer, Parameter
from segmentation_job.report.view import View

# Earlier sizes come from the history, which is kept for good; insights of old dates are not.
SIZES_SQL = r"""
with labelled as (
    select segment_id, count(*) as customers from customer_segments where lens = $lens group by segment_id
),

money as (
    select * from financial_summary where lens = $lens and as_of_date = $as_of
),

at_last_run as (
    select segment_id, count(*) as customer_count from customer_segment_history
    where
        lens = $lens and segment_id is not null
        and valid_from <= cast($last_run as date) and (valid_to is null or valid_to > cast($last_run as date))
    group by segment_id
),

at_month_ago as (
    select segment_id, count(*) as customer_count from customer_segment_history
    where
        lens = $lens and segment_id is not null
        and valid_from <= cast($month_ago as date) and (valid_to is null or valid_to > cast($month_ago as date))
    group by segment_id
),

-- What the run that brought a new model gave to a segment and took from it: nothing that a customer did.
put as (
    select to_segment_id as segment_id, as_of_date, model_changed + "both" as customers
    from segment_transitions
    where lens = $lens and as_of_date <= $as_of and to_segment_id is not null
    union all
    select from_segment_id, as_of_date, -(model_changed + "both")
    from segment_transitions
    where lens = $lens and as_of_date <= $as_of and from_segment_id is not null
),

by_model as (
    select
        segment_id,
        sum(customers) filter (where as_of_date > cast($last_run as date)) as since_last_run,
        sum(customers) filter (where as_of_date > cast($month_ago as date)) as since_month_ago
    from put
    group by segment_id
),

known as (
    select segment_id from labelled
    union
    select segment_id from at_last_run
    union
    select segment_id from at_month_ago
),

sizes as (
    select
        known.segment_id,
        coalesce(labelled.customers, 0) as customers,
        if(cast($last_run as date) is null, null, coalesce(at_last_run.customer_count, 0)) as customers_at_last_run,
        if(cast($month_ago as date) is null, null, coalesce(at_month_ago.customer_count, 0)) as customers_month_ago,
        if(cast($last_run as date) is null, null, coalesce(by_model.since_last_run, 0))::bigint
            as by_model_since_last_run,
        if(cast($month_ago as date) is null, null, coalesce(by_model.since_month_ago, 0))::bigint
            as by_model_since_month_ago,
        coalesce(money.spend_amount_90d, 0) as spend_amount_90d,
        money.margin_amount_365d
    from known
    left join labelled on known.segment_id = labelled.segment_id
    left join money on known.segment_id = money.segment_id
    left join by_model on known.segment_id = by_model.segment_id
    left join at_last_run on known.segment_id = at_last_run.segment_id
    left join at_month_ago on known.segment_id = at_month_ago.segment_id
)

select
    sizes.*,
    coalesce(segments.name, sizes.segment_id) as segment_name,
    sizes.customers / sum(sizes.customers) over () as customer_share,
    sizes.spend_amount_90d / nullif(sum(sizes.spend_amount_90d) over (), 0) as spend_share,
    sizes.spend_amount_90d / nullif(sizes.customers, 0) as spend_per_customer,
    sizes.margin_amount_365d / nullif(sum(sizes.margin_amount_365d) over (), 0) as margin_share,
    sizes.customers - sizes.customers_at_last_run as change_since_last_run,
    sizes.customers - sizes.customers_at_last_run - sizes.by_model_since_last_run as by_customers_since_last_run,
    (sizes.customers - sizes.customers_at_last_run)
    / nullif(sizes.customers_at_last_run, 0) as change_share_since_last_run,
    sizes.customers - sizes.customers_month_ago as change_since_month_ago,
    sizes.customers - sizes.customers_month_ago - sizes.by_model_since_month_ago as by_customers_since_month_ago,
    (sizes.customers - sizes.customers_month_ago)
    / nullif(sizes.customers_month_ago, 0) as change_share_since_month_ago,
    regexp_replace(
        regexp_replace(coalesce(segments.description, ''), '\s*\([^)]*\)', '', 'g'), '^These .*? stand out by ', ''
    ) as traits,
    segments.description,
    segments.recommended_action,
    segments.rule,
    segments.relation,
    segments.parent_segment_ids,
    segments.created_as_of,
    segments.retired_as_of,
    case
        when sizes.customers = 0 and segments.retired_as_of is not null then 'ended'
        when segments.created_as_of > cast($last_run as date) then 'new segment'
        else ''
    end as born_or_ended
from sizes
left join segments on sizes.segment_id = segments.segment_id and segments.lens = $lens
order by sizes.spend_amount_90d desc, sizes.customers desc, sizes.segment_id
"""

TOTALS_SQL = """
with totals as (
    select
        as_of_date,
        customer_count,
        coalesce(spend_amount_90d, 0) as spend_amount_90d
    from financial_summary
    where lens = 'all' and segment_id = 'all'
),

labelled as (
    select count(*) as customers, count(distinct segment_id) as segments from customer_segments where lens = $lens
)

select
    labelled.customers,
    labelled.segments,
    coalesce(now.spend_amount_90d, 0) as spend_amount_90d,
    now.customer_count - last_run.customer_count as customers_since_last_run,
    now.customer_count - month_ago.customer_count as customers_since_month_ago,
    now.spend_amount_90d / nullif(last_run.spend_amount_90d, 0) - 1 as spend_share_since_last_run,
    now.spend_amount_90d / nullif(month_ago.spend_amount_90d, 0) - 1 as spend_share_since_month_ago
from labelled
left join totals as now on now.as_of_date = $as_of
left join totals as last_run on last_run.as_of_date = cast($last_run as date)
left join totals as month_ago on month_ago.as_of_date = cast($month_ago as date)
"""


def sizes_of(view: View) -> Answer:
    """Return a row per segment that holds customers now, or did at a date compared with; most spend first."""
    return view.file.ask(f"segments-{view.lens}", SIZES_SQL, **_compared(view))


def totals_of(view: View) -> Answer:
    """Return one row about all customers together."""
    return view.file.ask(f"totals-{view.lens}", TOTALS_SQL, **_compared(view))


def _compared(view: View) -> dict[str, Parameter]:
    return {"lens": view.lens, "as_of": view.as_of, "last_run": view.last_run, "month_ago": view.month_ago}
