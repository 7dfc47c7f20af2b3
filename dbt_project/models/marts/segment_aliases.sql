{{ config(materialized='ephemeral', contract={'enforced': false}) }}

with keys as (
    select
        segments.lens,
        segments.segment_key,
        coalesce(superseded.superseded_by, segments.segment_id) as segment_id
    from {{ source('promoted', 'segments') }} as segments
    left join {{ source('promoted', 'superseded_segments') }} as superseded
        on segments.segment_id = superseded.segment_id
),

-- What a person has called it last; a name given to any of its keys is its name.
renamed as (
    select
        keys.segment_id,
        decisions.name as segment_name,
        row_number() over (
            partition by keys.segment_id
            order by decisions.decided_at desc, decisions.decision_id desc
        ) as place
    from {{ source('promoted', 'decisions') }} as decisions
    inner join keys on decisions.segment_key = keys.segment_key
    where decisions.kind = 'rename'
),

-- Else the one that the id was first published with.
names as (
    select
        segment_id,
        name as segment_name,
        row_number() over (
            partition by segment_id
            order by case when continues_segment_key is null then 0 else 1 end, created_as_of, segment_key
        ) as place
    from {{ source('promoted', 'segments') }}
)

select
    keys.lens,
    keys.segment_key,
    keys.segment_id,
    coalesce(renamed.segment_name, names.segment_name) as segment_name
from keys
inner join names
    on
        keys.segment_id = names.segment_id
        and names.place = 1
left join renamed
    on
        keys.segment_id = renamed.segment_id
        and renamed.place = 1
