with final as (
    select
        customer_id,
        campaign_id,
        channel,
        contact_date,
        response,
        response_date
    from {{ ref('stg_campaign_contacts_checked') }}
    where quarantine_reason is null
)

select * from final
