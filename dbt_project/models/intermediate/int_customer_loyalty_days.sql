-- Append after the hook has taken the changed days out: a day that lost its last row goes too.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_changed_event_days('loyalty_events', 'event_date') }}",
) }}

with events as (
    select stg_loyalty_events.*
    from {{ ref('stg_loyalty_events') }} as stg_loyalty_events
    inner join {{ ref('int_changed_event_days') }} as changed_days
        on
            stg_loyalty_events.event_date = changed_days.event_date
            and changed_days.entity = 'loyalty_events'
),

tiers as (
    select
        customer_id,
        event_date,
        tier,
        row_number() over (
            partition by customer_id, event_date
            order by occurred_at desc, event_id desc
        ) as tier_rank
    from events
    where tier is not null
),

loyalty_days as (
    select
        customer_id,
        event_date,
        count(*) as event_count,
        count(*) filter (where event_type = 'redeem') as redemption_count,
        sum(points) filter (where event_type = 'earn') as points_earned,
        sum(points) filter (where event_type = 'redeem') as points_redeemed
    from events
    group by
        customer_id,
        event_date
),

final as (
    select
        loyalty_days.customer_id,
        loyalty_days.event_date,
        loyalty_days.event_count,
        loyalty_days.redemption_count,
        cast(coalesce(loyalty_days.points_earned, 0) as bigint) as points_earned,
        cast(coalesce(loyalty_days.points_redeemed, 0) as bigint) as points_redeemed,
        tiers.tier
    from loyalty_days
    left join tiers
        on
            loyalty_days.customer_id = tiers.customer_id
            and loyalty_days.event_date = tiers.event_date
            and tiers.tier_rank = 1
)

select * from final
order by
    event_date,
    customer_id
