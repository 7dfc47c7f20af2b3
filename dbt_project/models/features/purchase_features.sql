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

order_gaps as (
    select
        customer_id,
        order_date,
        {{ dbt.datediff(
            'lag(order_date) over (partition by customer_id order by order_date)', 'order_date', 'day'
        ) }} as gap_days
    from {{ ref('int_customer_days') }}
),

customer_product_days as (
    select * from {{ ref('int_customer_product_days') }}
),

order_event_days as (
    select * from {{ ref('int_customer_order_event_days') }}
),

order_days as (
    select
        as_of_dates.as_of_date,
        customer_days.*,
        {{ dbt.datediff('customer_days.order_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_days on customer_days.order_date < as_of_dates.as_of_date
),

gaps as (
    select
        as_of_dates.as_of_date,
        order_gaps.customer_id,
        count(order_gaps.gap_days) as gap_count,
        sum(order_gaps.gap_days) as gap_total,
        sum(order_gaps.gap_days * order_gaps.gap_days) as gap_total_of_squares
    from as_of_dates
    inner join order_gaps on order_gaps.order_date < as_of_dates.as_of_date
    group by
        as_of_dates.as_of_date,
        order_gaps.customer_id
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
        sum(subscription_order_count) as subscription_order_count,
        count(*) as order_day_count,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date
    from order_days
    group by
        as_of_date,
        customer_id
),

order_events as (
    select
        scope.as_of_date,
        scope.customer_id,
        sum(order_event_days.returned_item_count) as returned_item_count,
        sum(order_event_days.returned_amount) as returned_amount,
        sum(order_event_days.cancelled_order_count) as cancelled_order_count
    from scope
    inner join order_event_days
        on
            scope.customer_id = order_event_days.customer_id
            and order_event_days.event_date < scope.as_of_date
    group by
        scope.as_of_date,
        scope.customer_id
),

-- Meteorological seasons: winter is December to February.
seasons as (
    select
        as_of_date,
        customer_id,
        sum(net_amount) as spend_amount,
        coalesce(sum(net_amount) filter (where extract(month from order_date) in (12, 1, 2)), 0) as winter_amount,
        coalesce(sum(net_amount) filter (where extract(month from order_date) in (3, 4, 5)), 0) as spring_amount,
        coalesce(sum(net_amount) filter (where extract(month from order_date) in (6, 7, 8)), 0) as summer_amount,
        coalesce(sum(net_amount) filter (where extract(month from order_date) in (9, 10, 11)), 0) as autumn_amount
    from order_days
    where days_ago <= 365
    group by
        as_of_date,
        customer_id
),

{{ product_rhythms_of('scope') }},

products as (
    select
        as_of_date,
        customer_id,
        count(*) as product_count
    from product_pairs
    group by
        as_of_date,
        customer_id
),

ranked_recurring as (
    select
        *,
        row_number() over (
            partition by as_of_date, customer_id
            order by purchase_day_count desc, product_id asc
        ) as product_rank,
        count(*) over (partition by as_of_date, customer_id) as product_count
    from product_rhythms
    where is_recurring
),

category_days as (
    select
        as_of_dates.as_of_date,
        customer_product_days.customer_id,
        customer_product_days.category,
        customer_product_days.item_count,
        customer_product_days.gross_amount,
        customer_product_days.net_amount,
        {{ dbt.datediff('customer_product_days.order_date', 'as_of_dates.as_of_date', 'day') }}
            as days_ago
    from as_of_dates
    inner join customer_product_days on customer_product_days.order_date < as_of_dates.as_of_date
),

categories as (
    select
        as_of_date,
        customer_id,
        category,
        sum(net_amount) as category_amount,
        sum(net_amount) filter (where days_ago <= 365) as net_amount_365d,
        sum(gross_amount) filter (where days_ago <= 365) as gross_amount_365d,
        sum(item_count) filter (where days_ago <= 365) as item_count_365d
    from category_days
    group by
        as_of_date,
        customer_id,
        category
),

category_totals as (
    select
        as_of_date,
        customer_id,
        count(*) as category_count,
        sum(net_amount_365d) as net_amount_365d
    from categories
    group by
        as_of_date,
        customer_id
),

-- What all customers together bought of a category in the last 365 days.
market as (
    select
        as_of_date,
        category,
        {{ ratio('sum(net_amount_365d)', 'sum(sum(net_amount_365d)) over (partition by as_of_date)') }}
            as market_share,
        {{ ratio('sum(gross_amount_365d)', 'sum(item_count_365d)') }} as market_price
    from categories
    group by
        as_of_date,
        category
),

-- Two mixes lie as far apart as the part of the one that the other does not share: ½ Σ|a − b| = 1 − Σ min(a, b).
-- Doubles become decimals before they are added: equal whatever the order in which rows are read.
against_market as (
    select
        categories.as_of_date,
        categories.customer_id,
        sum(cast({{ rounded_to(
            'least(' ~ ratio('categories.net_amount_365d', 'category_totals.net_amount_365d') ~ ', market.market_share)', 12
        ) }} as decimal(18, 12))) as shared_mix,
        sum(categories.gross_amount_365d) as gross_amount,
        sum(cast({{ rounded_to('categories.item_count_365d * market.market_price', 9) }} as decimal(28, 9)))
            as gross_at_market_prices
    from categories
    inner join category_totals
        on
            categories.as_of_date = category_totals.as_of_date
            and categories.customer_id = category_totals.customer_id
    inner join market
        on
            categories.as_of_date = market.as_of_date
            and categories.category = market.category
    where categories.item_count_365d > 0
    group by
        categories.as_of_date,
        categories.customer_id
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
        cast(coalesce(category_totals.category_count, 0) as bigint) as category_count,
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
        {{ rounded_ratio('gaps.gap_total', 'gaps.gap_count') }} as interpurchase_days_mean,
        -- Standard deviation over mean of the gaps, from integer sums; one gap has no spread to speak of.
        case
            when gaps.gap_count >= 2
                then {{ rounded(ratio(
                    'sqrt(cast(gaps.gap_count * gaps.gap_total_of_squares - gaps.gap_total * gaps.gap_total as double))',
                    'gaps.gap_total'
                )) }}
        end as interpurchase_days_cv,
        {{ rounded_ratio('coalesce(totals.weekend_order_count, 0)', 'totals.order_count') }} as weekend_order_share,
        cast(coalesce(order_events.returned_item_count, 0) as bigint) as returned_item_count,
        cast(coalesce(order_events.returned_amount, 0) as decimal(18, 2)) as returned_amount,
        {{ rounded_ratio('coalesce(order_events.returned_item_count, 0)', 'totals.item_count') }} as return_rate,
        cast(coalesce(order_events.cancelled_order_count, 0) as bigint) as cancelled_order_count,
        {{ rounded_ratio('against_market.gross_amount', 'against_market.gross_at_market_prices') }}
            as relative_price_index,
        cast(coalesce(ranked_recurring.product_count, 0) as bigint) as recurring_product_count,
        ranked_recurring.product_id as recurring_product_id,
        ranked_recurring.interval_days as recurring_interval_days,
        ranked_recurring.next_due_date as recurring_next_due_date,
        cast(coalesce(totals.subscription_order_count, 0) as bigint) as subscription_order_count,
        {{ rounded_ratio('coalesce(totals.subscription_order_count, 0)', 'totals.order_count') }}
            as subscription_order_share,
        {{ rounded_ratio('seasons.winter_amount', 'seasons.spend_amount') }} as winter_spend_share,
        {{ rounded_ratio('seasons.spring_amount', 'seasons.spend_amount') }} as spring_spend_share,
        {{ rounded_ratio('seasons.summer_amount', 'seasons.spend_amount') }} as summer_spend_share,
        {{ rounded_ratio('seasons.autumn_amount', 'seasons.spend_amount') }} as autumn_spend_share,
        -- 2/3 Σ|share − 1/4| in exact amounts.
        {{ rounded_ratio(
            'abs(4 * seasons.winter_amount - seasons.spend_amount) + abs(4 * seasons.spring_amount - seasons.spend_amount)'
            ~ ' + abs(4 * seasons.summer_amount - seasons.spend_amount)'
            ~ ' + abs(4 * seasons.autumn_amount - seasons.spend_amount)',
            '6 * seasons.spend_amount'
        ) }} as seasonality_index,
        case
            when category_totals.net_amount_365d > 0
                then {{ rounded('greatest(1 - cast(against_market.shared_mix as double), 0)') }}
        end as category_mix_distance
    from scope
    left join totals
        on
            scope.as_of_date = totals.as_of_date
            and scope.customer_id = totals.customer_id
    left join gaps
        on
            scope.as_of_date = gaps.as_of_date
            and scope.customer_id = gaps.customer_id
    left join products
        on
            scope.as_of_date = products.as_of_date
            and scope.customer_id = products.customer_id
    left join category_totals
        on
            scope.as_of_date = category_totals.as_of_date
            and scope.customer_id = category_totals.customer_id
    left join ranked_categories
        on
            scope.as_of_date = ranked_categories.as_of_date
            and scope.customer_id = ranked_categories.customer_id
            and ranked_categories.category_rank = 1
    left join against_market
        on
            scope.as_of_date = against_market.as_of_date
            and scope.customer_id = against_market.customer_id
    left join ranked_recurring
        on
            scope.as_of_date = ranked_recurring.as_of_date
            and scope.customer_id = ranked_recurring.customer_id
            and ranked_recurring.product_rank = 1
    left join seasons
        on
            scope.as_of_date = seasons.as_of_date
            and scope.customer_id = seasons.customer_id
    left join order_events
        on
            scope.as_of_date = order_events.as_of_date
            and scope.customer_id = order_events.customer_id
)

select * from final
