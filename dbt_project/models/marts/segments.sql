with aliases as (
    select * from {{ ref('segment_aliases') }}
),

registered as (
    select
        *,
        row_number() over (
            partition by segment_id
            order by case when continues_segment_key is null then 0 else 1 end, created_as_of, segment_key
        ) as place,
        min(created_as_of) over (partition by segment_id) as first_created_as_of
    from {{ source('promoted', 'segments') }}
),

lineage as (
    select
        lens,
        refit_date,
        model_version,
        lead(refit_date) over (partition by lens order by refit_date) as next_refit_date
    from {{ source('promoted', 'lineage') }}
),

-- A segment is retired where the first model without it takes effect.
last_seen as (
    select
        aliases.segment_id,
        max(lineage.refit_date) as last_refit_date
    from {{ source('promoted', 'model_segments') }} as model_segments
    inner join lineage on model_segments.model_version = lineage.model_version
    inner join aliases on model_segments.segment_key = aliases.segment_key
    group by aliases.segment_id
),

final as (
    select
        registered.lens,
        registered.segment_id,
        registered.segment_key,
        registered.name,
        registered.description,
        registered.rule,
        registered.rule_precision,
        registered.rule_recall,
        registered.recommended_action,
        registered.first_created_as_of as created_as_of,
        case
            when superseded.superseded_by is null
                then coalesce(
                        lineage.next_refit_date,
                        case when last_seen.segment_id is null then registered.first_created_as_of end
                    )
        end as retired_as_of,
        registered.relation,
        cast(null as string) as parent_segment_ids,
        superseded.superseded_by
    from registered
    left join {{ source('promoted', 'superseded_segments') }} as superseded
        on registered.segment_id = superseded.segment_id
    left join last_seen on registered.segment_id = last_seen.segment_id
    left join lineage
        on
            registered.lens = lineage.lens
            and last_seen.last_refit_date = lineage.refit_date
    where registered.place = 1
)

select * from final
