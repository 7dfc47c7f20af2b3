with scope as (
    select * from {{ ref('int_scope') }}
),

customer_days as (
    select
        *,
        {{ dbt.datediff(
            'lag(order_date) over (partition by customer_id order by order_date)', 'order_date', 'day'
        ) }} as gap_days
    from {{ ref('int_customer_days') }}
),

customer_product_days as (
    select * from {{ ref('int_customer_product_days') }}
),

order_days as (
    select
        scope.as_of_date,
        customer_days.*,
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
        sum(order_count) filter (where days_ago <= 30) as order_count_30d,
        sum(order_count) filter (where days_ago <= 90) as order_count_90d,
        sum(order_count) filter (where days_ago <= 365) as order_count_365d,
        sum(order_count) filter (where {{ is_weekend('order_date') }}) as weekend_order_count,
        sum(item_count) as item_count,
        sum(line_count) as line_count,
        sum(discounted_line_count) as discounted_line_count,
        sum(net_amount) as net_amount,
        sum(private_label_amount) as private_label_amount,
        count(*) as order_day_count,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        count(gap_days) as gap_count,
        sum(gap_days) as gap_total,
        sum(gap_days * gap_days) as gap_total_of_squares
    from order_days
    group by
        as_of_date,
        customer_id
),

products as (
    select
        scope.as_of_date,
        scope.customer_id,
        count(distinct customer_product_days.product_id) as product_count,
        count(distinct customer_product_days.category) as category_count
    from scope
    inner join customer_product_days
        on
            scope.customer_id = customer_product_days.customer_id
            and customer_product_days.order_date < scope.as_of_date
    group by
        scope.as_of_date,
        scope.customer_id
),

categories as (
    select
        scope.as_of_date,
        scope.customer_id,
        customer_product_days.category,
        sum(customer_product_days.net_amount) as category_amount
    from scope
    inner join customer_product_days
        on
            scope.customer_id = customer_product_days.customer_id
            and customer_product_days.order_date < scope.as_of_date
    group by
        scope.as_of_date,
        scope.customer_id,
        customer_product_days.category
),

ranked_categories as (
    select
        *,
        row_number() over (
            partition by as_of_date, customer_id
            order by category_amount desc, category asc
        ) as category_rank
    from categories
),

final as (
    select
        scope.as_of_date,
        scope.customer_id,
        cast(coalesce(totals.order_count, 0) as bigint) as order_count,
        cast(coalesce(totals.order_count_30d, 0) as bigint) as order_count_30d,
        cast(coalesce(totals.order_count_90d, 0) as bigint) as order_count_90d,
        cast(coalesce(totals.order_count_365d, 0) as bigint) as order_count_365d,
        cast(coalesce(totals.order_day_count, 0) as bigint) as order_day_count,
        cast(coalesce(totals.item_count, 0) as bigint) as item_count,
        cast(coalesce(totals.line_count, 0) as bigint) as line_count,
        cast(coalesce(products.product_count, 0) as bigint) as product_count,
        cast(coalesce(products.category_count, 0) as bigint) as category_count,
        totals.first_order_date,
        totals.last_order_date,
        cast(
            {{ dbt.datediff('totals.last_order_date', 'scope.as_of_date', 'day') }}
            as integer
        ) as recency_days,
        {{ rounded_ratio('totals.item_count', 'totals.order_count') }} as items_per_order,
        case when totals.net_amount > 0 then ranked_categories.category end as favourite_category,
        {{ rounded_ratio('ranked_categories.category_amount', 'totals.net_amount') }} as favourite_category_share,
        {{ rounded_ratio('totals.private_label_amount', 'totals.net_amount') }} as private_label_share,
        {{ rounded_ratio('totals.discounted_line_count', 'totals.line_count') }} as discounted_line_share,
        {{ rounded_ratio('totals.gap_total', 'totals.gap_count') }} as interpurchase_days_mean,
        -- Standard deviation over mean of the gaps, from integer sums; one gap has no spread to speak of.
        case
            when totals.gap_count >= 2
                then {{ rounded(ratio(
                    'sqrt(cast(totals.gap_count * totals.gap_total_of_squares - totals.gap_total * totals.gap_total as double))',
                    'totals.gap_total'
                )) }}
        end as interpurchase_days_cv,
        {{ rounded_ratio('coalesce(totals.weekend_order_count, 0)', 'totals.order_count') }} as weekend_order_share
    from scope
    left join totals
        on
            scope.as_of_date = totals.as_of_date
            and scope.customer_id = totals.customer_id
    left join products
        on
            scope.as_of_date = products.as_of_date
            and scope.customer_id = products.customer_id
    left join ranked_categories
        on
            scope.as_of_date = ranked_categories.as_of_date
            and scope.customer_id = ranked_categories.customer_id
            and ranked_categories.category_rank = 1
)

select * from final
