{{ config(
    materialized=checked_materialization(),
    incremental_strategy=checked_strategy(),
    unique_key=['indicator', 'category', 'entity', 'published_at'],
) }}

with indicators as (
    select * from {{ ref('input_market_indicators') }}
),

landed as (
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
    {{ of_landed_files() }}
),

{{ landed_and_touched(
    key=['indicator', 'category', 'entity', 'published_at'],
) }},

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

{{ copies_set_aside(
    'checked',
    key=[month_of('indicator_month'), 'indicator', 'category', 'entity', 'published_at'],
    content=['indicator_month', 'indicator_value', 'unit'],
) }}

select * from final
