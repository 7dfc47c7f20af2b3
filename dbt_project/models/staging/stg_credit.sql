with final as (
    select
        customer_id,
        credit_date,
        limit_amount,
        balance_amount,
        external_score
    from {{ ref('stg_credit_checked') }}
    where quarantine_reason is null
)

select * from final
