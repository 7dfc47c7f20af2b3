-- What the forecast of the next category is made from: what was known at the as-of date, and what was known 90 days
-- earlier of the customers who have ordered since, with what came next of it.
with as_of_dates as (
    select * from {{ ref('int_as_of_dates') }}
),

cuts as (
    select
        as_of_date,
        as_of_date as known_before_date
    from as_of_dates
    union all
    select
        as_of_date,
        {{ dbt.dateadd('day', -90, 'as_of_date') }} as known_before_date
    from as_of_dates
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
        cuts.as_of_date,
        cast(cuts.known_before_date as date) as known_before_date,
        category_days.customer_id,
        category_days.category,
        count(*) as purchase_day_count,
        min(category_days.order_date) as first_purchase_date,
        max(category_days.order_date) as last_purchase_date
    from cuts
    inner join category_days on category_days.order_date < cuts.known_before_date
    group by
        cuts.as_of_date,
        cuts.known_before_date,
        category_days.customer_id,
        category_days.category
),

rhythms as (
    select
        *,
        {{ dbt.datediff('first_purchase_date', 'last_purchase_date', 'day') }}
            as purchase_span_days
    from purchases
),

order_days as (
    select
        cuts.as_of_date,
        cast(cuts.known_before_date as date) as known_before_date,
        customer_days.customer_id,
        count(*) filter (where customer_days.order_date < cuts.known_before_date) as order_day_count,
        min(customer_days.order_date) as first_order_date,
        max(case when customer_days.order_date < cuts.known_before_date then customer_days.order_date end)
            as last_order_date,
        min(case when customer_days.order_date >= cuts.known_before_date then customer_days.order_date end)
            as next_order_date
    from cuts
    inner join customer_days on customer_days.order_date < cuts.as_of_date
    group by
        cuts.as_of_date,
        cuts.known_before_date,
        customer_days.customer_id
),

customers as (
    select
        *,
        {{ dbt.datediff('first_order_date', 'last_order_date', 'day') }}
            as order_span_days
    from order_days
),

final as (
    select
        rhythms.as_of_date,
        rhythms.known_before_date,
        rhythms.customer_id,
        rhythms.category,
        cast(rhythms.purchase_day_count as bigint) as purchase_day_count,
        cast(
            {{ dbt.datediff('rhythms.last_purchase_date', 'rhythms.known_before_date', 'day') }}
            as integer
        ) as days_since_last,
        {{ rounded_ratio('rhythms.purchase_span_days', 'rhythms.purchase_day_count - 1') }} as gap_mean_days,
        cast(customers.order_day_count as bigint) as order_day_count,
        {{ rounded_ratio('customers.order_span_days', 'customers.order_day_count - 1') }} as order_gap_mean_days,
        case
            when rhythms.known_before_date < rhythms.as_of_date then next_days.category is not null
        end as was_bought_next
    from rhythms
    inner join customers
        on
            rhythms.as_of_date = customers.as_of_date
            and rhythms.known_before_date = customers.known_before_date
            and rhythms.customer_id = customers.customer_id
    left join category_days as next_days
        on
            customers.customer_id = next_days.customer_id
            and customers.next_order_date = next_days.order_date
            and rhythms.category = next_days.category
    where rhythms.known_before_date = rhythms.as_of_date or customers.next_order_date is not null
)

select * from final
