{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['event_id'],
) }}

with events as (
    select * from {{ ref('input_order_events') }}
),

orders as (
    select * from {{ ref('stg_orders') }}
),

landed as (
    select
        {{ clean_text('event_id') }} as event_id,
        {{ clean_text('order_id') }} as order_id,
        {{ clean_text('line_id') }} as line_id,
        {{ clean_text('event_type') }} as event_type,
        occurred_at,
        {{ business_date('occurred_at') }} as event_date,
        quantity,
        amount,
        ingested_at,
        unreadable_columns
    from events
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['event_id'],
    columns_added=['customer_id'],
    touched_by=['orders'],
) }},

checked as (
    select
        cleaned.*,
        orders.customer_id,
        case
            when cleaned.event_id is null then 'event_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.order_id is null then 'order_missing'
            when cleaned.occurred_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.event_date') }} then 'date_impossible'
            when coalesce(cleaned.event_type, '') not in ('shipped', 'cancelled', 'returned') then 'event_type_unknown'
            -- On its day nobody knew an order that came later; told apart, the reason would be the future's.
            when orders.order_id is null or cleaned.event_date < orders.order_date then 'order_unknown'
            when cleaned.quantity <= 0 then 'quantity_not_positive'
            when cleaned.amount < 0 then 'amount_negative'
        end as own_reason
    from cleaned
    left join orders on cleaned.order_id = orders.order_id
),

{{ copies_set_aside(
    'checked',
    key=['event_id'],
    content=['occurred_at', 'order_id', 'line_id', 'event_type', 'quantity', 'amount'],
    event_date='event_date',
) }}

select * from final
{{ in_order_of_days('event_date') }}
