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

orders as (
    select
        customer_id,
        order_date,
        order_id,
        count(*) as line_count,
        count(*) filter (where discount_amount > 0) as discounted_line_count,
        sum(item_count) as item_count,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(net_amount) as net_amount,
        sum(case when is_private_label then net_amount else 0 end) as private_label_amount,
        sum(unit_cost_amount * item_count) as cost_amount,
        sum(net_amount) filter (where unit_cost_amount is not null) as costed_net_amount,
        max(case when is_subscription then 1 else 0 end) as subscription_order_count
    from lines
    group by
        customer_id,
        order_date,
        order_id
),

final as (
    select
        customer_id,
        order_date,
        count(*) as order_count,
        cast(sum(line_count) as bigint) as line_count,
        cast(sum(discounted_line_count) as bigint) as discounted_line_count,
        cast(sum(item_count) as bigint) as item_count,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount,
        cast(sum(discount_amount) as decimal(18, 2)) as discount_amount,
        cast(sum(net_amount) as decimal(18, 2)) as net_amount,
        cast(sum(private_label_amount) as decimal(18, 2)) as private_label_amount,
        cast(max(net_amount) as decimal(18, 2)) as largest_order_amount,
        cast(sum(cost_amount) as decimal(18, 2)) as cost_amount,
        cast(sum(costed_net_amount) as decimal(18, 2)) as costed_net_amount,
        cast(sum(subscription_order_count) as bigint) as subscription_order_count
    from orders
    group by
        customer_id,
        order_date
)

select * from final
order by
    order_date,
    customer_id
