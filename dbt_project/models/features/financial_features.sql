with scope as (
    select * from {{ ref('int_scope') }}
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

spending_days as (
    select
        scope.as_of_date,
        scope.customer_id,
        scope.lived_window_count,
        customer_days.order_count,
        customer_days.gross_amount,
        customer_days.discount_amount,
        customer_days.net_amount,
        customer_days.largest_order_amount,
        {{ dbt.datediff('customer_days.order_date', 'scope.as_of_date', 'day') }}
            as days_ago
    from scope
    inner join customer_days
        on
            scope.customer_id = customer_days.customer_id
            and customer_days.order_date < scope.as_of_date
),

totals as (
    select
        as_of_date,
        customer_id,
        sum(order_count) as order_count,
        sum(net_amount) as spend_amount,
        sum(net_amount) filter (where days_ago <= 30) as spend_amount_30d,
        sum(net_amount) filter (where days_ago <= 90) as spend_amount_90d,
        sum(net_amount) filter (where days_ago > 90 and days_ago <= 180) as spend_amount_previous_90d,
        sum(net_amount) filter (where days_ago <= 365) as spend_amount_365d,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        max(largest_order_amount) as largest_order_amount
    from spending_days
    group by
        as_of_date,
        customer_id
),

-- Window 0 is the 30 days before the as-of date, window 1 the 30 days before these, …
windows as (
    select
        as_of_date,
        customer_id,
        lived_window_count,
        floor({{ ratio('days_ago - 1', 30) }}) as window_number,
        sum(net_amount) as net_amount
    from spending_days
    where days_ago <= 360
    group by
        as_of_date,
        customer_id,
        lived_window_count,
        floor({{ ratio('days_ago - 1', 30) }})
),

window_sums as (
    select
        as_of_date,
        customer_id,
        lived_window_count,
        sum(net_amount) as total,
        sum({{ exact_square('net_amount', 2) }}) as total_of_squares
    from windows
    group by
        as_of_date,
        customer_id,
        lived_window_count
),

-- Standard deviation over mean, written with sums that are exact: sqrt(n Σx² − (Σx)²) / Σx.
volatilities as (
    select
        as_of_date,
        customer_id,
        {{ rounded(ratio(
            'sqrt(greatest(lived_window_count * cast(total_of_squares as double) - cast(total as double) * cast(total as double), 0))',
            'total'
        )) }} as spend_volatility
    from window_sums
),

final as (
    select
        scope.as_of_date,
        scope.customer_id,
        cast(coalesce(totals.spend_amount, 0) as decimal(18, 2)) as spend_amount,
        cast(coalesce(totals.spend_amount_30d, 0) as decimal(18, 2)) as spend_amount_30d,
        cast(coalesce(totals.spend_amount_90d, 0) as decimal(18, 2)) as spend_amount_90d,
        cast(coalesce(totals.spend_amount_365d, 0) as decimal(18, 2)) as spend_amount_365d,
        cast(coalesce(totals.gross_amount, 0) as decimal(18, 2)) as gross_amount,
        cast(coalesce(totals.discount_amount, 0) as decimal(18, 2)) as discount_amount,
        {{ rounded_ratio('totals.discount_amount', 'totals.gross_amount') }} as discount_share,
        {{ money_ratio('totals.spend_amount', 'totals.order_count') }} as average_order_amount,
        cast(totals.largest_order_amount as decimal(18, 2)) as largest_order_amount,
        volatilities.spend_volatility,
        {{ rounded_ratio(
            'coalesce(totals.spend_amount_90d, 0) - coalesce(totals.spend_amount_previous_90d, 0)',
            'coalesce(totals.spend_amount_90d, 0) + coalesce(totals.spend_amount_previous_90d, 0)'
        ) }} as spend_trend_90d
    from scope
    left join totals
        on
            scope.as_of_date = totals.as_of_date
            and scope.customer_id = totals.customer_id
    left join volatilities
        on
            scope.as_of_date = volatilities.as_of_date
            and scope.customer_id = volatilities.customer_id
)

select * from final
