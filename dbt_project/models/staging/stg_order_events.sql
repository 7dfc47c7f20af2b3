with final as (
    select
        event_id,
        order_id,
        line_id,
        customer_id,
        event_type,
        event_date,
        quantity,
        amount
    from {{ ref('stg_order_events_checked') }}
    where quarantine_reason is null
)

select * from final
