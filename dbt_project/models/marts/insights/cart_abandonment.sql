with members as (
    select * from {{ ref('insight_members') }}
),

dates as (
    select * from {{ ref('insight_dates') }}
),

session_days as (
    select * from {{ ref('int_customer_session_days') }}
),

customers as (
    select
        dates.as_of_date,
        session_days.customer_id,
        coalesce(session_days.device, 'unknown') as device,
        count(*) as cart_count,
        count(*) filter (where session_days.is_abandoned) as abandoned_cart_count,
        sum(session_days.abandoned_amount) as abandoned_amount
    from dates
    inner join session_days
        on
            session_days.session_date < dates.as_of_date
            and session_days.session_date >= {{ dbt.dateadd('day', -90, 'dates.as_of_date') }}
    where session_days.has_cart
    group by
        dates.as_of_date,
        session_days.customer_id,
        coalesce(session_days.device, 'unknown')
),

final as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.device,
        cast(sum(customers.cart_count) as bigint) as cart_count,
        cast(sum(customers.abandoned_cart_count) as bigint) as abandoned_cart_count,
        {{ rounded_ratio('sum(customers.abandoned_cart_count)', 'sum(customers.cart_count)') }}
            as cart_abandonment_rate,
        cast(sum(customers.abandoned_amount) as decimal(18, 2)) as abandoned_amount
    from members
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.device
)

select * from final
