with loaded_days as (
    select * from {{ ref('int_loaded_days') }}
),

fact_days as (
    select distinct order_date
    from {{ ref('int_customer_days') }}
)

select coalesce(loaded_days.order_date, fact_days.order_date) as order_date
from loaded_days
full outer join fact_days on loaded_days.order_date = fact_days.order_date
where
    loaded_days.order_date is null
    or fact_days.order_date is null
