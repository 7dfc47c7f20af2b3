{#-
  Common table expressions that end in `product_pairs`, for each as-of date, customer and product bought before the date,
  and `product_rhythms`, for those of them that may be recurring: how often, in which rhythm, and whether the product is
  recurring. `customers` names a relation of as_of_date and customer_id. Recurring is what was bought on enough days at
  even enough intervals (population coefficient of variation), and is not overdue by too many of its intervals;
  dbt_project.yml says how many. Few products of a customer can be: only of those are the intervals looked at.
-#}
{% macro product_rhythms_of(customers) -%}
product_pairs as (
    select
        customers.as_of_date,
        customers.customer_id,
        days.product_id,
        count(*) as row_count,
        min(days.order_date) as first_order_date,
        max(days.order_date) as last_order_date
    from {{ customers }} as customers
    inner join {{ ref('int_customer_product_days') }} as days
        on
            customers.customer_id = days.customer_id
            and days.order_date < customers.as_of_date
    group by
        customers.as_of_date,
        customers.customer_id,
        days.product_id
),

-- Too seldom bought, or overdue even at the fewest intervals that count.
product_candidates as (
    select
        as_of_date,
        customer_id,
        product_id
    from product_pairs
    where
        row_count >= {{ var('recurring_least_days') }}
        and {{ dbt.datediff('last_order_date', 'as_of_date', 'day') }} * ({{ var('recurring_least_days') }} - 1)
        <= ({{ var('recurring_largest_overdue') }} + 1) * {{ dbt.datediff('first_order_date', 'last_order_date', 'day') }}
),

product_gaps as (
    select
        product_candidates.as_of_date,
        product_candidates.customer_id,
        product_candidates.product_id,
        days.order_date,
        {{ dbt.datediff(
            'lag(days.order_date) over (partition by product_candidates.as_of_date, product_candidates.customer_id,'
            ~ ' product_candidates.product_id order by days.order_date)',
            'days.order_date', 'day'
        ) }} as gap_days
    from product_candidates
    inner join {{ ref('int_customer_product_days') }} as days
        on
            product_candidates.customer_id = days.customer_id
            and product_candidates.product_id = days.product_id
            and days.order_date < product_candidates.as_of_date
),

-- Two categories of one day are one purchase day: a gap of 0 days is none.
product_totals as (
    select
        as_of_date,
        customer_id,
        product_id,
        count(*) filter (where gap_days is null or gap_days > 0) as purchase_day_count,
        count(*) filter (where gap_days > 0) as gap_count,
        sum(gap_days) as gap_total,
        sum(gap_days * gap_days) as gap_total_of_squares,
        max(order_date) as last_order_date
    from product_gaps
    group by
        as_of_date,
        customer_id,
        product_id
),

product_variations as (
    select
        *,
        {{ rounded(ratio(
            'sqrt(cast(gap_count * gap_total_of_squares - gap_total * gap_total as double))', 'gap_total'
        )) }} as gap_variation,
        {{ dbt.datediff('last_order_date', 'as_of_date', 'day') }} as days_since_last
    from product_totals
),

-- The next purchase is due an interval after the last one, so overdue by n intervals is n + 1 intervals after it.
product_rhythms as (
    select
        as_of_date,
        customer_id,
        product_id,
        purchase_day_count,
        {{ rounded_ratio('gap_total', 'gap_count') }} as interval_days,
        cast(
            {{ dbt.dateadd(
                'day', 'cast(round(' ~ ratio('gap_total', 'gap_count') ~ ') as integer)', 'last_order_date'
            ) }} as date
        ) as next_due_date,
        coalesce(
            purchase_day_count >= {{ var('recurring_least_days') }}
            and gap_variation <= {{ var('recurring_largest_variation') }}
            and days_since_last * gap_count <= ({{ var('recurring_largest_overdue') }} + 1) * gap_total,
            false
        ) as is_recurring
    from product_variations
)
{%- endmacro %}
