with orders as (
    select * from {{ ref('input_orders') }}
),

known_customers as (
    select * from {{ ref('stg_known_customers') }}
),

cleaned as (
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
),

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

-- Of several rows with one id the earliest good one stands: a later one can then never change the past.
numbered as (
    select
        *,
        row_number() over (
            partition by order_id
            order by
                case when own_reason is null then 0 else 1 end,
                order_date asc nulls last,
                ingested_at desc nulls last,
                {{ row_content(['ordered_at', 'customer_id', 'channel', 'store_id', 'is_subscription', 'currency']) }}
        ) as copy_number
    from checked
),

final as (
    select
        *,
        coalesce(own_reason, case when copy_number > 1 then 'duplicate' end) as quarantine_reason
    from numbered
)

select * from final
