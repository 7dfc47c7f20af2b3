{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['event_id'],
) }}

with events as (
    select * from {{ ref('input_loyalty_events') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

landed as (
    select
        {{ clean_text('event_id') }} as event_id,
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('event_type') }} as event_type,
        occurred_at,
        {{ business_date('occurred_at') }} as event_date,
        points,
        {{ clean_text('tier') }} as tier,
        ingested_at,
        unreadable_columns
    from events
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['event_id'],
    touched_by=['customers'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.event_id is null then 'event_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.customer_id is null then 'customer_missing'
            when cleaned.occurred_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.event_date') }} then 'date_impossible'
            when coalesce(cleaned.event_type, '') not in ('enrol', 'earn', 'redeem', 'tier_change')
                then 'event_type_unknown'
            when known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.event_date then 'customer_unknown'
            when cleaned.event_type in ('earn', 'redeem') and coalesce(cleaned.points, 0) <= 0
                then 'points_not_positive'
            when cleaned.event_type = 'tier_change' and cleaned.tier is null then 'tier_missing'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
),

{{ copies_set_aside(
    'checked',
    key=['event_id'],
    content=['occurred_at', 'customer_id', 'event_type', 'points', 'tier'],
    event_date='event_date',
) }}

select * from final
{{ in_order_of_days('event_date') }}
