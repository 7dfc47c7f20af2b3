with dates as (
    select * from {{ ref('insight_dates') }}
),

members as (
    select * from {{ ref('insight_members') }}
),

payments as (
    select * from {{ ref('stg_payments') }}
),

due_payments as (
    select
        dates.as_of_date,
        payments.customer_id,
        payments.method,
        payments.amount,
        {{ payment_outcome('payments', 'dates.as_of_date') }} as outcome,
        {{ payment_delay_days('payments', 'dates.as_of_date') }} as delay_days
    from dates
    inner join payments
        on
            payments.due_date < dates.as_of_date
            and payments.due_date >= {{ dbt.dateadd('day', -365, 'dates.as_of_date') }}
),

-- By customer first: a customer is in a segment of every lens.
customer_methods as (
    select
        as_of_date,
        customer_id,
        method,
        count(*) as payment_count,
        sum(amount) as amount,
        count(*) filter (where outcome = 'on_time') as on_time_count,
        count(*) filter (where outcome = 'late') as late_count,
        count(*) filter (where outcome = 'failed') as failed_count,
        count(delay_days) as paid_count,
        sum(delay_days) as delay_total
    from due_payments
    group by
        as_of_date,
        customer_id,
        method
),

methods as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customer_methods.method,
        sum(customer_methods.payment_count) as payment_count,
        sum(customer_methods.amount) as amount,
        sum(customer_methods.on_time_count) as on_time_count,
        sum(customer_methods.late_count) as late_count,
        sum(customer_methods.failed_count) as failed_count,
        sum(customer_methods.paid_count) as paid_count,
        sum(customer_methods.delay_total) as delay_total
    from members
    inner join customer_methods
        on
            members.as_of_date = customer_methods.as_of_date
            and members.customer_id = customer_methods.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customer_methods.method
),

final as (
    select
        as_of_date,
        lens,
        segment_id,
        segment_name,
        method,
        cast(payment_count as bigint) as payment_count,
        {{ rounded_ratio(
            'payment_count', 'sum(payment_count) over (partition by as_of_date, lens, segment_id)'
        ) }} as payment_share,
        cast(amount as decimal(18, 2)) as amount,
        {{ rounded_ratio('on_time_count', 'payment_count') }} as on_time_share,
        {{ rounded_ratio('late_count', 'payment_count') }} as late_share,
        {{ rounded_ratio('failed_count', 'payment_count') }} as failed_share,
        {{ rounded_ratio('delay_total', 'paid_count') }} as delay_days_mean
    from methods
)

select * from final
