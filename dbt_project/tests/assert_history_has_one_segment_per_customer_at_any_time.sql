with history as (
    select
        lens,
        customer_id,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by lens, customer_id order by valid_from) as next_valid_from
    from {{ ref('customer_segment_history') }}
)

select *
from history
where
    valid_to <= valid_from
    or valid_to != next_valid_from
    or (valid_to is null) != (next_valid_from is null)
