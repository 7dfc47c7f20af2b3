with labels as (
    select labels.*
    from {{ source('promoted', 'labels') }} as labels
    inner join {{ ref('current_as_of_date') }} as current_run
        on
            labels.lens = current_run.lens
            and labels.as_of_date = current_run.as_of_date
),

aliases as (
    select * from {{ ref('segment_aliases') }}
),

history as (
    select * from {{ ref('customer_segment_history') }}
    where valid_to is null
),

final as (
    select
        labels.as_of_date,
        labels.lens,
        labels.customer_id,
        aliases.segment_id,
        aliases.segment_name,
        labels.model_version,
        labels.confidence,
        labels.is_outlier,
        history.valid_from as segment_since
    from labels
    inner join aliases
        on
            labels.lens = aliases.lens
            and labels.segment_key = aliases.segment_key
    left join history
        on
            labels.lens = history.lens
            and labels.customer_id = history.customer_id
)

select * from final
