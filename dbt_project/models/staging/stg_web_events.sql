with final as (
    select
        event_id,
        session_id,
        customer_id,
        event_type,
        occurred_at,
        event_date,
        product_id,
        category,
        list_price_amount,
        device
    from {{ ref('stg_web_events_checked') }}
    where quarantine_reason is null
)

select * from final
