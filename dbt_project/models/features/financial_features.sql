with scope as (
    select * from {{ ref('int_scope') }}
),

-- Who bought before the date is in scope: what customers did is added up first, and looked up for the scope then.
as_of_dates as (
    select distinct as_of_date
    from scope
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

payments as (
    select * from {{ ref('stg_payments') }}
),

credit as (
    select * from {{ ref('stg_credit') }}
),

spending_days as (
    select
        as_of_dates.as_of_date,
        customer_days.customer_id,
        customer_days.order_count,
        customer_days.gross_amount,
        customer_days.discount_amount,
        customer_days.net_amount,
        customer_days.largest_order_amount,
        customer_days.cost_amount,
        customer_days.costed_net_amount,
        {{ dbt.datediff('customer_days.order_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
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
        max(largest_order_amount) as largest_order_amount,
        sum(cost_amount) as cost_amount,
        sum(costed_net_amount) as costed_net_amount,
        -- Of a day both are known or neither is.
        sum(costed_net_amount - cost_amount) as margin_amount,
        sum(costed_net_amount - cost_amount) filter (where days_ago <= 365) as margin_amount_365d
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
        floor({{ ratio('days_ago - 1', 30) }}) as window_number,
        sum(net_amount) as net_amount
    from spending_days
    where days_ago <= 360
    group by
        as_of_date,
        customer_id,
        floor({{ ratio('days_ago - 1', 30) }})
),

window_sums as (
    select
        as_of_date,
        customer_id,
        sum(net_amount) as total,
        sum({{ exact_square('net_amount', 2) }}) as total_of_squares
    from windows
    group by
        as_of_date,
        customer_id
),

-- Standard deviation over mean, written with sums that are exact: sqrt(n Σx² − (Σx)²) / Σx.
volatilities as (
    select
        window_sums.as_of_date,
        window_sums.customer_id,
        {{ rounded(ratio(
            'sqrt(greatest(scope.lived_window_count * cast(window_sums.total_of_squares as double)'
            ~ ' - cast(window_sums.total as double) * cast(window_sums.total as double), 0))',
            'window_sums.total'
        )) }} as spend_volatility
    from scope
    inner join window_sums
        on
            scope.as_of_date = window_sums.as_of_date
            and scope.customer_id = window_sums.customer_id
),

due_payments as (
    select
        as_of_dates.as_of_date,
        payments.customer_id,
        payments.method,
        payments.amount,
        {{ payment_outcome('payments', 'as_of_dates.as_of_date') }} as outcome,
        {{ payment_delay_days('payments', 'as_of_dates.as_of_date') }} as delay_days
    from as_of_dates
    inner join payments on payments.due_date < as_of_dates.as_of_date
),

payment_totals as (
    select
        as_of_date,
        customer_id,
        count(*) as payment_count,
        count(*) filter (where outcome = 'on_time') as on_time_count,
        count(*) filter (where outcome = 'late') as late_count,
        count(*) filter (where outcome = 'failed') as failed_count,
        count(delay_days) as paid_count,
        sum(delay_days) as delay_total,
        sum(delay_days * delay_days) as delay_total_of_squares,
        sum(amount) filter (where outcome = 'late' and delay_days is null) as overdue_amount
    from due_payments
    group by
        as_of_date,
        customer_id
),

methods as (
    select
        as_of_date,
        customer_id,
        method,
        count(*) as method_count,
        sum(count(*)) over (partition by as_of_date, customer_id) as known_count,
        row_number() over (
            partition by as_of_date, customer_id
            order by count(*) desc, method asc
        ) as method_rank
    from due_payments
    where method != 'unknown'
    group by
        as_of_date,
        customer_id,
        method
),

credit_days as (
    select
        scope.as_of_date,
        scope.customer_id,
        credit.limit_amount,
        credit.balance_amount,
        credit.external_score,
        row_number() over (
            partition by scope.as_of_date, scope.customer_id
            order by credit.credit_date desc
        ) as day_rank
    from scope
    inner join credit
        on
            scope.customer_id = credit.customer_id
            and credit.credit_date < scope.as_of_date
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
        ) }} as spend_trend_90d,
        cast(coalesce(totals.cost_amount, 0) as decimal(18, 2)) as cost_amount,
        cast(totals.margin_amount as decimal(18, 2)) as margin_amount,
        cast(totals.margin_amount_365d as decimal(18, 2)) as margin_amount_365d,
        {{ rounded_ratio('totals.margin_amount', 'totals.costed_net_amount') }} as margin_share,
        cast(credit_days.limit_amount as decimal(18, 2)) as credit_limit_amount,
        cast(credit_days.balance_amount as decimal(18, 2)) as credit_balance_amount,
        {{ rounded_ratio('credit_days.balance_amount', 'credit_days.limit_amount') }} as credit_utilisation_share,
        cast(credit_days.external_score as integer) as external_credit_score,
        case
            when credit_days.external_score between 300 and 579 then '300-579'
            when credit_days.external_score between 580 and 669 then '580-669'
            when credit_days.external_score between 670 and 739 then '670-739'
            when credit_days.external_score between 740 and 799 then '740-799'
            when credit_days.external_score between 800 and 850 then '800-850'
            when credit_days.external_score is not null then 'other'
        end as credit_score_band,
        cast(coalesce(payment_totals.payment_count, 0) as bigint) as payment_count,
        {{ rounded_ratio('payment_totals.on_time_count', 'payment_totals.payment_count') }} as payment_on_time_share,
        {{ rounded_ratio('payment_totals.late_count', 'payment_totals.payment_count') }} as payment_late_share,
        {{ rounded_ratio('payment_totals.failed_count', 'payment_totals.payment_count') }} as payment_failed_share,
        {{ rounded_ratio('payment_totals.delay_total', 'payment_totals.paid_count') }} as payment_delay_days_mean,
        {{ rounded_ratio(
            'sqrt(cast(payment_totals.paid_count * payment_totals.delay_total_of_squares'
            ~ ' - payment_totals.delay_total * payment_totals.delay_total as double))',
            'payment_totals.paid_count'
        ) }} as payment_delay_days_deviation,
        cast(coalesce(payment_totals.overdue_amount, 0) as decimal(18, 2)) as overdue_amount,
        methods.method as favourite_payment_method,
        {{ rounded_ratio('methods.method_count', 'methods.known_count') }} as favourite_payment_method_share
    from scope
    left join totals
        on
            scope.as_of_date = totals.as_of_date
            and scope.customer_id = totals.customer_id
    left join volatilities
        on
            scope.as_of_date = volatilities.as_of_date
            and scope.customer_id = volatilities.customer_id
    left join payment_totals
        on
            scope.as_of_date = payment_totals.as_of_date
            and scope.customer_id = payment_totals.customer_id
    left join methods
        on
            scope.as_of_date = methods.as_of_date
            and scope.customer_id = methods.customer_id
            and methods.method_rank = 1
    left join credit_days
        on
            scope.as_of_date = credit_days.as_of_date
            and scope.customer_id = credit_days.customer_id
            and credit_days.day_rank = 1
)

select * from final
