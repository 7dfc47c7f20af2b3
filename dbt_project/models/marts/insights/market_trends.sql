with dates as (
    select * from {{ ref('insight_dates') }}
),

indicators as (
    select
        indicator_month,
        indicator,
        -- A figure about no category or nobody in particular is a series of its own, and nulls are never equal.
        coalesce(category, '') as category,
        coalesce(entity, '') as entity,
        published_at,
        published_date,
        indicator_value,
        unit
    from {{ ref('stg_market_indicators') }}
),

publications as (
    select
        dates.as_of_date,
        indicators.*,
        row_number() over (
            partition by
                dates.as_of_date, indicators.indicator, indicators.category, indicators.entity,
                indicators.indicator_month
            order by indicators.published_at desc
        ) as publication_rank
    from dates
    inner join indicators on indicators.published_date < dates.as_of_date
),

known as (
    select
        *,
        max(indicator_month) over (partition by as_of_date, indicator, category, entity) as latest_month
    from publications
    where publication_rank = 1
),

final as (
    select
        known.as_of_date,
        known.indicator,
        nullif(known.category, '') as category,
        nullif(known.entity, '') as entity,
        known.indicator_month,
        {{ rounded('known.indicator_value') }} as indicator_value,
        known.unit,
        known.published_date,
        {{ rounded_ratio('known.indicator_value - year_before.indicator_value', 'year_before.indicator_value') }}
            as change_share_12m,
        known.indicator_month = known.latest_month as is_latest
    from known
    left join known as year_before
        on
            known.as_of_date = year_before.as_of_date
            and known.indicator = year_before.indicator
            and known.category = year_before.category
            and known.entity = year_before.entity
            and year_before.indicator_month = {{ months_later(-12, 'known.indicator_month') }}
)

select * from final
