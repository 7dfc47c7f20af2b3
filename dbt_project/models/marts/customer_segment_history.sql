with history as (
    select * from {{ source('promoted', 'label_history') }}
),

aliases as (
    select * from {{ ref('segment_aliases') }}
),

named as (
    select
        history.lens,
        history.customer_id,
        history.valid_from,
        history.change_cause,
        aliases.segment_id,
        aliases.segment_name,
        -- Two keys may be one segment: then nothing changed between them.
        coalesce(
            lag(coalesce(aliases.segment_id, '')) over (
                partition by history.lens, history.customer_id
                order by history.valid_from
            ) = coalesce(aliases.segment_id, ''),
            false
        ) as is_continuation
    from history
    left join aliases
        on
            history.lens = aliases.lens
            and history.segment_key = aliases.segment_key
),

final as (
    select
        lens,
        customer_id,
        segment_id,
        segment_name,
        valid_from,
        lead(valid_from) over (partition by lens, customer_id order by valid_from) as valid_to,
        change_cause
    from named
    where not is_continuation
)

select * from final
