{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['order_id', 'line_id'],
) }}

with lines as (
    select * from {{ ref('input_order_lines') }}
),

orders as (
    select * from {{ ref('stg_orders') }}
),

products as (
    select * from {{ ref('stg_products') }}
),

-- A source without products, or without any yet, sells things all the same: then no line can be an orphan for its product.
product_scope as (
    select
        count(*) as version_count,
        count(*) - count(valid_from_date) as timeless_count,
        min(valid_from_date) as first_valid_from_date
    from products
),

landed as (
    select
        {{ clean_text('order_id') }} as order_id,
        {{ clean_text('line_id') }} as line_id,
        {{ clean_text('product_id') }} as product_id,
        quantity,
        coalesce(gross_amount, net_amount + coalesce(discount_amount, 0)) as gross_amount,
        coalesce(discount_amount, gross_amount - net_amount, 0) as discount_amount,
        coalesce(net_amount, gross_amount - coalesce(discount_amount, 0)) as net_amount,
        unit_cost_amount,
        ingested_at,
        unreadable_columns
    from lines
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['order_id', 'line_id'],
    columns_added=['customer_id', 'order_date', 'is_subscription', 'department', 'category', 'is_private_label'],
    touched_by=['orders', 'products'],
) }},

joined as (
    select
        cleaned.*,
        orders.customer_id,
        orders.order_date,
        orders.is_subscription,
        products.department,
        coalesce(products.category, products.department, 'unknown') as category,
        coalesce(products.is_private_label, false) as is_private_label,
        case
            when cleaned.order_id is null then 'order_missing'
            when cleaned.line_id is null then 'line_missing'
            when cleaned.unreadable_columns != '' then 'value_unreadable'
            when orders.order_id is null then 'order_unknown'
            when cleaned.product_id is null then 'product_missing'
            when
                products.product_id is null
                and product_scope.version_count > 0
                and (product_scope.timeless_count > 0 or product_scope.first_valid_from_date <= orders.order_date)
                then 'product_unknown'
            when cleaned.quantity is null then 'quantity_missing'
            when cleaned.quantity <= 0 then 'quantity_not_positive'
            when cleaned.quantity != floor(cleaned.quantity) then 'quantity_not_a_count'
            when cleaned.quantity >= {{ var('largest_line_quantity') }} then 'quantity_not_a_count'
            when cleaned.net_amount is null then 'amount_missing'
            when cleaned.net_amount < 0 or cleaned.discount_amount < 0 or cleaned.unit_cost_amount < 0
                then 'amount_negative'
            when
                cleaned.gross_amount >= {{ var('largest_line_amount') }}
                or cast(cleaned.unit_cost_amount as double) * cast(cleaned.quantity as double)
                >= {{ var('largest_line_amount') }}
                then 'amount_too_large'
            when cleaned.gross_amount - cleaned.discount_amount != cleaned.net_amount then 'amounts_disagree'
            when
                cleaned.gross_amount > 0
                and cleaned.gross_amount
                < cast(cleaned.quantity as decimal(28, 3)) * cast({{ var('smallest_unit_price') }} as decimal(10, 4))
                then 'quantity_not_a_count'
        end as own_reason
    from cleaned
    left join orders on cleaned.order_id = orders.order_id
    left join products
        on
            cleaned.product_id = products.product_id
            and (products.valid_from_date is null or products.valid_from_date <= orders.order_date)
            and (products.valid_to_date is null or products.valid_to_date > orders.order_date)
    cross join product_scope
),

{{ copies_set_aside(
    'joined',
    key=['order_id', 'line_id'],
    content=['product_id', 'quantity', 'gross_amount', 'discount_amount', 'net_amount', 'unit_cost_amount'],
) }}

select * from final
{{ in_order_of_days('order_date') }}
