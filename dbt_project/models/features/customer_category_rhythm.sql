-- What the forecast of the next category is made from: what was known at the as-of date, and what was known 90 days
-- earlier of the customers who have ordered since, with what came next of it.
with as_of_dates as (
    select
        as_of_date,
        cast({{ dbt.dateadd('day', -90, 'as_of_date') }} as date) as earlier_date
    from {{ ref('int_as_of_dates') }}
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

purchases as (
    select
        as_of_dates.as_of_date,
        as_of_dates.earlier_date,
        category_days.customer_id,
        category_days.category,
        count(*) as purchase_day_count,
        min(category_days.order_date) as first_purchase_date,
        max(category_days.order_date) as last_purchase_date,
        count(*) filter (where category_days.order_date < as_of_dates.earlier_date) as earlier_purchase_day_count,
        max(case when category_days.order_date < as_of_dates.earlier_date then category_days.order_date end)
            as earlier_last_purchase_date
    from as_of_dates
    inner join category_days on category_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        as_of_dates.earlier_date,
        category_days.customer_id,
        category_days.category
),

customers as (
    select
        as_of_dates.as_of_date,
        customer_days.customer_id,
        count(*) as order_day_count,
        min(customer_days.order_date) as first_order_date,
        max(customer_days.order_date) as last_order_date,
        count(*) filter (where customer_days.order_date < as_of_dates.earlier_date) as earlier_order_day_count,
        max(case when customer_days.order_date < as_of_dates.earlier_date then customer_days.order_date end)
            as earlier_last_order_date,
        min(case when customer_days.order_date >= as_of_dates.earlier_date then customer_days.order_date end)
            as next_order_date
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        customer_days.customer_id
),

known as (
    select
        purchases.*,
        customers.order_day_count,
        customers.first_order_date,
        customers.last_order_date,
        customers.earlier_order_day_count,
        customers.earlier_last_order_date,
        customers.next_order_date
    from purchases
    inner join customers
        on
            purchases.as_of_date = customers.as_of_date
            and purchases.customer_id = customers.customer_id
),

rhythms as (
    select
        as_of_date,
        as_of_date as known_before_date,
        customer_id,
        category,
        purchase_day_count,
        {{ dbt.datediff('first_purchase_date', 'last_purchase_date', 'day') }}
            as purchase_span_days,
        last_purchase_date,
        order_day_count,
        {{ dbt.datediff('first_order_date', 'last_order_date', 'day') }}
            as order_span_days,
        cast(null as boolean) as was_bought_next
    from known
    union all
    select
        known.as_of_date,
        known.earlier_date as known_before_date,
        known.customer_id,
        known.category,
        known.earlier_purchase_day_count as purchase_day_count,
        {{ dbt.datediff('known.first_purchase_date', 'known.earlier_last_purchase_date', 'day') }}
            as purchase_span_days,
        known.earlier_last_purchase_date as last_purchase_date,
        known.earlier_order_day_count as order_day_count,
        {{ dbt.datediff('known.first_order_date', 'known.earlier_last_order_date', 'day') }}
            as order_span_days,
        next_days.category is not null as was_bought_next
    from known
    left join category_days as next_days
        on
            known.customer_id = next_days.customer_id
            and known.next_order_date = next_days.order_date
            and known.category = next_days.category
    where known.earlier_purchase_day_count > 0 and known.next_order_date is not null
),

final as (
    select
        as_of_date,
        known_before_date,
        customer_id,
        category,
        cast(purchase_day_count as bigint) as purchase_day_count,
        cast(
            {{ dbt.datediff('last_purchase_date', 'known_before_date', 'day') }}
            as integer
        ) as days_since_last,
        {{ rounded_ratio('purchase_span_days', 'purchase_day_count - 1') }} as gap_mean_days,
        cast(order_day_count as bigint) as order_day_count,
        {{ rounded_ratio('order_span_days', 'order_day_count - 1') }} as order_gap_mean_days,
        was_bought_next
    from rhythms
)

select * from final
