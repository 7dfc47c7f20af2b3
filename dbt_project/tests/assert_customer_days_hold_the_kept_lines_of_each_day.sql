with lines as (
    select
        order_date,
        count(*) as line_count,
        count(distinct order_id) as order_count,
        sum(item_count) as item_count,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(net_amount) as net_amount,
        coalesce(sum(item_count * unit_cost_amount), 0) as cost_amount,
        coalesce(sum(case when unit_cost_amount is not null then net_amount end), 0) as costed_net_amount
    from {{ ref('stg_order_lines') }}
    where {{ of_tested_days('order_lines', 'order_date') }}
    group by order_date
),

customer_days as (
    select
        order_date,
        sum(line_count) as line_count,
        sum(order_count) as order_count,
        sum(item_count) as item_count,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(net_amount) as net_amount,
        coalesce(sum(cost_amount), 0) as cost_amount,
        coalesce(sum(costed_net_amount), 0) as costed_net_amount,
        count(*) filter (where (cost_amount is null) != (costed_net_amount is null)) as half_costed_count
    from {{ ref('int_customer_days') }}
    where {{ of_tested_days('order_lines', 'order_date') }}
    group by order_date
)

select
    coalesce(lines.order_date, customer_days.order_date) as order_date,
    lines.net_amount as net_amount_of_lines,
    customer_days.net_amount as net_amount_of_customer_days
from lines
full outer join customer_days on lines.order_date = customer_days.order_date
where
    lines.order_date is null
    or customer_days.order_date is null
    or lines.line_count != customer_days.line_count
    or lines.order_count != customer_days.order_count
    or lines.item_count != customer_days.item_count
    or lines.gross_amount != customer_days.gross_amount
    or lines.discount_amount != customer_days.discount_amount
    or lines.net_amount != customer_days.net_amount
    or customer_days.net_amount != customer_days.gross_amount - customer_days.discount_amount
    or lines.cost_amount != customer_days.cost_amount
    or lines.costed_net_amount != customer_days.costed_net_amount
    or customer_days.costed_net_amount > customer_days.net_amount
    or customer_days.half_costed_count > 0
