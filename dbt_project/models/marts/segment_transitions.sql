with history as (
    select
        *,
        lag(segment_id) over (partition by lens, customer_id order by valid_from) as from_segment_id,
        lag(segment_name) over (partition by lens, customer_id order by valid_from) as from_segment_name
    from {{ ref('customer_segment_history') }}
),

final as (
    select
        valid_from as as_of_date,
        lens,
        from_segment_id,
        from_segment_name,
        segment_id as to_segment_id,
        segment_name as to_segment_name,
        count(*) as customers,
        count(*) filter (where change_cause = 'customer_moved') as customer_moved,
        count(*) filter (where change_cause = 'model_changed') as model_changed,
        count(*) filter (where change_cause = 'both') as {{ adapter.quote('both') }}
    from history
    group by
        valid_from,
        lens,
        from_segment_id,
        from_segment_name,
        segment_id,
        segment_name
)

select * from final
