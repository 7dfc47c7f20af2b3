-- Recorded where the features are computed, in one go with them: later the facts may have moved on.
with as_of_dates as (
    select * from {{ ref('int_as_of_dates') }}
),

input_scope as (
    select * from {{ ref('int_input_scope') }}
),

ranked as (
    select
        as_of_dates.as_of_date,
        input_scope.rows_hash,
        input_scope.rows_in,
        input_scope.rows_kept,
        input_scope.rows_quarantined,
        row_number() over (
            partition by as_of_dates.as_of_date
            order by input_scope.event_date desc
        ) as day_rank
    from as_of_dates
    inner join input_scope on input_scope.event_date < as_of_dates.as_of_date
),

final as (
    select
        as_of_date,
        rows_hash,
        '{{ env_var("SEGMENTATION_FEATURES_VERSION", "by hand") }}' as features_version,
        rows_in,
        rows_kept,
        rows_quarantined
    from ranked
    where day_rank = 1
)

select * from final
