with members as (
    select * from {{ ref('insight_members') }}
),

history as (
    select min(order_date) as first_order_date
    from {{ ref('int_customer_product_days') }}
),

-- Whole months alone: one that the as-of date cuts, or in which the history begins, would look like a slump.
first_months as (
    select
        dates.as_of_date,
        cast({{ dbt.date_trunc('month', 'dates.as_of_date') }} as date) as month_under_way,
        greatest(
            cast({{ dbt.dateadd('month', -24, dbt.date_trunc('month', 'dates.as_of_date')) }} as date),
            cast({{ dbt.date_trunc(
                'month', dbt.dateadd('month', 1, dbt.dateadd('day', -1, 'history.first_order_date'))
            ) }} as date)
        ) as first_month
    from {{ ref('insight_dates') }} as dates
    cross join history
),

spans as (
    select
        *,
        (extract(year from month_under_way) - extract(year from first_month)) * 12
        + extract(month from month_under_way) - extract(month from first_month) as month_count
    from first_months
),

bought as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        spans.month_count,
        days.category,
        cast({{ dbt.date_trunc('month', 'days.order_date') }} as date) as month,
        sum(days.net_amount) as net_amount,
        sum(days.item_count) as item_count,
        count(distinct days.customer_id) as customer_count
    from members
    inner join spans on members.as_of_date = spans.as_of_date
    inner join {{ ref('int_customer_product_days') }} as days
        on
            members.customer_id = days.customer_id
            and days.order_date >= spans.first_month
            and days.order_date < spans.month_under_way
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        spans.month_count,
        days.category,
        cast({{ dbt.date_trunc('month', 'days.order_date') }} as date)
),

totals as (
    select
        *,
        sum(net_amount) over (partition by as_of_date, lens, segment_id, category) as total_net_amount
    from bought
),

final as (
    select
        this_year.as_of_date,
        this_year.lens,
        this_year.segment_id,
        this_year.segment_name,
        this_year.category,
        this_year.month,
        cast(this_year.net_amount as decimal(18, 2)) as net_amount,
        cast(this_year.item_count as bigint) as item_count,
        this_year.customer_count,
        -- A month in which nothing was sold has no row, but counts in the mean.
        {{ rounded_ratio('this_year.net_amount * this_year.month_count', 'this_year.total_net_amount') }}
            as seasonality_index,
        {{ rounded_ratio('this_year.net_amount - last_year.net_amount', 'last_year.net_amount') }}
            as growth_against_previous_year
    from totals as this_year
    left join totals as last_year
        on
            this_year.as_of_date = last_year.as_of_date
            and this_year.lens = last_year.lens
            and this_year.segment_id = last_year.segment_id
            and this_year.category = last_year.category
            and cast({{ dbt.dateadd('month', -12, 'this_year.month') }} as date) = last_year.month
)

select * from final
