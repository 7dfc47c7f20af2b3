with final as (
    select
        event_id,
        customer_id,
        event_type,
        occurred_at,
        event_date,
        points,
        tier
    from {{ ref('stg_loyalty_events_checked') }}
    where quarantine_reason is null
)

select * from final
