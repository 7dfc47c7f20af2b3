with final as (
    select
        event_id,
        customer_id,
        feedback_type,
        event_date,
        score,
        score_scale,
        -- Every scale from 0 to 1, as an exact decimal.
        case
            when score_scale = 'nps_0_10' then cast(score * cast(0.1 as decimal(2, 1)) as decimal(9, 4))
            else cast((score - 1) * cast(0.25 as decimal(3, 2)) as decimal(9, 4))
        end as satisfaction_score,
        product_id
    from {{ ref('stg_feedback_checked') }}
    where quarantine_reason is null
)

select * from final
