with lines as (
    select * from {{ ref('stg_order_lines') }}
),

-- An order lies on one day: orders counted by the day can be added up.
final as (
    select
        category,
        order_date,
        count(distinct order_id) as order_count,
        cast(sum(item_count) as bigint) as item_count,
        cast(sum(net_amount) as decimal(18, 2)) as net_amount
    from lines
    group by
        category,
        order_date
)

select * from final
