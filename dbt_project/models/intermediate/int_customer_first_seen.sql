-- A customer is first seen by what the customer did: registering or ordering, not by being written to.
with signups as (
    select
        customer_id,
        -- A version that came later says nothing of the days before it, whatever it says of the registration.
        greatest(signup_date, coalesce(valid_from_date, signup_date)) as seen_date
    from {{ ref('stg_customers') }}
    where signup_date is not null
),

orders as (
    select
        customer_id,
        order_date as seen_date
    from {{ ref('stg_orders') }}
),

seen as (
    select * from signups
    union all
    select * from orders
),

final as (
    select
        customer_id,
        min(seen_date) as first_seen_date
    from seen
    group by customer_id
)

select * from final
