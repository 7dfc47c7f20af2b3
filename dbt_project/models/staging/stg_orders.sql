with final as (
    select
        order_id,
        customer_id,
        ordered_at,
        order_date,
        channel,
        store_id,
        is_subscription,
        currency
    from {{ ref('stg_orders_checked') }}
    where quarantine_reason is null
)

select * from final
