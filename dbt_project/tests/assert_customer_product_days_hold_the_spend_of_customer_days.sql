with product_days as (
    select
        customer_id,
        order_date,
        sum(item_count) as item_count,
        sum(gross_amount) as gross_amount,
        sum(net_amount) as net_amount
    from {{ ref('int_customer_product_days') }}
    where {{ of_tested_days('order_lines', 'order_date') }}
    group by
        customer_id,
        order_date
),

customer_days as (
    select *
    from {{ ref('int_customer_days') }}
    where {{ of_tested_days('order_lines', 'order_date') }}
)

select
    coalesce(customer_days.customer_id, product_days.customer_id) as customer_id,
    coalesce(customer_days.order_date, product_days.order_date) as order_date,
    customer_days.net_amount as net_amount_of_customer_day,
    product_days.net_amount as net_amount_of_products
from customer_days
full outer join product_days
    on
        customer_days.customer_id = product_days.customer_id
        and customer_days.order_date = product_days.order_date
where
    customer_days.customer_id is null
    or product_days.customer_id is null
    or customer_days.item_count != product_days.item_count
    or customer_days.gross_amount != product_days.gross_amount
    or customer_days.net_amount != product_days.net_amount
