-- Append after the hook has taken the changed days out: a day that lost its last row goes too.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_changed_days() }}",
) }}

with lines as (
    select stg_order_lines.*
    from {{ ref('stg_order_lines') }} as stg_order_lines
    inner join {{ ref('int_changed_days') }} as changed_days
        on stg_order_lines.order_date = changed_days.order_date
),

final as (
    select
        customer_id,
        product_id,
        order_date,
        category,
        count(distinct order_id) as order_count,
        cast(sum(item_count) as bigint) as item_count,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount,
        cast(sum(net_amount) as decimal(18, 2)) as net_amount
    from lines
    group by
        customer_id,
        product_id,
        order_date,
        category
)

select * from final
order by
    order_date,
    customer_id,
    product_id
