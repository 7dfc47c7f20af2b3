-- All features of one date from the raw rows of the landing, by hand: no facts, no hashes, no quarantine.
-- {landing}: the folder; {as_of}: the date. Kept as large tables are only the rows of which several features are made.
create temp table product_versions as
select
    product_id,
    cast(valid_from as date) as valid_from_date,
    lead(cast(valid_from as date)) over (partition by product_id order by valid_from) as valid_to_date,
    coalesce(category, department, 'unknown') as category,
    coalesce(is_private_label, false) as is_private_label,
    list_price_amount
from '{landing}/products/*.parquet';

create temp table order_days as
select order_id, customer_id, cast(cast(ordered_at as timestamp) as date) as order_date, is_subscription
from '{landing}/orders/*.parquet'
where cast(ordered_at as timestamp) < date '{as_of}';

create temp table lines as
select
    order_days.customer_id,
    order_days.order_id,
    order_days.order_date,
    date '{as_of}' - order_days.order_date as days_ago,
    order_days.is_subscription,
    lines.line_id,
    lines.product_id,
    product_versions.category,
    product_versions.is_private_label,
    cast(lines.quantity as bigint) as item_count,
    lines.gross_amount,
    lines.discount_amount,
    lines.net_amount,
    lines.unit_cost_amount
from '{landing}/order_lines/*.parquet' as lines
inner join order_days on lines.order_id = order_days.order_id
inner join product_versions
    on
        lines.product_id = product_versions.product_id
        and (product_versions.valid_from_date is null or product_versions.valid_from_date <= order_days.order_date)
        and (product_versions.valid_to_date is null or product_versions.valid_to_date > order_days.order_date);

create temp table scope as
with seen as (
    select customer_id, greatest(signup_date, coalesce(cast(valid_from as date), signup_date)) as seen_date
    from '{landing}/customers/*.parquet'
    where signup_date is not null
    union all
    select customer_id, order_date from order_days
)

select
    customer_id,
    min(seen_date) as first_seen_date,
    date '{as_of}' - min(seen_date) as tenure_days,
    least(12, ceil((date '{as_of}' - min(seen_date)) / 30.0)) as lived_window_count
from seen
group by customer_id
having min(seen_date) < date '{as_of}';

create table demographic_features as
with known as (
    select
        *,
        case
            when birth_date < date '{as_of}' and birth_date >= date '{as_of}' - interval 120 year
                then date_sub('year', birth_date, date '{as_of}')
        end as age_years
    from '{landing}/customers/*.parquet'
    where valid_from is null or cast(valid_from as date) < date '{as_of}'
    qualify row_number() over (partition by customer_id order by valid_from desc nulls last) = 1
)

select
    scope.customer_id,
    known.age_years,
    coalesce(known.age_band, case
        when age_years < 19 then 'under 19'
        when age_years < 25 then '19-24'
        when age_years < 35 then '25-34'
        when age_years < 45 then '35-44'
        when age_years < 55 then '45-54'
        when age_years < 65 then '55-64'
        when age_years >= 65 then '65+'
    end) as age_band,
    known.gender,
    known.income_amount,
    coalesce(known.income_band, case
        when income_amount < 20000 then 'under 20k'
        when income_amount < 40000 then '20k-39k'
        when income_amount < 60000 then '40k-59k'
        when income_amount < 80000 then '60k-79k'
        when income_amount < 100000 then '80k-99k'
        when income_amount < 150000 then '100k-149k'
        when income_amount >= 150000 then '150k+'
    end) as income_band,
    known.country, known.region, known.city, known.postal_code, known.language, known.ethnicity,
    known.household_size, known.marital_status, known.education, known.acquisition_channel
from scope
left join known on scope.customer_id = known.customer_id;

create table purchase_features as
with orders as (
    select
        customer_id,
        order_id,
        order_date,
        days_ago,
        max(is_subscription) as is_subscription,
        sum(item_count) as item_count,
        count(*) as line_count,
        count(*) filter (where discount_amount > 0) as discounted_line_count,
        sum(net_amount) as net_amount,
        sum(net_amount) filter (where is_private_label) as private_label_amount
    from lines
    group by all
),

totals as (
    select
        customer_id,
        count(*) as order_count,
        count(*) filter (where days_ago <= 30) as order_count_30d,
        count(*) filter (where days_ago <= 90) as order_count_90d,
        count(*) filter (where days_ago <= 365) as order_count_365d,
        count(*) filter (where isodow(order_date) >= 6) as weekend_order_count,
        count(distinct order_date) as order_day_count,
        sum(item_count) as item_count,
        sum(line_count) as line_count,
        sum(discounted_line_count) as discounted_line_count,
        sum(net_amount) as net_amount,
        coalesce(sum(private_label_amount), 0) as private_label_amount,
        count(*) filter (where is_subscription) as subscription_order_count,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        sum(net_amount) filter (where days_ago <= 365) as year_amount,
        coalesce(sum(net_amount) filter (where days_ago <= 365 and month(order_date) in (12, 1, 2)), 0) as winter_amount,
        coalesce(sum(net_amount) filter (where days_ago <= 365 and month(order_date) in (3, 4, 5)), 0) as spring_amount,
        coalesce(sum(net_amount) filter (where days_ago <= 365 and month(order_date) in (6, 7, 8)), 0) as summer_amount,
        coalesce(sum(net_amount) filter (where days_ago <= 365 and month(order_date) in (9, 10, 11)), 0) as autumn_amount
    from orders
    group by customer_id
),

gaps as (
    select
        customer_id,
        count(gap) as gap_count,
        sum(gap) as gap_total,
        sum(gap * gap) as gap_squares
    from (
        select customer_id, order_date - lag(order_date) over (partition by customer_id order by order_date) as gap
        from (select distinct customer_id, order_date from orders) as days
    ) as day_gaps
    group by customer_id
),

product_gaps as (
    select
        customer_id,
        product_id,
        order_date,
        order_date - lag(order_date) over (partition by customer_id, product_id order by order_date) as gap
    from (select distinct customer_id, product_id, order_date from lines) as days
),

product_rhythms as (
    select
        customer_id,
        product_id,
        count(*) as day_count,
        count(gap) as gap_count,
        sum(gap) as gap_total,
        sum(gap * gap) as gap_squares,
        max(order_date) as last_date
    from product_gaps
    group by customer_id, product_id
),

recurring as (
    select
        *,
        coalesce(
            day_count >= 3
            and round(sqrt(cast(gap_count * gap_squares - gap_total * gap_total as double)) / gap_total, 6) <= 0.35
            and (date '{as_of}' - last_date) * gap_count <= 3 * gap_total,
            false
        ) as is_recurring
    from product_rhythms
),

products as (
    select
        customer_id,
        count(*) as product_count,
        count(*) filter (where is_recurring) as recurring_product_count
    from recurring
    group by customer_id
),

first_recurring as (
    select *
    from recurring
    where is_recurring
    qualify row_number() over (partition by customer_id order by day_count desc, product_id) = 1
),

categories as (
    select
        customer_id,
        category,
        sum(net_amount) as amount,
        sum(net_amount) filter (where days_ago <= 365) as net_365d,
        sum(gross_amount) filter (where days_ago <= 365) as gross_365d,
        sum(item_count) filter (where days_ago <= 365) as items_365d
    from lines
    group by customer_id, category
),

category_totals as (
    select customer_id, count(*) as category_count, sum(net_365d) as net_365d from categories group by customer_id
),

favourites as (
    select * from categories
    qualify row_number() over (partition by customer_id order by amount desc, category) = 1
),

market as (
    select
        category,
        cast(sum(net_365d) as double) / cast(sum(sum(net_365d)) over () as double) as share,
        cast(sum(gross_365d) as double) / cast(sum(items_365d) as double) as price
    from categories
    group by category
),

against_market as (
    select
        categories.customer_id,
        sum(cast(round(least(
            cast(categories.net_365d as double) / nullif(cast(category_totals.net_365d as double), 0), market.share
        ), 12) as decimal(18, 12))) as shared_mix,
        sum(categories.gross_365d) as gross_amount,
        sum(cast(round(categories.items_365d * market.price, 9) as decimal(28, 9))) as at_market_prices
    from categories
    inner join category_totals on categories.customer_id = category_totals.customer_id
    inner join market on categories.category = market.category
    where categories.items_365d > 0
    group by categories.customer_id
),

order_events as (
    select order_id, line_id, event_type, quantity, amount, occurred_at
    from '{landing}/order_events/*.parquet'
    where occurred_at < date '{as_of}' and event_type in ('returned', 'cancelled')
),

returns as (
    select
        customer_id,
        sum(least(coalesce(quantity, bought_count), bought_count)) as returned_item_count,
        sum(coalesce(stated_amount, cast(round(
            cast(bought_amount * least(coalesce(quantity, bought_count), bought_count) as double)
            / cast(bought_count as double), 2
        ) as decimal(18, 2)))) as returned_amount
    from (
        select
            lines.customer_id,
            cast(floor(order_events.quantity) as bigint) as quantity,
            order_events.amount as stated_amount,
            lines.item_count as bought_count,
            lines.net_amount as bought_amount
        from order_events
        inner join lines on order_events.order_id = lines.order_id and order_events.line_id = lines.line_id
        where order_events.event_type = 'returned'
        union all
        select
            any_value(lines.customer_id),
            any_value(cast(floor(order_events.quantity) as bigint)),
            any_value(order_events.amount),
            sum(lines.item_count),
            sum(lines.net_amount)
        from order_events
        inner join lines on order_events.order_id = lines.order_id
        where order_events.event_type = 'returned' and order_events.line_id is null
        group by order_events.order_id, order_events.occurred_at
    ) as returned
    group by customer_id
),

cancellations as (
    select order_days.customer_id, count(distinct order_events.order_id) as cancelled_order_count
    from order_events
    inner join order_days on order_events.order_id = order_days.order_id
    where order_events.event_type = 'cancelled'
    group by order_days.customer_id
)

select
    scope.customer_id,
    coalesce(totals.order_count, 0) as order_count,
    coalesce(totals.order_count_30d, 0) as order_count_30d,
    coalesce(totals.order_count_90d, 0) as order_count_90d,
    coalesce(totals.order_count_365d, 0) as order_count_365d,
    coalesce(totals.order_day_count, 0) as order_day_count,
    coalesce(totals.item_count, 0) as item_count,
    coalesce(totals.line_count, 0) as line_count,
    coalesce(products.product_count, 0) as product_count,
    coalesce(category_totals.category_count, 0) as category_count,
    totals.first_order_date,
    totals.last_order_date,
    date '{as_of}' - totals.last_order_date as recency_days,
    round(totals.item_count / totals.order_count, 6) as items_per_order,
    case when totals.net_amount > 0 then favourites.category end as favourite_category,
    round(cast(favourites.amount as double) / nullif(cast(totals.net_amount as double), 0), 6)
        as favourite_category_share,
    round(cast(totals.private_label_amount as double) / nullif(cast(totals.net_amount as double), 0), 6)
        as private_label_share,
    round(totals.discounted_line_count / totals.line_count, 6) as discounted_line_share,
    round(gaps.gap_total / nullif(gaps.gap_count, 0), 6) as interpurchase_days_mean,
    case
        when gaps.gap_count >= 2
            then round(
                sqrt(cast(gaps.gap_count * gaps.gap_squares - gaps.gap_total * gaps.gap_total as double))
                / gaps.gap_total, 6
            )
    end as interpurchase_days_cv,
    round(totals.weekend_order_count / totals.order_count, 6) as weekend_order_share,
    coalesce(returns.returned_item_count, 0) as returned_item_count,
    coalesce(returns.returned_amount, 0) as returned_amount,
    round(coalesce(returns.returned_item_count, 0) / totals.item_count, 6) as return_rate,
    coalesce(cancellations.cancelled_order_count, 0) as cancelled_order_count,
    round(
        cast(against_market.gross_amount as double) / nullif(cast(against_market.at_market_prices as double), 0), 6
    ) as relative_price_index,
    coalesce(products.recurring_product_count, 0) as recurring_product_count,
    first_recurring.product_id as recurring_product_id,
    round(first_recurring.gap_total / first_recurring.gap_count, 6) as recurring_interval_days,
    coalesce(totals.subscription_order_count, 0) as subscription_order_count,
    round(totals.subscription_order_count / totals.order_count, 6) as subscription_order_share,
    round(cast(totals.winter_amount as double) / nullif(cast(totals.year_amount as double), 0), 6) as winter_spend_share,
    round(cast(totals.spring_amount as double) / nullif(cast(totals.year_amount as double), 0), 6) as spring_spend_share,
    round(cast(totals.summer_amount as double) / nullif(cast(totals.year_amount as double), 0), 6) as summer_spend_share,
    round(cast(totals.autumn_amount as double) / nullif(cast(totals.year_amount as double), 0), 6) as autumn_spend_share,
    round(cast(
        abs(4 * totals.winter_amount - totals.year_amount) + abs(4 * totals.spring_amount - totals.year_amount)
        + abs(4 * totals.summer_amount - totals.year_amount) + abs(4 * totals.autumn_amount - totals.year_amount)
        as double
    ) / nullif(cast(6 * totals.year_amount as double), 0), 6) as seasonality_index,
    case
        when category_totals.net_365d > 0
            then round(greatest(1 - cast(against_market.shared_mix as double), 0), 6)
    end as category_mix_distance
from scope
left join totals on scope.customer_id = totals.customer_id
left join gaps on scope.customer_id = gaps.customer_id
left join products on scope.customer_id = products.customer_id
left join first_recurring on scope.customer_id = first_recurring.customer_id
left join category_totals on scope.customer_id = category_totals.customer_id
left join favourites on scope.customer_id = favourites.customer_id
left join against_market on scope.customer_id = against_market.customer_id
left join returns on scope.customer_id = returns.customer_id
left join cancellations on scope.customer_id = cancellations.customer_id;

create table financial_features as
with orders as (
    select
        customer_id,
        order_id,
        days_ago,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(net_amount) as net_amount,
        sum(unit_cost_amount * item_count) as cost_amount,
        sum(net_amount) filter (where unit_cost_amount is not null) as costed_net_amount
    from lines
    group by all
),

totals as (
    select
        customer_id,
        count(*) as order_count,
        sum(net_amount) as spend_amount,
        coalesce(sum(net_amount) filter (where days_ago <= 30), 0) as spend_amount_30d,
        coalesce(sum(net_amount) filter (where days_ago <= 90), 0) as spend_amount_90d,
        coalesce(sum(net_amount) filter (where days_ago > 90 and days_ago <= 180), 0) as spend_amount_previous_90d,
        coalesce(sum(net_amount) filter (where days_ago <= 365), 0) as spend_amount_365d,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        max(net_amount) as largest_order_amount,
        sum(cost_amount) as cost_amount,
        sum(costed_net_amount) as costed_net_amount,
        sum(costed_net_amount - cost_amount) as margin_amount,
        sum(costed_net_amount - cost_amount) filter (where days_ago <= 365) as margin_amount_365d
    from orders
    group by customer_id
),

volatilities as (
    select
        customer_id,
        round(
            sqrt(greatest(
                any_value(lived_window_count) * cast(sum(net_amount * net_amount) as double)
                - cast(sum(net_amount) as double) * cast(sum(net_amount) as double), 0
            )) / nullif(cast(sum(net_amount) as double), 0), 6
        ) as spend_volatility
    from (
        select
            orders.customer_id,
            scope.lived_window_count,
            (orders.days_ago - 1) // 30 as window_number,
            cast(sum(orders.net_amount) as decimal(19, 2)) as net_amount
        from orders
        inner join scope on orders.customer_id = scope.customer_id
        where orders.days_ago <= 360
        group by all
    ) as windows
    group by customer_id
),

due as (
    select
        customer_id,
        coalesce(method, 'unknown') as method,
        cast(amount as decimal(18, 2)) as amount,
        case
            when
                cast(failed_at as date) < date '{as_of}'
                and (paid_at is null or cast(paid_at as date) >= date '{as_of}')
                then 'failed'
            when cast(paid_at as date) <= cast(due_at as date) then 'on_time'
            else 'late'
        end as outcome,
        case when cast(paid_at as date) < date '{as_of}' then cast(paid_at as date) - cast(due_at as date) end as delay
    from '{landing}/payments/*.parquet'
    where cast(due_at as date) < date '{as_of}'
),

payments as (
    select
        customer_id,
        count(*) as payment_count,
        count(*) filter (where outcome = 'on_time') as on_time_count,
        count(*) filter (where outcome = 'late') as late_count,
        count(*) filter (where outcome = 'failed') as failed_count,
        count(delay) as paid_count,
        sum(delay) as delay_total,
        sum(delay * delay) as delay_squares,
        sum(amount) filter (where outcome = 'late' and delay is null) as overdue_amount
    from due
    group by customer_id
),

methods as (
    select
        customer_id,
        method,
        count(*) as method_count,
        sum(count(*)) over (partition by customer_id) as known_count
    from due
    where method != 'unknown'
    group by customer_id, method
    qualify row_number() over (partition by customer_id order by count(*) desc, method) = 1
),

credit as (
    select * from '{landing}/credit/*.parquet'
    where credit_date < date '{as_of}'
    qualify row_number() over (partition by customer_id order by credit_date desc) = 1
)

select
    scope.customer_id,
    coalesce(totals.spend_amount, 0) as spend_amount,
    coalesce(totals.spend_amount_30d, 0) as spend_amount_30d,
    coalesce(totals.spend_amount_90d, 0) as spend_amount_90d,
    coalesce(totals.spend_amount_365d, 0) as spend_amount_365d,
    coalesce(totals.gross_amount, 0) as gross_amount,
    coalesce(totals.discount_amount, 0) as discount_amount,
    round(cast(totals.discount_amount as double) / nullif(cast(totals.gross_amount as double), 0), 6) as discount_share,
    cast(floor((200 * totals.spend_amount + totals.order_count) / (2 * totals.order_count)) / 100 as decimal(18, 2))
        as average_order_amount,
    totals.largest_order_amount,
    volatilities.spend_volatility,
    round(
        cast(totals.spend_amount_90d - totals.spend_amount_previous_90d as double)
        / nullif(cast(totals.spend_amount_90d + totals.spend_amount_previous_90d as double), 0), 6
    ) as spend_trend_90d,
    coalesce(totals.cost_amount, 0) as cost_amount,
    totals.margin_amount,
    totals.margin_amount_365d,
    round(cast(totals.margin_amount as double) / nullif(cast(totals.costed_net_amount as double), 0), 6) as margin_share,
    credit.limit_amount as credit_limit_amount,
    credit.balance_amount as credit_balance_amount,
    round(cast(credit.balance_amount as double) / nullif(cast(credit.limit_amount as double), 0), 6)
        as credit_utilisation_share,
    credit.external_score as external_credit_score,
    coalesce(payments.payment_count, 0) as payment_count,
    round(payments.on_time_count / payments.payment_count, 6) as payment_on_time_share,
    round(payments.late_count / payments.payment_count, 6) as payment_late_share,
    round(payments.failed_count / payments.payment_count, 6) as payment_failed_share,
    round(payments.delay_total / nullif(payments.paid_count, 0), 6) as payment_delay_days_mean,
    round(
        sqrt(cast(payments.paid_count * payments.delay_squares - payments.delay_total * payments.delay_total as double))
        / nullif(payments.paid_count, 0), 6
    ) as payment_delay_days_deviation,
    coalesce(payments.overdue_amount, 0) as overdue_amount,
    methods.method as favourite_payment_method,
    round(methods.method_count / methods.known_count, 6) as favourite_payment_method_share
from scope
left join totals on scope.customer_id = totals.customer_id
left join volatilities on scope.customer_id = volatilities.customer_id
left join payments on scope.customer_id = payments.customer_id
left join methods on scope.customer_id = methods.customer_id
left join credit on scope.customer_id = credit.customer_id;

create table engagement_features as
with order_dates as (
    select
        customer_id,
        order_date,
        date '{as_of}' - order_date as days_ago,
        count(distinct order_id) as order_count,
        order_date = min(order_date) over (partition by customer_id) as is_first_day
    from lines
    group by customer_id, order_date
),

activity as (
    select
        customer_id,
        count(*) as order_day_count,
        sum(order_count) as order_count,
        coalesce(sum(order_count) filter (where not is_first_day), 0) as repeat_order_count,
        count(*) filter (where days_ago <= 90) as active_day_count_90d,
        count(distinct case when days_ago <= 360 then (days_ago - 1) // 30 end) as active_window_count
    from order_dates
    group by customer_id
),

contacts as (
    select
        customer_id,
        count(*) as contact_count,
        count(*) filter (where responded_at < date '{as_of}') as response_count,
        count(*) filter (
            where responded_at < date '{as_of}' and responded_at >= date '{as_of}' - interval 90 day
        ) as response_count_90d,
        max(cast(responded_at as date)) filter (where responded_at < date '{as_of}') as last_response_date
    from '{landing}/campaign_contacts/*.parquet'
    where contacted_at < date '{as_of}'
    group by customer_id
),

loyalty_events as (
    select
        *,
        date '{as_of}' - cast(occurred_at as date) as days_ago
    from '{landing}/loyalty_events/*.parquet'
    where occurred_at < date '{as_of}'
),

loyalty as (
    select
        customer_id,
        max(days_ago) as loyalty_tenure_days,
        count(*) filter (where days_ago <= 90) as event_count_90d,
        coalesce(sum(points) filter (where event_type = 'earn'), 0) as points_earned,
        coalesce(sum(points) filter (where event_type = 'redeem'), 0) as points_redeemed,
        count(*) filter (where event_type = 'redeem') as redemption_count
    from loyalty_events
    group by customer_id
),

tiers as (
    select customer_id, tier
    from loyalty_events
    where tier is not null
    qualify row_number() over (partition by customer_id order by occurred_at desc, event_id desc) = 1
),

events as (
    select
        events.customer_id,
        events.session_id,
        cast(events.occurred_at as date) as event_date,
        date '{as_of}' - cast(events.occurred_at as date) as days_ago,
        events.event_id,
        events.event_type,
        events.occurred_at,
        events.product_id,
        events.device
    from '{landing}/web_events/*.parquet' as events
    where events.occurred_at < date '{as_of}' and events.customer_id is not null
),

session_days as (
    select
        customer_id,
        session_id,
        event_date,
        days_ago,
        count(*) filter (where event_type = 'view') as view_count,
        count(*) filter (where event_type = 'search') as search_count,
        count(*) filter (where event_type = 'add_to_cart') > 0 as has_cart,
        count(*) filter (where event_type = 'purchase') > 0 as has_purchase
    from events
    group by all
),

devices as (
    select customer_id, device
    from (
        select customer_id, session_id, event_date, device
        from events
        where device is not null
        group by customer_id, session_id, event_date, device
        qualify row_number() over (
            partition by customer_id, session_id, event_date order by count(*) desc, device
        ) = 1
    ) as session_devices
    group by customer_id, device
    qualify row_number() over (partition by customer_id order by count(*) desc, device) = 1
),

carts as (
    select cart.customer_id, cart.session_id, cart.event_date, sum(product_versions.list_price_amount) as cart_amount
    from (
        select *
        from events
        where event_type in ('add_to_cart', 'remove_from_cart') and days_ago <= 90
        qualify row_number() over (
            partition by customer_id, session_id, event_date, product_id order by occurred_at desc, event_id desc
        ) = 1
    ) as cart
    inner join product_versions
        on
            cart.product_id = product_versions.product_id
            and (product_versions.valid_from_date is null or product_versions.valid_from_date <= cart.event_date)
            and (product_versions.valid_to_date is null or product_versions.valid_to_date > cart.event_date)
    where cart.event_type = 'add_to_cart'
    group by cart.customer_id, cart.session_id, cart.event_date
),

sessions as (
    select
        session_days.customer_id,
        count(*) as session_count,
        count(*) filter (where days_ago <= 30) as session_count_30d,
        count(*) filter (where days_ago <= 90) as session_count_90d,
        sum(view_count) filter (where days_ago <= 90) as view_count_90d,
        sum(search_count) filter (where days_ago <= 90) as search_count_90d,
        min(days_ago) as days_since_session,
        count(*) filter (where has_cart) as cart_count,
        count(*) filter (where has_cart and not has_purchase) as abandoned_cart_count,
        sum(carts.cart_amount) filter (where has_cart and not has_purchase and days_ago <= 90)
            as abandoned_cart_amount_90d,
        count(*) filter (where has_purchase) as purchase_session_count
    from session_days
    left join carts
        on
            session_days.customer_id = carts.customer_id
            and session_days.session_id = carts.session_id
            and session_days.event_date = carts.event_date
    group by session_days.customer_id
),

views as (
    select
        events.customer_id,
        events.product_id,
        product_versions.category,
        count(*) as view_count
    from events
    inner join product_versions
        on
            events.product_id = product_versions.product_id
            and (product_versions.valid_from_date is null or product_versions.valid_from_date <= events.event_date)
            and (product_versions.valid_to_date is null or product_versions.valid_to_date > events.event_date)
    where events.event_type = 'view' and events.days_ago <= 90
    group by events.customer_id, events.product_id, product_versions.category
),

viewed as (
    select customer_id, count(distinct product_id) as viewed_product_count_90d from views group by customer_id
),

viewed_categories as (
    select customer_id, category
    from views
    group by customer_id, category
    qualify row_number() over (partition by customer_id order by sum(view_count) desc, category) = 1
),

opinions as (
    select
        *,
        date '{as_of}' - cast(occurred_at as date) as days_ago,
        case when score_scale = 'nps_0_10' then score * 0.1 else (score - 1) * 0.25 end as satisfaction
    from '{landing}/feedback/*.parquet'
    where occurred_at < date '{as_of}'
),

satisfaction as (
    select
        customer_id,
        count(*) filter (where days_ago <= 90) as feedback_count_90d,
        count(*) filter (where feedback_type = 'survey') as survey_count,
        count(score) filter (where feedback_type = 'survey') as survey_response_count,
        count(*) filter (where feedback_type = 'review') as review_count,
        count(*) filter (where feedback_type = 'complaint') as complaint_count,
        count(*) filter (where feedback_type = 'complaint' and days_ago <= 365) as complaint_count_365d,
        avg(satisfaction) as satisfaction_score,
        avg(score) filter (where score_scale = 'nps_0_10') as nps_score_mean,
        avg(score) filter (where feedback_type = 'review' and score_scale != 'nps_0_10') as review_score_mean
    from opinions
    group by customer_id
)

select
    scope.customer_id,
    scope.first_seen_date,
    scope.tenure_days,
    coalesce(activity.active_day_count_90d, 0) as active_day_count_90d,
    round(coalesce(activity.active_window_count, 0) / scope.lived_window_count, 6) as active_window_share,
    coalesce(activity.order_day_count, 0) >= 2 as is_repeat_customer,
    coalesce(contacts.contact_count, 0) as campaign_contact_count,
    coalesce(contacts.response_count, 0) as campaign_response_count,
    round(contacts.response_count / contacts.contact_count, 6) as campaign_response_rate,
    date '{as_of}' - contacts.last_response_date as days_since_response,
    round(activity.repeat_order_count / activity.order_count, 6) as repeat_order_share,
    loyalty.customer_id is not null as is_loyalty_member,
    loyalty.loyalty_tenure_days,
    tiers.tier as loyalty_tier,
    coalesce(loyalty.points_earned, 0) as points_earned,
    coalesce(loyalty.points_redeemed, 0) as points_redeemed,
    coalesce(loyalty.points_earned - loyalty.points_redeemed, 0) as points_balance,
    coalesce(loyalty.redemption_count, 0) as redemption_count,
    round(loyalty.points_redeemed / nullif(loyalty.points_earned, 0), 6) as points_redeemed_share,
    coalesce(sessions.session_count_90d, 0) + coalesce(satisfaction.feedback_count_90d, 0)
    + coalesce(loyalty.event_count_90d, 0) + coalesce(contacts.response_count_90d, 0)
    + coalesce(activity.active_day_count_90d, 0) as brand_interaction_count_90d,
    coalesce(sessions.session_count, 0) as session_count,
    coalesce(sessions.session_count_30d, 0) as session_count_30d,
    coalesce(sessions.session_count_90d, 0) as session_count_90d,
    coalesce(sessions.view_count_90d, 0) as view_count_90d,
    coalesce(sessions.search_count_90d, 0) as search_count_90d,
    coalesce(viewed.viewed_product_count_90d, 0) as viewed_product_count_90d,
    viewed_categories.category as viewed_category,
    sessions.days_since_session,
    coalesce(sessions.cart_count, 0) as cart_count,
    coalesce(sessions.abandoned_cart_count, 0) as abandoned_cart_count,
    round(sessions.abandoned_cart_count / nullif(sessions.cart_count, 0), 6) as cart_abandonment_rate,
    coalesce(sessions.abandoned_cart_amount_90d, 0) as abandoned_cart_amount_90d,
    round(sessions.purchase_session_count / sessions.session_count, 6) as conversion_rate,
    devices.device as main_device,
    coalesce(satisfaction.survey_count, 0) as survey_count,
    round(satisfaction.survey_response_count / nullif(satisfaction.survey_count, 0), 6) as survey_response_rate,
    round(satisfaction.satisfaction_score, 6) as satisfaction_score,
    round(satisfaction.nps_score_mean, 6) as nps_score_mean,
    coalesce(satisfaction.review_count, 0) as review_count,
    round(satisfaction.review_score_mean, 6) as review_score_mean,
    coalesce(satisfaction.complaint_count, 0) as complaint_count,
    coalesce(satisfaction.complaint_count_365d, 0) as complaint_count_365d
from scope
left join activity on scope.customer_id = activity.customer_id
left join contacts on scope.customer_id = contacts.customer_id
left join loyalty on scope.customer_id = loyalty.customer_id
left join tiers on scope.customer_id = tiers.customer_id
left join sessions on scope.customer_id = sessions.customer_id
left join devices on scope.customer_id = devices.customer_id
left join viewed on scope.customer_id = viewed.customer_id
left join viewed_categories on scope.customer_id = viewed_categories.customer_id
left join satisfaction on scope.customer_id = satisfaction.customer_id
