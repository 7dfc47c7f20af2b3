-- What the forecast of demand is fitted on: whole months, and the months in which a known category sold nothing.
{% set longest_history_months = 1200 %}

with as_of_dates as (
    select * from {{ ref('int_as_of_dates') }}
),

category_days as (
    select
        *,
        {{ month_of('order_date') }} as month
    from {{ ref('int_category_days') }}
),

-- The day before the first sale nobody was looking: a month in which the history began is half a month.
known_months as (
    select
        as_of_dates.as_of_date,
        case
            when {{ month_of('min(category_days.order_date)') }} = min(category_days.order_date)
                then min(category_days.order_date)
            else {{ months_later(1, month_of('min(category_days.order_date)')) }}
        end as first_month,
        {{ months_later(-1, month_of('as_of_dates.as_of_date')) }} as last_month
    from as_of_dates
    inner join category_days on category_days.order_date < as_of_dates.as_of_date
    group by as_of_dates.as_of_date
),

numbers as (
    {{ dbt.generate_series(longest_history_months) }}
),

months as (
    select
        known_months.as_of_date,
        {{ months_later('numbers.generated_number - 1', 'known_months.first_month') }} as month
    from known_months
    inner join numbers
        on {{ months_later('numbers.generated_number - 1', 'known_months.first_month') }} <= known_months.last_month
),

categories as (
    select
        as_of_dates.as_of_date,
        category_days.category,
        min(category_days.month) as first_month
    from as_of_dates
    inner join category_days on category_days.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        category_days.category
),

month_totals as (
    select
        category,
        month,
        sum(net_amount) as net_amount,
        sum(item_count) as item_count,
        sum(order_count) as order_count
    from category_days
    group by
        category,
        month
),

-- A day on which a customer bought several products of a category is one.
purchase_days as (
    select distinct
        customer_id,
        order_date,
        category
    from {{ ref('int_customer_product_days') }}
),

purchase_months as (
    select
        category,
        {{ month_of('order_date') }} as {{ adapter.quote("month") }},
        count(*) as purchase_day_count
    from purchase_days
    group by
        category,
        {{ month_of('order_date') }}
),

order_months as (
    select
        {{ month_of('order_date') }} as {{ adapter.quote("month") }},
        count(*) as order_day_count
    from {{ ref('int_customer_days') }}
    group by {{ month_of('order_date') }}
),

final as (
    select
        months.as_of_date,
        categories.category,
        months.month,
        cast(coalesce(month_totals.net_amount, 0) as decimal(18, 2)) as net_amount,
        cast(coalesce(month_totals.item_count, 0) as bigint) as item_count,
        cast(coalesce(month_totals.order_count, 0) as bigint) as order_count,
        cast(coalesce(purchase_months.purchase_day_count, 0) as bigint) as purchase_day_count,
        cast(coalesce(order_months.order_day_count, 0) as bigint) as all_order_day_count
    from months
    inner join categories
        on
            months.as_of_date = categories.as_of_date
            and months.month >= categories.first_month
    left join month_totals
        on
            categories.category = month_totals.category
            and months.month = month_totals.month
    left join purchase_months
        on
            categories.category = purchase_months.category
            and months.month = purchase_months.month
    left join order_months on months.month = order_months.month
)

select * from final
