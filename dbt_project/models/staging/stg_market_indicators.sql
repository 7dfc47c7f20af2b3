with final as (
    select
        {{ month_of('indicator_month') }} as indicator_month,
        indicator,
        category,
        entity,
        published_at,
        published_date,
        indicator_value,
        unit
    from {{ ref('stg_market_indicators_checked') }}
    where quarantine_reason is null
)

select * from final
