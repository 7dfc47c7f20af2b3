with lines as (
    select
        *,
        {{ month_of('order_date') }} as month
    from {{ ref('stg_order_lines') }}
),

final as (
    select
        product_id,
        category,
        month,
        cast(sum(item_count) as bigint) as item_count,
        cast(sum(gross_amount) as decimal(18, 2)) as gross_amount
    from lines
    group by
        product_id,
        category,
        month
)

select * from final
