with members as (
    select * from {{ ref('insight_members') }}
),

customers as (
    select
        as_of_date,
        customer_id
    from members
    where lens = 'all'
),

products as (
    select * from {{ ref('insight_products') }}
),

{{ product_rhythms_of('customers') }},

recurring as (
    select
        *,
        {{ dbt.datediff('as_of_date', 'next_due_date', 'day') }}
            as days_to_due
    from product_rhythms
    where is_recurring
),

counted as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        recurring.product_id,
        count(*) as customer_count,
        percentile_cont(0.5) within group (order by recurring.interval_days) as interval_days_median,
        count(*) filter (where recurring.days_to_due between 0 and 29) as due_30d_count,
        count(*) filter (where recurring.days_to_due < 0) as overdue_count
    from members
    inner join recurring
        on
            members.as_of_date = recurring.as_of_date
            and members.customer_id = recurring.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        recurring.product_id
),

final as (
    select
        counted.as_of_date,
        counted.lens,
        counted.segment_id,
        counted.segment_name,
        counted.product_id,
        coalesce(products.category, 'unknown') as category,
        counted.customer_count,
        {{ rounded('counted.interval_days_median') }} as interval_days_median,
        counted.due_30d_count,
        counted.overdue_count
    from counted
    left join products
        on
            counted.as_of_date = products.as_of_date
            and counted.product_id = products.product_id
)

select * from final
