with final as (
    select
        order_id,
        line_id,
        customer_id,
        order_date,
        product_id,
        department,
        category,
        is_private_label,
        cast(quantity as bigint) as item_count,
        gross_amount,
        discount_amount,
        net_amount,
        unit_cost_amount,
        is_subscription
    from {{ ref('stg_order_lines_checked') }}
    where quarantine_reason is null
)

select * from final
