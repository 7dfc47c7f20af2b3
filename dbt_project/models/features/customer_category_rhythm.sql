-- What the forecast of the next category is made from.
with as_of_dates as (
    select * from {{ ref('int_as_of_dates') }}
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

-- A day on which several products of a category were bought is one day of that category.
category_days as (
    select distinct
        customer_id,
        category,
        order_date
    from {{ ref('int_customer_product_days') }}
),

rhythms as (
    select
        as_of_dates.as_of_date,
        category_days.customer_id,
        category_days.category,
        count(*) as purchase_day_count,
        min(category_days.order_date) as first_purchase_date,
        max(category_days.order_date) as last_purchase_date
    from as_of_dates
    inner join category_days on category_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        category_days.customer_id,
        category_days.category
),

customers as (
    select
        as_of_dates.as_of_date,
        customer_days.customer_id,
        count(*) as order_day_count,
        max(customer_days.order_date) as last_order_date
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        customer_days.customer_id
),

final as (
    select
        rhythms.as_of_date,
        rhythms.customer_id,
        rhythms.category,
        cast(rhythms.purchase_day_count as bigint) as purchase_day_count,
        cast(
            {{ dbt.datediff('rhythms.last_purchase_date', 'rhythms.as_of_date', 'day') }}
            as integer
        ) as days_since_last,
        cast(
            {{ dbt.datediff('rhythms.first_purchase_date', 'rhythms.as_of_date', 'day') }}
            as integer
        ) as days_since_first,
        {{ rounded_ratio(
            dbt.datediff('rhythms.first_purchase_date', 'rhythms.last_purchase_date', 'day'),
            'rhythms.purchase_day_count - 1'
        ) }} as gap_mean_days,
        cast(customers.order_day_count as bigint) as order_day_count,
        cast(
            {{ dbt.datediff('customers.last_order_date', 'rhythms.as_of_date', 'day') }}
            as integer
        ) as days_since_last_order
    from rhythms
    inner join customers
        on
            rhythms.as_of_date = customers.as_of_date
            and rhythms.customer_id = customers.customer_id
)

select * from final
