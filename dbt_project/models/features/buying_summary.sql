-- What the forecast of purchases is fitted on. A day with several orders is one occasion.
with as_of_dates as (
    select * from {{ ref('int_as_of_dates') }}
),

customer_days as (
    select
        customer_id,
        order_date,
        net_amount,
        row_number() over (partition by customer_id order by order_date) as order_day_number
    from {{ ref('int_customer_days') }}
),

totals as (
    select
        as_of_dates.as_of_date,
        customer_days.customer_id,
        count(*) - 1 as repeat_day_count,
        min(customer_days.order_date) as first_order_date,
        max(customer_days.order_date) as last_order_date,
        sum(customer_days.net_amount) filter (where customer_days.order_day_number > 1) as repeat_day_amount
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        customer_days.customer_id
),

final as (
    select
        as_of_date,
        customer_id,
        cast(repeat_day_count as bigint) as repeat_day_count,
        cast(
            {{ dbt.datediff('first_order_date', 'last_order_date', 'day') }}
            as integer
        ) as first_to_last_days,
        cast(
            {{ dbt.datediff('first_order_date', 'as_of_date', 'day') }}
            as integer
        ) as age_days,
        {{ money_ratio('repeat_day_amount', 'repeat_day_count') }} as repeat_day_spend_mean_amount,
        cast(
            {{ dbt.datediff('last_order_date', 'as_of_date', 'day') }}
            as integer
        ) as last_order_days_ago
    from totals
)

select * from final
