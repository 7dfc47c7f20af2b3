with members as (
    select * from {{ ref('insight_members') }}
),

dates as (
    select * from {{ ref('insight_dates') }}
),

feedback as (
    select
        *,
        coalesce(score_scale, 'none') as scale,
        -- Whoever gives 9 or 10 of 10 recommends the shop, whoever gives 6 or less advises against it.
        score_scale = 'nps_0_10' and score >= 9 as is_promoter,
        score_scale = 'nps_0_10' and score <= 6 as is_detractor
    from {{ ref('stg_feedback') }}
),

customers as (
    select
        dates.as_of_date,
        feedback.customer_id,
        feedback.feedback_type,
        feedback.scale as score_scale,
        count(*) as feedback_count,
        count(feedback.score) as response_count,
        sum(feedback.score) as score_total,
        count(*) filter (where feedback.is_promoter) as promoter_count,
        count(*) filter (where feedback.is_detractor) as detractor_count
    from dates
    inner join feedback
        on
            feedback.event_date < dates.as_of_date
            and feedback.event_date >= {{ dbt.dateadd('day', -365, 'dates.as_of_date') }}
    group by
        dates.as_of_date,
        feedback.customer_id,
        feedback.feedback_type,
        feedback.scale
),

segments as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.feedback_type,
        customers.score_scale,
        sum(customers.feedback_count) as feedback_count,
        sum(customers.response_count) as response_count,
        count(*) as customer_count,
        sum(customers.score_total) as score_total,
        case when customers.score_scale = 'nps_0_10' then sum(customers.promoter_count) end as promoter_count,
        case when customers.score_scale = 'nps_0_10' then sum(customers.detractor_count) end as detractor_count
    from members
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.feedback_type,
        customers.score_scale
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        feedback_type,
        score_scale,
        cast(feedback_count as bigint) as feedback_count,
        cast(response_count as bigint) as response_count,
        cast(customer_count as bigint) as customer_count,
        {{ rounded_ratio('score_total', 'response_count') }} as score_mean,
        {{ rounded_ratio('promoter_count', 'response_count') }} as promoter_share,
        {{ rounded_ratio('detractor_count', 'response_count') }} as detractor_share,
        {{ rounded_ratio('100 * (promoter_count - detractor_count)', 'response_count') }} as net_promoter_score
    from segments
)

select * from final
