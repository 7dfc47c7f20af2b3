{#-
  Common table expressions that end in `product_rhythms`: for each as-of date, customer and product bought before the
  date how often, in which rhythm, and whether the product is recurring. `customers` names a relation of as_of_date
  and customer_id. Recurring is what was bought on enough days at even enough intervals (population coefficient of
  variation), and is not overdue by too many of its intervals; dbt_project.yml says how many.
-#}
{% macro product_rhythms_of(customers) -%}
product_gaps as (
    select
        customer_id,
        product_id,
        order_date,
        {{ dbt.datediff(
            'lag(order_date) over (partition by customer_id, product_id order by order_date)', 'order_date', 'day'
        ) }} as gap_days
    from {{ ref('int_customer_product_days') }}
),

-- Two categories of one day are one purchase day: a gap of 0 days is none.
product_totals as (
    select
        customers.as_of_date,
        customers.customer_id,
        product_gaps.product_id,
        count(*) filter (where product_gaps.gap_days is null or product_gaps.gap_days > 0) as purchase_day_count,
        count(*) filter (where product_gaps.gap_days > 0) as gap_count,
        sum(product_gaps.gap_days) as gap_total,
        sum(product_gaps.gap_days * product_gaps.gap_days) as gap_total_of_squares,
        max(product_gaps.order_date) as last_order_date
    from {{ customers }} as customers
    inner join product_gaps
        on
            customers.customer_id = product_gaps.customer_id
            and product_gaps.order_date < customers.as_of_date
    group by
        customers.as_of_date,
        customers.customer_id,
        product_gaps.product_id
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
