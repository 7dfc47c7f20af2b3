{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['event_id'],
) }}

with events as (
    select * from {{ ref('input_web_events') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

landed as (
    select
        {{ clean_text('event_id') }} as event_id,
        {{ clean_text('session_id') }} as session_id,
        {{ clean_text('customer_id') }} as customer_id,
        {{ clean_text('event_type') }} as event_type,
        occurred_at,
        {{ business_date('occurred_at') }} as event_date,
        {{ clean_text('product_id') }} as product_id,
        {{ clean_text('device') }} as device,
        ingested_at,
        unreadable_columns
    from events
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['event_id'],
    columns_added=['category', 'list_price_amount'],
    touched_by=['customers', 'products'],
) }},

checked as (
    select
        cleaned.*,
        case
            when cleaned.product_id is not null then coalesce(products.category, products.department, 'unknown')
        end as category,
        products.list_price_amount,
        case
            when cleaned.event_id is null then 'event_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when cleaned.session_id is null then 'session_missing'
            when cleaned.occurred_at is null then 'date_missing'
            when not {{ is_possible_date('cleaned.event_date') }} then 'date_impossible'
            when
                coalesce(cleaned.event_type, '')
                not in ('view', 'search', 'add_to_cart', 'remove_from_cart', 'checkout', 'purchase')
                then 'event_type_unknown'
            -- Whoever has not logged in is nobody yet; whoever has must be a customer.
            when cleaned.customer_id is not null and known_customers.customer_id is null then 'customer_unknown'
            when known_customers.known_from_date > cleaned.event_date then 'customer_unknown'
            when cleaned.event_type in ('add_to_cart', 'remove_from_cart') and cleaned.product_id is null
                then 'product_missing'
        end as own_reason
    from cleaned
    left join known_customers on cleaned.customer_id = known_customers.customer_id
    left join products
        on
            cleaned.product_id = products.product_id
            and (products.valid_from_date is null or products.valid_from_date <= cleaned.event_date)
            and (products.valid_to_date is null or products.valid_to_date > cleaned.event_date)
),

{{ copies_set_aside(
    'checked',
    key=['event_id'],
    content=['occurred_at', 'session_id', 'customer_id', 'event_type', 'product_id', 'device'],
    event_date='event_date',
) }}

select * from final
{{ in_order_of_days('event_date') }}
