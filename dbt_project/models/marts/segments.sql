with aliases as (
    select * from {{ ref('segment_aliases') }}
),

registered as (
    select
        segments.*,
        aliases.segment_name,
        row_number() over (
            partition by segments.segment_id
            order by
                case when segments.continues_segment_key is null then 0 else 1 end,
                segments.created_as_of,
                segments.segment_key
        ) as place,
        min(segments.created_as_of) over (partition by segments.segment_id) as own_created_as_of,
        -- An id is as old as the oldest key that resolves to it.
        min(segments.created_as_of) over (partition by aliases.segment_id) as first_created_as_of
    from {{ source('promoted', 'segments') }} as segments
    inner join aliases on segments.segment_key = aliases.segment_key
),

-- A segment is seen from where a model in effect has it, and at every date whose labels may hold it.
model_dates as (
    select
        model_version,
        valid_from as seen_date
    from {{ source('pipeline', 'models_in_effect') }}
    union all
    select
        model_version,
        as_of_date as seen_date
    from {{ source('promoted', 'runs') }}
),

last_seen as (
    select
        aliases.lens,
        aliases.segment_id,
        max(model_dates.seen_date) as last_seen_date
    from {{ source('promoted', 'model_segments') }} as model_segments
    inner join model_dates on model_segments.model_version = model_dates.model_version
    inner join aliases on model_segments.segment_key = aliases.segment_key
    group by
        aliases.lens,
        aliases.segment_id
),

-- It is retired where the first model after that takes effect.
retirements as (
    select
        last_seen.segment_id,
        min(models_in_effect.valid_from) as retired_as_of
    from last_seen
    inner join {{ source('pipeline', 'models_in_effect') }} as models_in_effect
        on
            last_seen.lens = models_in_effect.lens
            and last_seen.last_seen_date < models_in_effect.valid_from
    group by last_seen.segment_id
),

-- The segments that it was split from or merged of.
parents as (
    select
        segment_parents.segment_key,
        {{ joined_texts('aliases.segment_id') }} as parent_segment_ids
    from {{ source('promoted', 'segment_parents') }} as segment_parents
    inner join aliases on segment_parents.parent_segment_key = aliases.segment_key
    group by segment_parents.segment_key
),

final as (
    select
        registered.lens,
        registered.segment_id,
        registered.segment_key,
        case when superseded.superseded_by is null then registered.segment_name else registered.name end as name,
        registered.description,
        registered.rule,
        registered.rule_precision,
        registered.rule_recall,
        registered.recommended_action,
        case
            when superseded.superseded_by is null then registered.first_created_as_of
            else registered.own_created_as_of
        end as created_as_of,
        case
            when superseded.superseded_by is not null then null
            -- Its model was replaced before any labels of it were kept.
            when last_seen.segment_id is null then registered.first_created_as_of
            else retirements.retired_as_of
        end as retired_as_of,
        registered.relation,
        parents.parent_segment_ids,
        superseded.superseded_by
    from registered
    left join {{ source('promoted', 'superseded_segments') }} as superseded
        on registered.segment_id = superseded.segment_id
    left join parents on registered.segment_key = parents.segment_key
    left join last_seen on registered.segment_id = last_seen.segment_id
    left join retirements on registered.segment_id = retirements.segment_id
    where registered.place = 1
)

select * from final
