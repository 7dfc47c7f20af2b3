with final as (
    select
        event_number,
        run_date,
        lens,
        subject,
        subject_key,
        event,
        happened_as_of,
        details
    from {{ source('promoted', 'registry_events') }}
)

select * from final
