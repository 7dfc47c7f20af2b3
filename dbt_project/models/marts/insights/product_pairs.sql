-- Who buys a also buys b. Only what many buy: pairs of rare products are chance, and there are too many of them.
with dates as (
    select * from {{ ref('insight_dates') }}
),

products as (
    select * from {{ ref('insight_products') }}
),

baskets as (
    select distinct
        dates.as_of_date,
        lines.order_id,
        lines.product_id
    from dates
    inner join {{ ref('stg_order_lines') }} as lines
        on
            lines.order_date < dates.as_of_date
            and {{ dbt.datediff('lines.order_date', 'dates.as_of_date', 'day') }}
            <= 90
),

totals as (
    select
        as_of_date,
        count(distinct order_id) as all_order_count
    from baskets
    group by as_of_date
),

bought as (
    select
        as_of_date,
        product_id,
        count(*) as order_count
    from baskets
    group by
        as_of_date,
        product_id
),

ranked as (
    select
        *,
        row_number() over (partition by as_of_date order by order_count desc, product_id asc) as product_rank
    from bought
),

frequent as (
    select
        baskets.as_of_date,
        baskets.order_id,
        baskets.product_id,
        ranked.order_count,
        ranked.product_rank
    from baskets
    inner join ranked
        on
            baskets.as_of_date = ranked.as_of_date
            and baskets.product_id = ranked.product_id
    where ranked.product_rank <= 200
),

-- The rarer of the two comes first, so that the confidence is the stronger one of the two directions.
pairs as (
    select
        product_a.as_of_date,
        product_a.product_id as product_a_id,
        product_b.product_id as product_b_id,
        product_a.order_count as product_a_order_count,
        product_b.order_count as product_b_order_count,
        count(*) as order_count
    from frequent as product_a
    inner join frequent as product_b
        on
            product_a.as_of_date = product_b.as_of_date
            and product_a.order_id = product_b.order_id
            and product_a.product_rank > product_b.product_rank
    group by
        product_a.as_of_date,
        product_a.product_id,
        product_b.product_id,
        product_a.order_count,
        product_b.order_count
),

measured as (
    select
        pairs.*,
        {{ rounded_ratio('pairs.order_count', 'totals.all_order_count') }} as support,
        {{ rounded_ratio('pairs.order_count', 'pairs.product_a_order_count') }} as confidence,
        {{ rounded(ratio(
            'cast(pairs.order_count as double) * totals.all_order_count',
            'cast(pairs.product_a_order_count as double) * pairs.product_b_order_count'
        )) }} as lift
    from pairs
    inner join totals on pairs.as_of_date = totals.as_of_date
    where pairs.order_count >= 5
),

ranked_pairs as (
    select
        *,
        row_number() over (
            partition by as_of_date
            order by lift desc, order_count desc, product_a_id asc, product_b_id asc
        ) as pair_rank
    from measured
),

final as (
    select
        ranked_pairs.as_of_date,
        'all' as lens,
        'all' as segment_id,
        'All customers' as segment_name,
        ranked_pairs.product_a_id,
        ranked_pairs.product_b_id,
        coalesce(products_a.category, 'unknown') as category_a,
        coalesce(products_b.category, 'unknown') as category_b,
        ranked_pairs.order_count,
        ranked_pairs.product_a_order_count,
        ranked_pairs.product_b_order_count,
        ranked_pairs.support,
        ranked_pairs.confidence,
        ranked_pairs.lift
    from ranked_pairs
    left join products as products_a
        on
            ranked_pairs.as_of_date = products_a.as_of_date
            and ranked_pairs.product_a_id = products_a.product_id
    left join products as products_b
        on
            ranked_pairs.as_of_date = products_b.as_of_date
            and ranked_pairs.product_b_id = products_b.product_id
    where ranked_pairs.pair_rank <= 100
)

select * from final
