{# Months of 30 days since a customer was first seen; what comes later than two years is left out. #}
{% set most_months = 24 %}

with members as (
    select * from {{ ref('insight_members') }}
),

dates as (
    select * from {{ ref('insight_dates') }}
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

months as (
    {% for month in range(most_months) %}
    select cast({{ month }} as integer) as months_since
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
),

-- Before the first order that the source knows, nobody was looking who ordered.
history as (
    select min(order_date) as begins_on from customer_days
),

customers as (
    select
        engagement.as_of_date,
        engagement.customer_id,
        engagement.first_seen_date,
        cast({{ dbt.date_trunc('month', 'engagement.first_seen_date') }} as date) as cohort_month,
        cast(least(floor({{ ratio('engagement.tenure_days', 30) }}), {{ most_months }}) as integer)
            as complete_month_count,
        cast(greatest(
            ceil({{ ratio(dbt.datediff('engagement.first_seen_date', 'history.begins_on', 'day'), 30) }}), 0
        ) as integer) as unseen_month_count
    from {{ source('promoted', 'engagement_features') }} as engagement
    inner join dates on engagement.as_of_date = dates.as_of_date
    cross join history
),

order_days as (
    select
        customers.as_of_date,
        customers.customer_id,
        customers.complete_month_count,
        customers.unseen_month_count,
        {{ dbt.datediff('customers.first_seen_date', 'customer_days.order_date', 'day') }}
            as days_since
    from customers
    inner join customer_days
        on
            customers.customer_id = customer_days.customer_id
            and customer_days.order_date < customers.as_of_date
),

active_months as (
    select distinct
        as_of_date,
        customer_id,
        complete_month_count,
        unseen_month_count,
        cast(floor({{ ratio('days_since', 30) }}) as integer) as months_since
    from order_days
),

-- Of a source without orders nothing is known that could be called staying or leaving.
order_dates as (
    select distinct as_of_date from active_months
),

cohorts as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.cohort_month,
        customers.complete_month_count,
        customers.unseen_month_count,
        count(*) as customer_count
    from members
    inner join order_dates on members.as_of_date = order_dates.as_of_date
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        customers.cohort_month,
        customers.complete_month_count,
        customers.unseen_month_count
),

cohort_months as (
    select
        cohorts.as_of_date,
        cohorts.lens,
        cohorts.segment_id,
        cohorts.segment_name,
        cohorts.cohort_month,
        months.months_since,
        sum(cohorts.customer_count) as customer_count
    from cohorts
    inner join months
        on
            cohorts.complete_month_count > months.months_since
            and cohorts.unseen_month_count <= months.months_since
    group by
        cohorts.as_of_date,
        cohorts.lens,
        cohorts.segment_id,
        cohorts.segment_name,
        cohorts.cohort_month,
        months.months_since
),

active_cohort_months as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        customers.cohort_month,
        active_months.months_since,
        count(*) as active_count
    from members
    inner join customers
        on
            members.as_of_date = customers.as_of_date
            and members.customer_id = customers.customer_id
    inner join active_months
        on
            members.as_of_date = active_months.as_of_date
            and members.customer_id = active_months.customer_id
            and active_months.months_since < active_months.complete_month_count
            and active_months.months_since >= active_months.unseen_month_count
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        customers.cohort_month,
        active_months.months_since
),

final as (
    select
        cohort_months.as_of_date,
        cohort_months.lens,
        cohort_months.segment_id,
        cohort_months.segment_name,
        cohort_months.cohort_month,
        cohort_months.months_since,
        cast(cohort_months.customer_count as bigint) as customer_count,
        cast(coalesce(active_cohort_months.active_count, 0) as bigint) as active_count,
        {{ rounded_ratio('coalesce(active_cohort_months.active_count, 0)', 'cohort_months.customer_count') }}
            as retention_rate
    from cohort_months
    left join active_cohort_months
        on
            cohort_months.as_of_date = active_cohort_months.as_of_date
            and cohort_months.lens = active_cohort_months.lens
            and cohort_months.segment_id = active_cohort_months.segment_id
            and cohort_months.cohort_month = active_cohort_months.cohort_month
            and cohort_months.months_since = active_cohort_months.months_since
)

select * from final
