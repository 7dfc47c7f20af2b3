with final as (
    select
        decision_id,
        decided_at,
        kind,
        lens,
        refit_date,
        effective_from,
        segment_id,
        name,
        decided_by,
        reason
    from {{ source('promoted', 'decisions') }}
)

select * from final
