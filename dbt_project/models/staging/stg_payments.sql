with final as (
    select
        payment_id,
        order_id,
        customer_id,
        coalesce(method, 'unknown') as method,
        due_date,
        paid_date,
        failed_date,
        -- What became of a payment counts from the day on which the payment itself does.
        case when paid_date > due_date then paid_date when paid_date <= due_date then due_date end as paid_event_date,
        case when failed_date > due_date then failed_date when failed_date <= due_date then due_date end
            as failed_event_date,
        amount
    from {{ ref('stg_payments_checked') }}
    where quarantine_reason is null
)

select * from final
