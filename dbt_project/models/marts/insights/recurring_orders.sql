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
        {{ median_of('recurring.interval_days') }} as interval_days_median,
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

ranked as (
    select
        *,
        row_number() over (
            partition by as_of_date, lens, segment_id
            order by customer_count desc, product_id asc
        ) as product_rank
    from counted
),

final as (
    select
        ranked.as_of_date,
        ranked.lens,
        ranked.segment_id,
        ranked.segment_name,
        ranked.product_id,
        coalesce(products.category, 'unknown') as category,
        ranked.customer_count,
        {{ rounded('ranked.interval_days_median') }} as interval_days_median,
        ranked.due_30d_count,
        ranked.overdue_count
    from ranked
    left join products
        on
            ranked.as_of_date = products.as_of_date
            and ranked.product_id = products.product_id
    where ranked.product_rank <= 100
)

select * from final
