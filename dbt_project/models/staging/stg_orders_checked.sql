{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['order_id'],
) }}

with orders as (
    select * from {{ ref('input_orders') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

landed as (
    select
        {{ clean_text('order_id') }} as order_id,
        {{ clean_text('customer_id') }} as customer_id,
        ordered_at,
        {{ business_date('ordered_at') }} as order_date,
        {{ clean_text('channel') }} as channel,
        {{ clean_text('store_id') }} as store_id,
        coalesce(is_subscription, false) as is_subscription,
        {{ clean_text('currency') }} as currency,
        ingested_at,
        unreadable_columns
    from orders
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['order_id'],
    touched_by=['customers'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.order_id is null then 'order_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.customer_id is null then 'customer_missing'
            when cleaned.ordered_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.order_date') }} then 'date_impossible'
            when known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.order_date then 'customer_unknown'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
),

{{ copies_set_aside(
    'checked',
    key=['order_id'],
    content=['ordered_at', 'customer_id', 'channel', 'store_id', 'is_subscription', 'currency'],
    event_date='order_date',
) }}

select * from final
{{ in_order_of_days('order_date') }}
