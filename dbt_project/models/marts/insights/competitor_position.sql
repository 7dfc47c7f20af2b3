with dates as (
    select * from {{ ref('insight_dates') }}
),

members as (
    select * from {{ ref('insight_members') }}
),

trends as (
    select
        trends.*,
        {{ months_later(1, 'trends.indicator_month') }} <= trends.as_of_date as is_month_complete
    from {{ ref('market_trends') }} as trends
    inner join dates on trends.as_of_date = dates.as_of_date
    where
        trends.category is not null
        and trends.entity is not null
),

-- Prices are compared in the last month that both have: known of the competitor, and over for us.
competitor_prices as (
    select
        as_of_date,
        category,
        entity as competitor,
        indicator_month as price_month,
        100 * (1 + change_share_12m) as price_index,
        row_number() over (
            partition by as_of_date, category, entity
            order by indicator_month desc
        ) as month_rank
    from trends
    where
        indicator = 'competitor_price_index'
        and is_month_complete
),

latest_prices as (
    select * from competitor_prices
    where month_rank = 1
),

market_shares as (
    select
        trends.as_of_date,
        trends.category,
        trends.entity as competitor,
        trends.indicator_month as share_month,
        trends.indicator_value as market_share,
        trends.indicator_value - year_before.indicator_value as market_share_change
    from trends
    left join trends as year_before
        on
            trends.as_of_date = year_before.as_of_date
            and trends.indicator = year_before.indicator
            and trends.category = year_before.category
            and trends.entity = year_before.entity
            and year_before.indicator_month = {{ months_later(-12, 'trends.indicator_month') }}
    where
        trends.indicator = 'competitor_share'
        and trends.is_latest
),

competitors as (
    select
        coalesce(latest_prices.as_of_date, market_shares.as_of_date) as as_of_date,
        coalesce(latest_prices.category, market_shares.category) as category,
        coalesce(latest_prices.competitor, market_shares.competitor) as competitor,
        latest_prices.price_month,
        latest_prices.price_index,
        market_shares.share_month,
        market_shares.market_share,
        market_shares.market_share_change
    from latest_prices
    full outer join market_shares
        on
            latest_prices.as_of_date = market_shares.as_of_date
            and latest_prices.category = market_shares.category
            and latest_prices.competitor = market_shares.competitor
),

-- Where nothing is known of a competitor, nothing of ours has to be added up.
compared_dates as (
    select distinct as_of_date from competitors
),

product_months as (
    select * from {{ ref('int_product_months') }}
),

-- What the items of a year before would cost at the prices of the month: the same products, whatever else was bought.
repriced as (
    select
        product_months.category,
        product_months.month as price_month,
        year_before.gross_amount as gross_amount_before,
        cast({{ rounded_ratio(
            'cast(product_months.gross_amount as double) * year_before.item_count', 'product_months.item_count'
        ) }} as decimal(38, 6)) as gross_amount_repriced
    from product_months
    inner join product_months as year_before
        on
            product_months.product_id = year_before.product_id
            and product_months.category = year_before.category
            and year_before.month = {{ months_later(-12, 'product_months.month') }}
    where product_months.month in (select competitors.price_month from competitors)
),

own_prices as (
    select
        category,
        price_month,
        100 * {{ ratio('sum(gross_amount_repriced)', 'sum(gross_amount_before)') }} as price_index
    from repriced
    group by
        category,
        price_month
),

preferences as (
    select preferences.*
    from {{ ref('category_preferences') }} as preferences
    inner join compared_dates on preferences.as_of_date = compared_dates.as_of_date
),

segments as (
    select distinct
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name
    from members
    inner join compared_dates on members.as_of_date = compared_dates.as_of_date
),

segment_spends as (
    select
        as_of_date,
        lens,
        segment_id,
        sum(net_amount_365d) as net_amount_365d
    from preferences
    group by
        as_of_date,
        lens,
        segment_id
),

final as (
    select
        segments.as_of_date,
        segments.lens,
        segments.segment_id,
        segments.segment_name,
        competitors.category,
        competitors.competitor,
        case when segment_spends.net_amount_365d > 0 then coalesce(preferences.spend_share, 0) end as own_spend_share,
        competitors.price_month,
        {{ rounded('own_prices.price_index') }} as own_price_index,
        {{ rounded('competitors.price_index') }} as competitor_price_index,
        {{ rounded('own_prices.price_index - competitors.price_index') }} as price_index_gap,
        competitors.share_month,
        competitors.market_share as competitor_share,
        {{ rounded('competitors.market_share_change') }} as competitor_share_change_12m
    from segments
    inner join competitors on segments.as_of_date = competitors.as_of_date
    left join segment_spends
        on
            segments.as_of_date = segment_spends.as_of_date
            and segments.lens = segment_spends.lens
            and segments.segment_id = segment_spends.segment_id
    left join preferences
        on
            segments.as_of_date = preferences.as_of_date
            and segments.lens = preferences.lens
            and segments.segment_id = preferences.segment_id
            and competitors.category = preferences.category
    left join own_prices
        on
            competitors.category = own_prices.category
            and competitors.price_month = own_prices.price_month
)

select * from final
