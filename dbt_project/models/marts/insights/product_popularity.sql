with members as (
    select * from {{ ref('insight_members') }}
),

products as (
    select * from {{ ref('insight_products') }}
),

bought as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        days.product_id,
        count(distinct days.customer_id) as customer_count,
        sum(days.order_count) as order_count,
        sum(days.item_count) as item_count,
        sum(days.net_amount) as net_amount
    from members
    inner join {{ ref('int_customer_product_days') }} as days
        on
            members.customer_id = days.customer_id
            and days.order_date < members.as_of_date
            and {{ dbt.datediff('days.order_date', 'members.as_of_date', 'day') }}
            <= 90
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        days.product_id
),

ranked as (
    select
        *,
        row_number() over (
            partition by as_of_date, lens, segment_id
            order by customer_count desc, order_count desc, item_count desc, product_id asc
        ) as popularity_rank
    from bought
),

final as (
    select
        ranked.as_of_date,
        ranked.lens,
        ranked.segment_id,
        ranked.segment_name,
        ranked.product_id,
        coalesce(products.category, 'unknown') as category,
        products.department,
        ranked.customer_count,
        cast(ranked.order_count as bigint) as order_count,
        cast(ranked.item_count as bigint) as item_count,
        cast(ranked.net_amount as decimal(18, 2)) as net_amount,
        cast(ranked.popularity_rank as integer) as popularity_rank
    from ranked
    left join products
        on
            ranked.as_of_date = products.as_of_date
            and ranked.product_id = products.product_id
    where ranked.popularity_rank <= 50
)

select * from final
