with members as (
    select * from {{ ref('insight_members') }}
),

bought as (
    select
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        days.category,
        count(distinct days.customer_id) as customer_count,
        sum(days.net_amount) as net_amount_365d
    from members
    inner join {{ ref('int_customer_product_days') }} as days
        on
            members.customer_id = days.customer_id
            and days.order_date < members.as_of_date
            and {{ dbt.datediff('days.order_date', 'members.as_of_date', 'day') }}
            <= 365
    group by
        members.as_of_date,
        members.lens,
        members.segment_id,
        members.segment_name,
        days.category
),

shares as (
    select
        *,
        {{ ratio(
            'net_amount_365d', 'sum(net_amount_365d) over (partition by as_of_date, lens, segment_id)'
        ) }} as spend_share
    from bought
),

population as (
    select
        as_of_date,
        category,
        spend_share as population_share
    from shares
    where lens = 'all'
),

final as (
    select
        shares.as_of_date,
        shares.lens,
        shares.segment_id,
        shares.segment_name,
        shares.category,
        shares.customer_count,
        cast(shares.net_amount_365d as decimal(18, 2)) as net_amount_365d,
        {{ rounded('shares.spend_share') }} as spend_share,
        {{ rounded('population.population_share') }} as population_share,
        {{ rounded_ratio('shares.spend_share', 'population.population_share') }} as preference_index
    from shares
    inner join population
        on
            shares.as_of_date = population.as_of_date
            and shares.category = population.category
)

select * from final
