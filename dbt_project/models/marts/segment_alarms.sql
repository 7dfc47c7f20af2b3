with final as (
    select
        alarms.as_of_date,
        alarms.lens,
        alarms.kind,
        aliases.segment_id,
        aliases.segment_name,
        alarms.feature,
        -- A segment may have been renamed since.
        replace(alarms.evidence, '{segment}', coalesce(aliases.segment_name, 'a segment')) as evidence,
        alarms.proposal,
        alarms.figures
    from {{ source('promoted', 'segment_alarms') }} as alarms
    left join {{ ref('segment_aliases') }} as aliases
        on
            alarms.lens = aliases.lens
            and alarms.segment_key = aliases.segment_key
)

select * from final
