with indicators as (
    select * from {{ ref('input_market_indicators') }}
),

cleaned as (
    select
        indicator_month,
        {{ clean_text('indicator') }} as indicator,
        {{ clean_text('category') }} as category,
        {{ clean_text('entity') }} as entity,
        published_at,
        {{ business_date('published_at') }} as published_date,
        indicator_value,
        {{ clean_text('unit') }} as unit,
        ingested_at,
        unreadable_columns
    from indicators
),

checked as (
    select
        *,
        case
            when indicator is null then 'indicator_missing'
            when unreadable_columns != '' then 'value_unreadable'
            when indicator_month is null or published_at is null then 'date_missing'
            when not {{ is_possible_date('indicator_month') }} then 'date_impossible'
            when not {{ is_possible_date('published_date') }} then 'date_impossible'
            when
                indicator not in (
                    'industry_index', 'technology_adoption', 'category_demand', 'competitor_price_index',
                    'competitor_share'
                )
                then 'indicator_unknown'
            when indicator_value is null then 'value_missing'
            when isnan(indicator_value) or abs(indicator_value) = cast('infinity' as double) then 'value_not_finite'
        end as own_reason
    from cleaned
),

-- A bad copy never takes the place of a good one.
numbered as (
    select
        *,
        row_number() over (
            partition by {{ month_of('indicator_month') }}, indicator, category, entity, published_at
            order by
                case when own_reason is null then 0 else 1 end,
                ingested_at desc nulls last,
                {{ row_content(['indicator_month', 'indicator_value', 'unit']) }}
        ) as copy_number
    from checked
),

final as (
    select
        *,
        coalesce(own_reason, case when copy_number > 1 then 'duplicate' end) as quarantine_reason
    from numbered
)

select * from final
